"""A run handed on as measurement files says what its tables say."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

import fake_engine
from mndt import exports, runfolder, runs
from mndt.city.model import City
from mndt.city.synthetic import synthetic_city
from mndt.errors import InputError
from mndt.formats.pm_xml import read_pm_xml
from mndt.network.kpi import KPI_FIELDS, Period


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> runfolder.Run:
    """Four minutes from 08:00 in a city with odd names."""
    city = synthetic_city(lanes=120, areas=30, outdoor_sites=2, indoor_sites=3, size_m=400.0)
    names = ('quay "east"', "a<b & c", "plain", "one, two", "five=5")
    city = replace(city, cells=replace(city.cells, name=names[: len(city.cells)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "mndt.engine", fake_engine)
        patch.setattr("mndt.engine", fake_engine, raising=False)
        return runs.run(city, minutes=4, out=tmp_path_factory.mktemp("runs") / "a", progress=False)


def test_files_say_what_the_table_of_cells_says(run: runfolder.Run, tmp_path: Path) -> None:
    lines = exports.pm_xml(run.folder, tmp_path / "pm", period_s=120)
    assert lines[0] == f"2 files of 120 s in {tmp_path / 'pm'}: 5 cells, {len(cell_fields())} counters"
    table, info = read_pm_xml(tmp_path / "pm")
    assert [path.name for path in info.files] == [
        f"B20260105.{a}+0000-{b}+0000_synthetic-city-0.xml" for a, b in (("0800", "0802"), ("0802", "0804"))
    ]
    assert info.counters == [f.column for f in cell_fields()]
    assert not table["suspect"].any()
    assert set(table["duration_s"]) == {120.0}
    rows = run.cells.order("time_s, cell").fetchnumpy()
    for number, first_s in enumerate((28_800, 28_920)):
        end_s = int(datetime(2026, 1, 5, tzinfo=UTC).timestamp()) + first_s + 120
        here, there = table["end_s"] == end_s, (rows["time_s"] >= first_s) & (rows["time_s"] < first_s + 120)
        assert table["name"][here].tolist() == list(run.city.cells.name), number
        for f in cell_fields():
            seconds = np.ma.getdata(rows[f.column])[there].reshape(120, -1).astype(float)
            whole = np.ma.getdata(rows[f.over])[there].reshape(120, -1) if f.over else None
            np.testing.assert_allclose(table[f.column][here], over_time(f.period, seconds, whole), rtol=1e-8)


def over_time(period: str, seconds: np.ndarray, whole: np.ndarray | None) -> np.ndarray:
    """The rules of the table of KPIs, said once more."""
    if whole is not None:
        weights = whole.sum(axis=0)
        return np.where(weights > 0, (seconds * whole).sum(axis=0) / np.maximum(weights, 1e-300), seconds[0])
    if period == "last":
        return seconds[-1]
    return {"mean": seconds.mean, "sum": seconds.sum, "max": seconds.max}[period](axis=0)


def cell_fields() -> list:
    return [f for f in KPI_FIELDS if f.level == "cell"]


def test_a_period_covered_in_part_is_suspect(run: runfolder.Run, tmp_path: Path) -> None:
    lines = exports.pm_xml(run.folder, tmp_path / "pm", day=date(2026, 11, 22))
    assert lines[0].startswith("1 file of 900 s")
    assert lines[-1] == "covered in part, and flagged suspect: 1"
    table, info = read_pm_xml(tmp_path / "pm")
    assert [path.name for path in info.files] == ["B20261122.0800+0000-0815+0000_synthetic-city-0.xml"]
    assert table["suspect"].all()
    assert set(table["duration_s"]) == {900.0}
    exports.pm_xml(run.folder, tmp_path / "day", period_s=86_400)
    day, _ = read_pm_xml(tmp_path / "day")  # begins eight hours before the run
    for name in info.counters:
        np.testing.assert_allclose(day[name], table[name], rtol=1e-8)
    whole = Period("cell")
    rows = run.cells.order("time_s, cell").fetchnumpy()
    whole.add({name: np.ma.getdata(column).reshape(240, -1) for name, column in rows.items()})
    np.testing.assert_allclose(table["RRC.ConnMax"], whole.values()["RRC.ConnMax"])


def test_periods_longer_than_a_chunk_are_read_in_pieces(
    run: runfolder.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports.pm_xml(run.folder, tmp_path / "one", period_s=180)
    monkeypatch.setattr(exports, "_CHUNK_S", 50)
    exports.pm_xml(run.folder, tmp_path / "many", period_s=180)
    one, many = (read_pm_xml(tmp_path / name)[0] for name in ("one", "many"))
    assert one["suspect"].tolist() == [False] * 5 + [True] * 5
    for name in one:
        if one[name].dtype == float:
            np.testing.assert_allclose(many[name], one[name], rtol=1e-8)
        else:
            assert many[name].tolist() == one[name].tolist()


def test_counters_are_explained(run: runfolder.Run, tmp_path: Path) -> None:
    exports.pm_xml(run.folder, tmp_path / "pm")
    with (tmp_path / "pm" / "counters.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert rows["PEE.Energy"]["unit"] == "kWh"
    assert rows["PEE.Energy"]["over_a_period"] == "sum"
    assert rows["RRU.PrbTotDl"]["over_a_period"] == "weighted by RRU.PrbAvailDl"
    assert all(row["definition"] for row in rows.values())


def test_nothing_is_overwritten_unasked(run: runfolder.Run, tmp_path: Path) -> None:
    exports.pm_xml(run.folder, tmp_path / "pm", period_s=60)
    with pytest.raises(InputError, match="--force"):
        exports.pm_xml(run.folder, tmp_path / "pm")
    exports.pm_xml(run.folder, tmp_path / "pm", force=True)
    assert len(list((tmp_path / "pm").glob("*.xml"))) == 1
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("dear")
    with pytest.raises(InputError, match=r"counters\.csv"):
        exports.pm_xml(run.folder, tmp_path / "thesis", force=True)


@pytest.mark.parametrize("period_s", [1, 90, 172_800])
def test_periods_that_file_names_cannot_tell_are_refused(run: runfolder.Run, tmp_path: Path, period_s: int) -> None:
    with pytest.raises(InputError, match="whole minutes"):
        exports.pm_xml(run.folder, tmp_path / "pm", period_s=period_s)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_run_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a run folder of mndt"):
        exports.pm_xml(tmp_path / "none", tmp_path / "pm")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_xml_cannot_hold_leaves_nothing(
    run: runfolder.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city: City = run.city
    broken = replace(city, cells=replace(city.cells, name=("a\x07", *city.cells.name[1:])))
    monkeypatch.setattr(runfolder.Run, "city", broken)
    with pytest.raises(InputError, match="which XML cannot hold"):
        exports.pm_xml(run.folder, tmp_path / "pm")
    assert list(tmp_path.iterdir()) == []
