"""The real engine through the command line: a small city, run, stopped, resumed, compared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mndt import engine, runs
from mndt.cli import main
from mndt.runfolder import Run
from mndt.scenario import Scenario, load, set_value

SMALL = ("city.size_m=400", "city.lanes=120", "city.areas=60", "city.outdoor_sites=3", "city.indoor_sites=5")


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    chosen = load("table1")
    for setting in (*SMALL, "users.count=600", "run.minutes=1.5"):
        chosen = set_value(chosen, setting)
    return chosen


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(scenario: Scenario, place: Path) -> Run:
    return runs.run(scenario, out=place / "whole", cache_dir=place / "cache")


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "timings.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_resumed_run_has_the_bytes_of_one_that_never_stopped(
    scenario: Scenario, place: Path, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = engine.step, iter(range(1000))

    def interrupted(*arguments: object) -> object:
        if next(calls) == 75:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "step", interrupted)
    with pytest.raises(runs.Interrupted):
        runs.run(scenario, out=place / "paused", cache_dir=place / "cache")
    monkeypatch.setattr(engine, "step", real)
    runs.resume(place / "paused", cache_dir=place / "cache")
    assert content(place / "paused") == content(whole.folder)


def test_the_tables_agree_with_each_other(whole: Run, scenario: Scenario) -> None:
    totals, cells = whole.kpis.fetchnumpy(), whole.cells.fetchnumpy()
    n_cells = len(whole.city.cells)
    assert len(totals["time_s"]) == scenario.run.steps
    for name in ("X.SumRate", "X.TransmitPower", "RRC.ConnMean", "RRU.PrbUsedDl"):
        of_cells = cells[name].reshape(-1, n_cells).sum(axis=1, dtype=np.float64)
        assert of_cells == pytest.approx(totals[name], rel=1e-5), name
    events = whole.events.fetchnumpy()
    assert np.count_nonzero(events["kind"] == "handover") == totals["X.Handovers"].sum()
    users = whole.users.fetchnumpy()
    at_end = users["time_s"] == totals["time_s"][-1]
    assert users["X.Delivered"][at_end].sum(dtype=np.float64) == pytest.approx(totals["X.ThroughputDl"][-1], rel=1e-5)


def test_nobody_is_lost_between_the_tables_of_people(whole: Run, scenario: Scenario) -> None:
    people, users = whole.people.fetchnumpy(), whole.users.fetchnumpy()
    first = engine.start(runs.build(scenario, cache_dir=whole.folder.parent / "cache"), seed=scenario.run.seed)
    at_end = users["time_s"] == users["time_s"].max()
    gone = people["started"].sum() - people["arrived"].sum()
    assert np.count_nonzero(users["mode"][at_end] >= 1) == np.count_nonzero(first.users.mode >= 1) + gone
    assert len(whole.journeys.fetchnumpy()["user"]) == people["arrived"].sum() > 0
    assert sum(people[m] for m in ("absent", "inside", "walk", "bicycle", "car")) == pytest.approx(600)


def test_demand_by_cluster_is_what_the_network_was_offered(whole: Run) -> None:
    demand, totals = whole.demand.fetchnumpy(), whole.kpis.fetchnumpy()
    assert demand["offered_bits"].sum() == pytest.approx(totals["X.OfferedDl"].sum(), rel=1e-5)
    assert demand["user_seconds"].sum() == 600 * len(totals["time_s"])


@pytest.mark.slow
def test_an_hour_of_the_paper_s_city_within_bounded_memory(tmp_path: Path) -> None:
    """13,000 users and 184 cells by command; memory at the end is that of the tenth minute and a little."""
    command = [sys.executable, "-c", HOUR, str(tmp_path / "run")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3000).stdout
    early_mb, late_mb = (float(word) for word in told.split()[-2:])
    assert late_mb < early_mb + 100
    people = runs.read(tmp_path / "run").people.fetchnumpy()
    assert people["seconds"].sum() == 3600
    assert people["disconnected"].sum() == 0


HOUR = """
import resource, sys
from mndt import runfolder
from mndt.cli import main
kept, write = [], runfolder.write_part
def counted(folder, table, number, columns):
    if table == "totals" and number in (9, 59):
        kept.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    write(folder, table, number, columns)
runfolder.write_part = counted
main(["-q", "run", "table1", "--hours", "1", "--out", sys.argv[1]], standalone_mode=False)
print(*kept)
"""


def test_hours_are_sixty_minutes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}
    monkeypatch.setattr(runs, "run", lambda chosen, **wishes: asked.update(wishes) or sys.exit(7))
    assert CliRunner().invoke(main, ["run", "table1", "--hours", "24"]).exit_code == 7
    assert asked["minutes"] == 1440
    both = CliRunner().invoke(main, ["run", "table1", "--hours", "1", "--minutes", "5"])
    assert both.exit_code == 2
    assert "--hours" in both.output


def test_what_a_planner_sees(place: Path, whole: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNDT_CACHE", str(place))
    other = str(place / "other")
    result = CliRunner().invoke(
        main, ["run", str(whole.folder / "scenario.toml"), "--policy", "proportional-fair", "--out", other]
    )
    assert result.exit_code == 0, result.output
    table = CliRunner().invoke(main, ["compare", str(whole.folder), other])
    assert table.exit_code == 0, table.output
    rows = {line.split()[0]: line for line in table.stdout.splitlines()}
    assert float(rows["X.ThroughputDl"].split()[3].replace(",", "")) > 0  # the better scheduler delivers more
