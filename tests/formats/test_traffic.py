from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mndt.errors import InputError
from mndt.formats.traffic import read


def write(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text)
    return path


def test_names_and_dates_as_people_write_them(tmp_path: Path) -> None:
    rows, info = read(write(tmp_path, "Cell ID;Timestamp;Volume\nA;2024-05-01 00:30;1,5\nB;2024-05-01T01:00:00Z;2\n"))
    assert rows.place.tolist() == ["A", "B"]
    assert rows.traffic.tolist() == [1.5, 2.0]
    assert (rows.time_s % 86_400).tolist() == [1800.0, 3600.0]
    assert info.columns == {"place": "Cell ID", "time": "Timestamp", "traffic": "Volume"}
    assert rows.users is None
    assert rows.group is None


@pytest.mark.parametrize("text", ["01.05.2024 07:30", "2024/05/01 07:30", "2024-05-01T07:30:00+08:00"])
def test_the_clock_as_written_counts(tmp_path: Path, text: str) -> None:
    rows, _ = read(write(tmp_path, f"place,time,traffic\n1,{text},3\n"))
    assert rows.time_s[0] % 86_400 == 7.5 * 3600


def test_numbers_are_seconds_milliseconds_or_slots(tmp_path: Path) -> None:
    seconds, _ = read(write(tmp_path, "place,time,traffic\n1,1714545000,3\n"))
    milliseconds, _ = read(write(tmp_path, "place,time,traffic\n1,1714545000000,3\n"))
    slots, _ = read(write(tmp_path, "place,slot,traffic\n1,3,3\n"), slot_minutes=15)
    assert seconds.time_s == milliseconds.time_s == 1_714_545_000
    assert slots.time_s == 2700


def test_bad_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    text = "place,time,traffic,users\n1,0,3,2\n,0,3,2\n1,later,3,2\n1,1800,x,2\n1,1800,-1,2\n1,3600,4,\n"
    rows, info = read(write(tmp_path, text))
    assert (len(rows), info.read, info.incomplete, info.negative) == (2, 6, 3, 1)
    np.testing.assert_array_equal(rows.users, [2.0, np.nan])


def test_parquet_says_the_same(tmp_path: Path) -> None:
    times = np.array(["2024-05-01T00:00", "2024-05-01T00:30"], dtype="datetime64[us]")
    table = pa.table({"tile": [7, 8], "time": times, "bytes": [1.0, 2.0], "ues": [3, 4], "district": ["a", "b"]})
    pq.write_table(table, tmp_path / "t.parquet")
    rows, _ = read(tmp_path / "t.parquet")
    assert rows.place.tolist() == ["7", "8"]
    assert np.diff(rows.time_s).tolist() == [1800.0]
    assert rows.users is not None
    assert rows.users.tolist() == [3.0, 4.0]
    assert rows.group is not None
    assert rows.group.tolist() == ["a", "b"]


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b,c,traffic\n1,0,5,9\n")
    rows, _ = read(path, columns={"place": "a", "time": "b", "traffic": "c"})
    assert rows.traffic.tolist() == [5.0]


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("place,time\n1,0\n", {}, "column traffic is missing"),
        ("place,time,traffic\n1,soon,3\n", {}, "time is soon"),
        ("place,time,traffic\n1,0,-3\n", {}, "traffic is -3"),
        ("place,time,traffic\n1,0,many\n", {}, "rows with all values is 0"),
        ("place,time,traffic\n1,0,3\n", {"trafic": "traffic"}, "did you mean 'traffic'"),
        ("place,time,traffic\n1,0,3\n", {"traffic": "bytes"}, "--column traffic is 'bytes'"),
        ("place,time,traffic\n", {}, "rows is 0"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, text: str, columns: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path, text), columns=columns)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_parquet_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="table is"):
        read(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="an existing file"):
        read(tmp_path / "none.parquet")
