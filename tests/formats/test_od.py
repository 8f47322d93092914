from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.formats import od


def write(folder: Path, name: str, *lines: str) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def test_zones_by_name(tmp_path: Path) -> None:
    zones = write(tmp_path, "zones.csv", "zone,lon,lat", "n,24.9,60.2", "s,24.9,60.1")
    matrix, info = od.read(write(tmp_path, "od.csv", "to_zone,trips,from_zone", "s,3,n", "n,1,s", "s,2,n"), zones)
    assert matrix.in_degrees
    assert matrix.names == ("n", "s")
    pairs = zip(matrix.origin.tolist(), matrix.target.tolist(), matrix.trips.tolist(), strict=True)
    assert list(pairs) == [(0, 1, 5.0), (1, 0, 1.0)]
    assert info.refused == ()


def test_positions_in_the_place_of_names(tmp_path: Path) -> None:
    lines = (
        "origin_lon,origin_lat,destination_lon,destination_lat,count",
        "24.9,60.2,24.8,60.1,4",
        "24.8,60.1,24.9,60.2,2",
    )
    matrix, _ = od.read(write(tmp_path, "od.csv", *lines))
    assert len(matrix.centre) == 2
    assert matrix.trips.sum() == 6
    assert matrix.centre[matrix.origin[0]].tolist() == matrix.centre[matrix.target[1]].tolist()


def test_very_many_positions_are_gathered(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [",".join(f"{v:.4f}" for v in rng.random(4)) + ",1" for _ in range(3000)]
    matrix, info = od.read(write(tmp_path, "od.csv", "from_lon,from_lat,to_lon,to_lat,trips", *rows))
    assert len(matrix.centre) <= od.MOST_ZONES
    assert matrix.trips.sum() == 3000
    assert "gathered" in info.notes[0]


def test_bad_lines_are_left_out_each_with_a_sentence(tmp_path: Path) -> None:
    zones = write(tmp_path, "zones.csv", "zone,x_m,y_m", "a,0,0", "b,1,1")
    lines = ("from_zone,to_zone,trips", "a,b,5", "a,a,1", "b,a,1", "a,b,-1", "a,c,2", "a,b,many")
    matrix, info = od.read(write(tmp_path, "od.csv", *lines), zones)
    assert matrix.trips.sum() == 7
    assert not matrix.in_degrees
    for part in (
        "line 5: trips is '-1', allowed is a number from 0",
        "line 6: to_zone is 'c'",
        "line 7: trips is 'many'",
    ):
        assert any(part in sentence for sentence in info.refused), part


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("from_zone,to_zone,trips", "a,b,1"), "--zones"),
        (("from_zone,to_zone", "a,b"), "column trips is missing"),
        (("a,b,trips", "1,2,3"), "from_zone and to_zone"),
        (("from_lon,from_lat,to_lon,to_lat,trips", "500,60,24,60,1"), "from_lon is '500'"),
    ],
)
def test_a_table_that_is_no_matrix_is_refused(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        od.read(write(tmp_path, "od.csv", *lines))
