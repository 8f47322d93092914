from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.formats.measurements import read


def _write(folder: Path, text: str) -> Path:
    path = folder / "rsrp.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plain_table(tmp_path: Path) -> None:
    found, info = read(_write(tmp_path, "cell,x,y,rsrp_dbm\nA,1.5,2,-80\nB,3,4,-101.5\n"))
    assert found.cell.tolist() == ["A", "B"]
    assert found.rsrp_dbm.tolist() == [-80.0, -101.5]
    assert found.first.tolist() == [1.5, 3.0]
    assert not info.in_degrees
    assert (info.read, info.incomplete, info.out_of_range) == (2, 0, 0)


def test_other_names_separators_and_decimal_commas(tmp_path: Path) -> None:
    found, info = read(_write(tmp_path, "time;Cell ID;Longitude;Latitude;RSRP (dBm)\n1;7.0;24,9;60,2;-95,5\n"))
    assert found.cell.tolist() == ["7"]
    assert (found.first[0], found.second[0], found.rsrp_dbm[0]) == (24.9, 60.2, -95.5)
    assert info.in_degrees


def test_metres_win_over_degrees_and_gzip_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rsrp.csv.gz"
    path.write_bytes(gzip.compress(b"cell,lon,lat,x,y,rsrp\nA,24,60,5,6,-70\n"))
    found, info = read(path)
    assert not info.in_degrees
    assert found.second.tolist() == [6.0]


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    text = "cell,x,y,rsrp_dbm\nA,1,1,-80\n,1,1,-80\nA,,1,-80\nA,1,1,low\nA,1,1,-5\nA,1,1,-200\nA,1,1,nan\n"
    found, info = read(_write(tmp_path, text))
    assert len(found) == 1
    assert (info.read, info.incomplete, info.out_of_range) == (7, 4, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cell,x,y\nA,1,1\n", "column rsrp_dbm is missing"),
        ("x,y,rsrp_dbm\n1,1,-80\n", "column cell is missing"),
        ("cell,x,rsrp_dbm\nA,1,-80\n", "column x and y, or lon and lat is missing"),
        ("cell,x,y,rsrp_dbm\n", "rows is 0"),
        ("cell,x,y,rsrp_dbm\nA,1,1,95\nA,1,2,90\n", "write levels in dBm, which are negative"),
        ("cell,x,y,rsrp_dbm\nA,1,1,\n", "rows with all values is 0"),
        ("cell,x,y,rsrp_dbm\nA,1,1,-80\nA,1\n", "save it as CSV again"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(_write(tmp_path, text))


def test_many_rows_are_read_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    level = rng.integers(-1200, -600, 50_000) / 10
    lines = [f"c{k % 99},{k},{k},{v}" for k, v in enumerate(level)]
    found, _ = read(_write(tmp_path, "\n".join(["cell,x,y,rsrp_dbm", *lines])))
    np.testing.assert_array_equal(found.rsrp_dbm, level)
