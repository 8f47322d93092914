from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.formats import inventory


def _file(content: bytes) -> Path:
    """A file of its own for each example."""
    folder = Path(tempfile.mkdtemp())
    path = folder / "cells.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_any_usual_spelling_gives_the_same_rows(separator: str, encoding: str, line_end: str) -> None:
    lines = ["# made by hand", separator.join(("cell", "Ort", "lat")), separator.join(("a", "Töölö", "60")), "", ""]
    rows, info = inventory.read(_file(line_end.join(lines).encode(encoding)))
    assert rows == [inventory.Row(3, {"cell": "a", "Ort": "Töölö", "lat": "60"})]
    assert info.columns == ("cell", "Ort", "lat")
    assert info.separator == separator
    assert info.decimal_comma == (separator != ",")


def test_gzip_is_unpacked_and_a_cut_off_one_refused() -> None:
    packed = gzip.compress(b"cell,lat\na,1\n" + bytes(range(65, 91)) * 100)
    with pytest.raises(InputError, match="damaged gzip"):
        inventory.read(_file(packed[: len(packed) // 2]))
    assert inventory.read(_file(gzip.compress(b"cell,lat\na,1\n")))[0][0].values == {"cell": "a", "lat": "1"}


def test_quoted_values_keep_separators_and_line_numbers() -> None:
    rows, _ = inventory.read(_file(b'cell,note\n"a,1","two\nlines"\n# out of service\n\nb,x\n'))
    assert [(row.line, row.values["cell"]) for row in rows] == [(2, "a,1"), (6, "b")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "content is empty"),
        (b"\n  \n", "content is empty"),
        (b"cell,lat\n", "content is a header only"),
        (b"cell,Cell\na,b\n", "column is 'Cell' twice"),
        (b"cell,lat\na,1,2\n", "number of values is 3, allowed is 2"),
        (b"cell\x00\x01,lat\na,1\n", "content is binary data"),
    ],
)
def test_a_table_that_is_none_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=r"cells\.csv") as caught:
        inventory.read(_file(content))
    assert said in str(caught.value)


def test_no_such_file() -> None:
    with pytest.raises(InputError, match="check the path"):
        inventory.read("/no/such/cells.csv")


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_read_or_refused(content: bytes) -> None:
    try:
        rows, info = inventory.read(_file(content))
    except InputError:
        return
    assert rows
    assert all(set(row.values) <= set(info.columns) for row in rows)


@given(st.floats(-1e9, 1e9))
def test_numbers_with_point_and_comma(value: float) -> None:
    text = f"{value:.6f}"
    assert inventory.number(text, decimal_comma=False) == float(text)
    assert inventory.number(text.replace(".", ","), decimal_comma=True) == float(text)


@pytest.mark.parametrize("text", ["", "nan", "inf", "-Infinity", "1,5", "1_000", "0x10", "12 m", "--3", "1.5.2"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        inventory.number(text, decimal_comma=False)


def test_a_file_cut_off_in_its_last_line_is_refused(tmp_path: Path) -> None:
    whole = "cell,lat,lon,azimuth\na,60.1,24.9,10\nb,60.2,24.9,20\n"
    path = tmp_path / "cells.csv"
    path.write_text(whole[:-4])
    with pytest.raises(InputError, match=r"line 3: number of values is 3.*cut off"):
        inventory.read(path)
    path.write_text(whole[:-1])  # only the line end is missing
    assert len(inventory.read(path)[0]) == 2


def test_a_cell_may_be_called_like_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("# made by hand\ncell,lat,lon\n# a remark\n#7,60.1,24.9\n")
    assert [row.values["cell"] for row in inventory.read(path)[0]] == ["#7"]
