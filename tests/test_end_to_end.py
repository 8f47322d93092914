"""The real engine through the command line: a small city, run, stopped, resumed, compared."""

from __future__ import annotations

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
