from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.formats import opencellid

HEADER = ",".join(opencellid.COLUMNS)
LINES = (
    "LTE,244,5,1,19713,0,24.9412,60.1699,1000,25,1,1459813819,1717891624,0",
    "LTE,244,5,1,19714,0,24.9432,60.1689,1000,5,1,1459813819,1717891624,0",
    "NR,244,91,7,4198401,0,24.95,60.17,500,2,1,1459813819,1717891624,0",
    "GSM,244,5,1,4711,-1,24.94,60.17,2000,3,1,1459813819,1717891624,-70",
    "LTE,262,1,1,77,0,13.4,52.5,1000,9,1,1459813819,1717891624,0",
)


def _file(text: str, *, packed: bool = False) -> Path:
    path = Path(tempfile.mkdtemp()) / ("244.csv.gz" if packed else "244.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_recognised_and_filtered(header: bool, packed: bool) -> None:
    path = _file("\n".join(([HEADER] if header else []) + list(LINES)) + "\n", packed=packed)
    assert opencellid.is_opencellid(path)
    rows, info = opencellid.read(path, box=(24.9, 60.1, 25.0, 60.2))
    assert [row.cell for row in rows] == [19713, 19714, 4198401]
    assert rows[0].line == (2 if header else 1)
    assert (rows[0].longitude_deg, rows[0].latitude_deg, rows[0].samples) == (24.9412, 60.1699, 25)
    assert info.read == {"LTE": 3, "NR": 1, "GSM": 1}
    assert info.kept == {"LTE": 2, "NR": 1}
    assert "CC BY-SA" in info.attribution


def test_other_radios_on_demand() -> None:
    rows, _ = opencellid.read(_file("\n".join(LINES)), radios=("GSM",))
    assert [row.radio for row in rows] == ["GSM"]


def test_cells_of_one_station_share_its_number() -> None:
    rows, _ = opencellid.read(_file("\n".join(LINES)))
    assert rows[0].station == rows[1].station == ("LTE", 244, 5, 77)
    assert rows[2].station == ("NR", 244, 91, 1025)


def test_an_own_inventory_is_not_taken_for_one() -> None:
    assert not opencellid.is_opencellid(_file("cell,lat,lon\nLTE,244,5\n"))
    assert not opencellid.is_opencellid("/no/such/file.csv")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("LTE,244,5", "line 2: number of values is 3"),
        ("WIFI,244,5,1,1,0,24,60,1,1", "line 2: radio is 'WIFI', allowed is GSM, UMTS, LTE, NR, CDMA"),
        ("LTE,244,x,1,1,0,24,60,1,1", "line 2: net is 'x', allowed is a number"),
        ("LTE,244,5,1,1,0,nan,60,1,1", "line 2: lon is 'nan', allowed is a number"),
        ("LTE,244,5,1,1,0,24,95,1,1", "line 2: lat is 95.0, allowed is -90 to 90 deg"),
    ],
)
def test_a_damaged_line_is_named(line: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        opencellid.read(_file(f"{HEADER}\n{line}\n"))
    assert said in str(caught.value)


def test_a_cut_off_download_is_refused() -> None:
    path = _file("\n".join(LINES * 50), packed=True)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="damaged gzip"):
        opencellid.read(path)


@given(st.binary(max_size=200), st.booleans())
def test_bytes_of_any_kind_are_read_or_refused(content: bytes, header: bool) -> None:
    path = Path(tempfile.mkdtemp()) / "x.csv"
    path.write_bytes((HEADER.encode() + b"\n" if header else b"") + content)
    opencellid.is_opencellid(path)
    try:
        rows, _ = opencellid.read(path)
    except InputError:
        return
    assert all(row.radio in ("LTE", "NR") for row in rows)
