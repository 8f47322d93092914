from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.formats.pm_xml import Element, write_pm_xml
from mndt.plants import Change, EndedError, PhysicalNetwork, Turn
from mndt.plants.replay import ReplayPlant

ROWS = """end_s,cell,RRU.PrbTotDl,DRB.PdcpSduVolumeDL
60,b,10,1.5
60,a,20,2.5
120,a,30,
120,a,99,9
180,b,40,4
"""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    (tmp_path / "week.csv").write_text(ROWS)
    return tmp_path


def test_periods_come_in_order_with_holes_where_records_are_missing(recording: Path) -> None:
    plant = ReplayPlant(recording)
    assert isinstance(plant, PhysicalNetwork)
    first, second, third = plant.rest()
    assert plant.cell == ("a", "b")
    assert first.kpis["RRU.PrbTotDl"].tolist() == [20.0, 10.0]
    assert (first.begin_s, first.end_s) == (0.0, 60.0)
    assert np.isnan(second.kpis["RRU.PrbTotDl"][1])
    assert np.isnan(second.kpis["DRB.PdcpSduVolumeDL"]).all()
    assert second.kpis["RRU.PrbTotDl"][0] == 30.0
    assert plant.repeated == 1
    assert third.end_s == 180.0
    assert first.totals["DRB.PdcpSduVolumeDL"] == 4.0
    assert "RRU.PrbTotDl" not in first.totals  # a ratio does not add up
    with pytest.raises(EndedError, match="over"):
        plant.observe()


def test_a_recording_refuses_every_change(recording: Path) -> None:
    answer = ReplayPlant(recording).apply(Change("x", (Turn("a", "power_dbm", 20.0),)))
    assert not answer.accepted
    assert "cannot be turned" in answer.reason


def test_parquet_and_csv_say_the_same(recording: Path, tmp_path: Path) -> None:
    import duckdb

    folder = tmp_path / "parquet"
    folder.mkdir()
    duckdb.read_csv(str(recording / "week.csv")).write_parquet(str(folder / "week.parquet"))
    for a, b in zip(ReplayPlant(recording).rest(), ReplayPlant(folder).rest(), strict=True):
        assert a.end_s == b.end_s
        for name in a.kpis:
            assert np.array_equal(a.kpis[name], b.kpis[name], equal_nan=True)


def test_measurement_files_of_3gpp_are_read_with_their_periods(tmp_path: Path) -> None:
    begin = datetime(2026, 1, 5, 8, tzinfo=UTC)
    for number in range(2):
        values = np.array([[1.0 + number], [5.0]])
        element = Element("ManagedElement=mast", ["NRCellDU=mast-1", "NRCellDU=mast-2"], values, np.zeros(2, bool))
        a, b = (begin + timedelta(minutes=15 * (number + later)) for later in (0, 1))
        write_pm_xml(tmp_path / f"{number}.xml", [element], ["RRC.ConnMean"], a, b, sender="ManagementNode=x")
    first, second = ReplayPlant(tmp_path).rest()
    assert first.cell == ("mast-1", "mast-2")
    assert first.end_s - first.begin_s == 900
    assert first.begin_s == begin.timestamp()
    assert first.end_s == second.begin_s
    assert second.kpis["RRC.ConnMean"].tolist() == [2.0, 5.0]


def test_a_time_stamp_is_seconds_since_1970(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("time,cell,n\n2026-01-05 08:00:00,a,1\n2026-01-05 08:15:00,a,2\n")
    first, _ = ReplayPlant(tmp_path / "x.csv").rest()
    assert first.end_s == datetime(2026, 1, 5, 8, tzinfo=UTC).timestamp()
    assert first.end_s - first.begin_s == 900


def test_the_configuration_beside_a_recording_is_told(recording: Path) -> None:
    (recording / "configuration.csv").write_text("cell,power_dbm,electrical_tilt_deg\na,27,4\n")
    configuration = ReplayPlant(recording).observe().configuration
    assert configuration is not None
    assert configuration.value("a", "power_dbm") == 27.0
    assert np.isnan(configuration.value("b", "power_dbm"))
    assert np.isnan(configuration.value("a", "azimuth_deg"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.txt", "hello", "PM XML, CSV or Parquet"),
        ("x.csv", "cell,n\na,1\n", "one of end_s"),
        ("x.csv", "end_s,n\n1,1\n", "one of cell"),
        ("x.csv", "end_s,cell,word\n1,a,b\n", "at least one column of numbers"),
        ("x.csv", "end_s,cell,n\nsoon,a,1\n", "seconds or time stamps"),
        ("x.parquet", "no parquet", "whole parquet files"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=says) as error:
        ReplayPlant(tmp_path)
    assert "\n" not in str(error.value)


def test_a_wrong_configuration_is_refused(recording: Path) -> None:
    (recording / "configuration.csv").write_text("cell,power_dbm\na,99\n")
    with pytest.raises(InputError, match="power_dbm is 99"):
        ReplayPlant(recording)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="recording"):
        ReplayPlant(tmp_path / "nowhere")
