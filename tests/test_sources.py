"""Runs on recorded tracks and on live SUMO: end to end, the same bytes twice, and resumed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mndt import engine, runs
from mndt.city.model import City
from mndt.city.store import save_city
from mndt.city.synthetic import synthetic_city
from mndt.errors import InputError
from mndt.scenario import load, set_value
from mndt.state import Mode
from mndt.users.sumo_live import REST_S, SumoMemory, seat


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A city of 400 x 400 m, and ten people recorded in it every five seconds for three minutes."""
    place = tmp_path_factory.mktemp("sources")
    city: City = synthetic_city(lanes=120, areas=30, outdoor_sites=2, indoor_sites=3, size_m=400.0)
    save_city(city, place / "city.npz")
    rows = [
        f"{28800 + t},u{u},{40 + 30 * u + 0.5 * t:.1f},{200 + 10 * (u % 3)}"
        for t in range(0, 180, 5)
        for u in range(10)
    ]
    (place / "tracks.csv").write_text("\n".join(["time,id,x,y", *rows]) + "\n")
    head = '[city]\nsource = "file"\nfile = "city.npz"\n[run]\nminutes = 2.5\n[users]\ncount = 40\n[mobility]\n'
    (place / "tracks.toml").write_text(head + 'source = "tracks"\nfile = "tracks.csv"\n')
    (place / "sumo.toml").write_text(head + 'source = "sumo"\nfile = "town.sumocfg"\noffset_m = [40.0, 40.0]\n')
    return place


def content(run: runs.Run) -> dict[str, bytes]:
    names = [path for path in run.folder.rglob("*") if path.is_file() and path.name != "timings.json"]
    return {str(path.relative_to(run.folder)): path.read_bytes() for path in names}


def whole_again_and_resumed(scenario: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> runs.Run:
    """A run, the same again, and one stopped in its second minute and resumed: all the same bytes."""
    first = runs.run(scenario, out=out / "a", cache_dir=out, progress=False)
    again = runs.run(scenario, out=out / "b", cache_dir=out, progress=False)
    assert content(first) == content(again)
    real, calls = engine.step, iter(range(1000))

    def interrupted(*arguments: object) -> object:
        if next(calls) == 75:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(engine, "step", interrupted)
        with pytest.raises(runs.Interrupted):
            runs.run(scenario, out=out / "c", cache_dir=out, progress=False)
    assert content(runs.resume(out / "c", cache_dir=out, progress=False)) == content(first)
    return first


def test_a_run_on_recorded_tracks(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = whole_again_and_resumed(folder / "tracks.toml", tmp_path, monkeypatch)
    users = run.users.filter("time_s = 28859").order('"user"').fetchnumpy()  # at the end of that second
    assert users["x_m"][:3] == pytest.approx([70.0, 100.0, 130.0])
    assert users["mode"].tolist() == [Mode.WALK] * 10
    assert run.summary["X.ThroughputDl"] > 0


def test_what_was_found_is_told_and_nobody_there_is_refused(folder: Path) -> None:
    told: list[str] = []
    scenario = load(folder / "tracks.toml")
    runs.check(scenario, say=told.append)
    assert "360 records of 10 users, 08:00:00 to 08:02:55" in told[0]
    with pytest.raises(InputError, match=r"some within the run, 17:00:00 to 17:02:30"):
        runs.check(set_value(scenario, "run.start=17:00"))
    runs.check(set_value(set_value(scenario, "run.start=17:00"), "mobility.begin=17:00"))
    with pytest.raises(InputError, match=r"none on the map"):
        runs.check(set_value(set_value(scenario, "mobility.gap_s=1"), f"mobility.file={_far(folder)}"))
    for key, message in (("mobility.file=none.csv", "existing file"), ("mobility.source=own", "set mobility.source")):
        with pytest.raises(InputError, match=message):
            set_value(scenario, key)


def _far(folder: Path) -> Path:
    (folder / "far.csv").write_text("time,id,x,y\n28800,a,4000,1\n")
    return folder / "far.csv"


def test_rows_rest_before_the_next_user_gets_them() -> None:
    none = np.zeros(1, np.int64)
    memory = SumoMemory(np.zeros(2, "U48"), np.full(2, -REST_S), none, none, none)
    seen = []
    for second, names in enumerate([["a", "b"], ["b", "c"], ["c", "b"], *[["c"]] * 9, ["c", "d"]]):
        memory, row = seat(memory, np.array(names, "U48"), second)
        seen.append(dict(zip(names, row.tolist(), strict=True)))
    assert seen[0] == {"a": 0, "b": 1}
    assert seen[1] == {"b": 1, "c": -1}  # row 0 has just been left
    assert seen[10] == {"c": -1}
    assert seen[11] == {"c": 0}  # ten seconds after second 1
    assert seen[12] == {"c": 0, "d": -1}  # row 1 was left in second 3
    assert memory.n_waiting[0] == 1


@pytest.mark.peer
def test_a_run_on_live_sumo(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sumo = pytest.importorskip("sumo")
    made = ["-o", "town.net.xml", "--grid", "--grid.number", "4", "--grid.length", "100", "-S", "9"]
    subprocess.run([Path(sys.executable).parent / "netgenerate", *made], cwd=folder, check=True, capture_output=True)
    trips = ["-n", "town.net.xml", "-r", "town.rou.xml", "-o", "town.trips.xml", "-e", "150", "-p", "2", "--seed", "4"]
    tool = Path(sumo.__file__).parent / "tools" / "randomTrips.py"
    subprocess.run([sys.executable, tool, *trips], cwd=folder, check=True, capture_output=True)
    files = '<net-file value="town.net.xml"/><route-files value="town.rou.xml"/>'
    (folder / "town.sumocfg").write_text(f"<configuration><input>{files}</input></configuration>")
    run = whole_again_and_resumed(folder / "sumo.toml", tmp_path, monkeypatch)
    users = run.users.filter(f"mode = {int(Mode.CAR)}").fetchnumpy()
    assert len(users["x_m"]) > 30
    on_street = np.minimum(np.abs((users["x_m"] - 40 + 50) % 100 - 50), np.abs((users["y_m"] - 40 + 50) % 100 - 50))
    assert on_street.max() < 12.0  # the streets of the grid lie 100 m apart
    assert users["speed_mps"].max() > 8.0
