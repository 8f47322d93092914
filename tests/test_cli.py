from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import fake_engine
import mndt
from mndt.checks import output
from mndt.city.model import City
from mndt.city.store import save_city
from mndt.city.synthetic import synthetic_city
from mndt.cli import main
from mndt.scenario import CitySource, RunParameters, Scenario, dump


@pytest.fixture(scope="module")
def city() -> City:
    return synthetic_city(lanes=120, areas=30, outdoor_sites=2, indoor_sites=3, size_m=400.0)


@pytest.fixture
def place(tmp_path: Path, city: City, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small city and its scenario; the engine is a stand-in."""
    monkeypatch.setitem(sys.modules, "mndt.engine", fake_engine)
    monkeypatch.setattr(mndt, "engine", fake_engine, raising=False)
    monkeypatch.chdir(tmp_path)
    save_city(city, tmp_path / "city.npz")
    scenario = Scenario(name="tiny", city=CitySource(source="file", file="city.npz"), run=RunParameters(minutes=1))
    (tmp_path / "s.toml").write_text(dump(scenario))
    return tmp_path


def call(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_help_comes_at_once() -> None:
    code = "import sys; sys.argv = ['mndt', '--help']\nfrom mndt.cli import main\nmain()"
    durations = []
    for _ in range(3):
        began = _seconds_of_commands()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        durations.append(_seconds_of_commands() - began)
    assert min(durations) < 0.3 * 2  # twice the promise: a busy machine counts more for the same work


def _seconds_of_commands() -> float:
    """What finished commands have computed: not the time they waited while others had the machine."""
    spent = os.times()
    return spent.children_user + spent.children_system


def test_help_loads_nothing_heavy() -> None:
    heavy = "numpy", "numba", "scipy", "pyarrow", "duckdb", "matplotlib", "pandas", "pydantic", "rich"
    code = f"import mndt.cli, sys; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_verb_has_help() -> None:
    def walk(command: object, words: list[str]) -> None:
        result = call(*words, "--help")
        assert result.exit_code == 0, words
        for name, sub in getattr(command, "commands", {}).items():
            assert sub.help, name
            walk(sub, [*words, name])

    walk(main, [])


def test_run_report_compare(place: Path) -> None:
    for policy in ("fundamentals", "proportional-fair"):
        result = call("run", "s.toml", "--policy", policy, "--out", policy)
        assert result.exit_code == 0, result.output
        assert "throughput" in result.stdout
        assert "outage ratio" in result.stdout
        assert f"run folder: {policy}" in result.stdout
        assert "60 steps of" in result.stderr  # what it will take
    table = call("compare", "fundamentals", "proportional-fair")
    assert table.exit_code == 0
    row = next(line for line in table.stdout.splitlines() if line.startswith("X.ThroughputDl"))
    assert "to" in row


def test_set_reaches_the_run(place: Path) -> None:
    assert call("run", "s.toml", "--set", "radio.shadowing=false", "--seed", "7", "--out", "a").exit_code == 0
    text = (place / "a" / "scenario.toml").read_text()
    assert "shadowing = false" in text
    assert "seed = 7" in text


def test_resume_through_the_command_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = fake_engine.step, iter(range(100))

    def interrupted(*arguments: object) -> object:
        if next(calls) == 30:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(fake_engine, "step", interrupted)
    stopped = call("run", "s.toml", "--out", "a")
    assert stopped.exit_code == 130
    assert "go on with: mndt run --resume a" in stopped.stderr
    monkeypatch.setattr(fake_engine, "step", real)
    assert call("run", "--resume", "a").exit_code == 0
    again = call("run", "--resume", "a", "--seed", "3")
    assert again.exit_code == 2
    assert "--resume DIR alone" in again.stderr


def test_a_real_ctrl_c_stops_cleanly(place: Path) -> None:
    heard = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # jobs in the background ignore it
    )
    code = heard + "import fake_engine; fake_engine.install(slow=0.01); from mndt.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", "s.toml", "--minutes", "60", "--out", "a"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (place / "a" / "checkpoint.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == "mndt: stopped; go on with: mndt run --resume a"
    assert json.loads((place / "a" / "run.json").read_text())["status"] == "interrupted"


def test_ctrl_c_before_the_run_leaves_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fake_engine, "build_world", stop)
    result = call("run", "s.toml", "--out", "a")
    assert result.exit_code == 130
    assert not (place / "a").exists()


def test_quiet_says_results_only(place: Path) -> None:
    result = call("-q", "run", "s.toml", "--out", "a")
    assert result.stderr == ""
    assert "throughput" in result.stdout


def test_a_fault_of_ours_is_one_line_and_a_traceback_on_request(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr(fake_engine, "build_world", fault)
    result = call("run", "s.toml")
    assert result.exit_code == 1
    assert "mndt: ZeroDivisionError: oh no; this is a fault in mndt" in result.stderr
    assert "Traceback" not in result.stderr
    assert isinstance(call("-v", "run", "s.toml").exception, ZeroDivisionError)


def test_scenario_verbs(place: Path) -> None:
    assert call("scenario", "new", "mine.toml").exit_code == 0
    checked = call("scenario", "check", "mine.toml")
    assert checked.exit_code == 0
    assert "600 steps from 08:00" in checked.stdout
    assert call("scenario", "new", "mine.toml").exit_code == 2  # never overwrites
    shown = call("scenario", "show", "mine.toml", "--set", "run.minutes=3").stdout
    assert "minutes = 3.0" in shown
    assert json.loads(call("scenario", "schema").stdout)["title"] == "Scenario"


def test_doctor_looks_at_everything(place: Path) -> None:
    result = call("doctor")
    assert result.exit_code == 0
    for what in (
        "python",
        "numba",
        "memory",
        "cores",
        "cache",
        "extra rt",
        "extra peers",
        "ray tracing",
        "MQTT broker",
    ):
        assert what in result.stdout
    heavy = "numba", "sionna", "mitsuba"
    code = f"from mndt.doctor import look; import sys; list(look()); print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_cache_verbs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNDT_CACHE", str(place / "cache"))
    assert "0 maps" in call("cache", "list").stdout
    (place / "cache" / "maps").mkdir(parents=True)
    (place / "cache" / "maps" / "maps-1.npy").write_bytes(bytes(2_000_000))
    assert "1 maps, 2.0 MB" in call("cache", "list").stdout
    assert "2.0 MB freed" in call("cache", "clear").stdout
    assert "0 maps" in call("cache", "list").stdout


def test_json_is_the_last_line_and_flat() -> None:
    import numpy as np

    peer = {"name": "Peer", "version": "1.0", "figures": {"rate": np.float32(2)}}
    result = output.Result("x", {"a": np.int64(3), "b": float("nan")}, peers=[peer], seeds=[1], note="no peer")
    content = json.loads(output.timed(lambda: result).json())
    assert set(content) == {"name", "figures", "peers", "machine", "seeds", "seconds"}
    assert content["figures"] == {"a": 3, "b": None}
    assert content["peers"][0]["figures"] == {"rate": 2.0}
    assert content["machine"]["cores"] >= 1
    assert result.text().splitlines()[-1] == "no peer"


def test_help_names_every_policy_and_preset() -> None:
    from mndt.optimise.policy import POLICIES
    from mndt.scenario import PRESETS

    text = call("run", "--help").stdout
    for name in (*POLICIES, *PRESETS):
        assert name in text
