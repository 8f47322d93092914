"""Measured levels in tables: drive tests, minimisation of drive tests, crowd data; one row for each report."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from mndt.errors import InputError
from mndt.formats import inventory

Array = np.ndarray

RSRP_DBM: Final = (-160.0, -20.0)
"""What a phone can report, a little wider than TS 38.133 clause 10.1.6 (-156 to -31 dBm)."""

COLUMNS: Final = {
    "cell": ("cell", "cell_id", "cellid", "cell_name", "cell_index", "ci", "ecgi", "nci", "eci"),
    "x": ("x", "x_m", "easting", "easting_m", "utm_x", "pos_x"),
    "y": ("y", "y_m", "northing", "northing_m", "utm_y", "pos_y"),
    "lon": ("lon", "longitude", "longitude_deg", "lng", "long"),
    "lat": ("lat", "latitude", "latitude_deg"),
    "rsrp_dbm": ("rsrp_dbm", "rsrp", "rsrp_db", "ss_rsrp", "level_dbm", "rscp", "mean_rsrp"),
}
"""Names under which a column is found, the first is ours."""


@dataclass(frozen=True)
class Measurements:
    """Reports that can be used: a cell's name, a position, a level."""

    cell: Shaped[Array, "rows"]  # names, as texts
    first: Float64[Array, "rows"]  # x in metres or longitude in degrees
    second: Float64[Array, "rows"]  # y or latitude
    rsrp_dbm: Float64[Array, "rows"]

    def __len__(self) -> int:
        return len(self.cell)


@dataclass(frozen=True)
class MeasurementInfo:
    """What was read, and what was left out."""

    path: Path
    in_degrees: bool  # positions are longitude and latitude
    read: int  # rows of the table
    incomplete: int  # left out: a value is missing or no number
    out_of_range: int  # left out: a level outside RSRP_DBM


def read(path: str | Path) -> tuple[Measurements, MeasurementInfo]:
    """Read a table of measurements with columns cell, x and y (or lon and lat), rsrp_dbm.

    Comma, semicolon, tab or bar separated, plain or gzip; other columns are not looked at. Rows without a cell,
    a position or a level, and levels outside `RSRP_DBM`, are left out and counted.

    Raises:
        InputError: no such file, a column missing, or no row that can be used.
    """
    path = Path(path)
    table, decimal_comma = _table(path)
    at = _find([str(name) for name in table.column_names], path)
    numbers = [_numbers(table.column(at[name]), decimal_comma) for name in at if name != "cell"]
    cell = _names(table.column(at["cell"]))
    complete: Bool[Array, "rows"] = np.isfinite(np.stack(numbers)).all(axis=0) & (cell != "")
    level = numbers[-1]
    fits = complete & (level >= RSRP_DBM[0]) & (level <= RSRP_DBM[1])
    if not fits.any():
        _refuse_all(level[complete], path)
    info = MeasurementInfo(
        path, "lon" in at, len(cell), int((~complete).sum()), int(complete.sum() - fits.sum())
    )  # fmt: skip
    return Measurements(cell[fits], numbers[0][fits], numbers[1][fits], level[fits]), info


def _table(path: Path) -> tuple[Any, bool]:
    """All columns as texts, and whether numbers may have decimal commas."""
    from pyarrow import ArrowInvalid, csv, string

    text, _ = inventory.decode(inventory.load(path), path)
    text = "\n".join(line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    header, _, rest = text.partition("\n")
    if not rest:
        raise InputError("rows", 0, allowed="at least one below the header", fix="fill the file", where=str(path))
    separator = max((",", ";", "\t", "|"), key=header.count)
    names = [name.strip().strip('"') for name in header.split(separator)]
    options = csv.ConvertOptions(column_types=dict.fromkeys(names, string()), strings_can_be_null=False)
    try:
        table = csv.read_csv(
            io.BytesIO(text.encode()),
            read_options=csv.ReadOptions(column_names=names, skip_rows=1),
            parse_options=csv.ParseOptions(delimiter=separator),
            convert_options=options,
        )
    except ArrowInvalid as error:
        found = " ".join(str(error).split())
        raise InputError(
            "table",
            found[:120],
            allowed="a header and lines as wide as it",
            fix="save it as CSV again",
            where=str(path),
        ) from None
    return table, separator != ","


def _find(columns: list[str], path: Path) -> dict[str, int]:
    """Which column holds what; positions in metres win over degrees."""
    plain = [re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_") for name in columns]
    at = {ours: plain.index(name) for ours, names in COLUMNS.items() for name in names[::-1] if name in plain}
    place = ["x", "y"] if "x" in at and "y" in at else ["lon", "lat"]
    for name in ("cell", *place, "rsrp_dbm"):
        if name not in at:
            shown = "x and y, or lon and lat" if name in place else name
            raise InputError(
                f"column {shown}", "missing", allowed="columns cell, x and y (or lon and lat), rsrp_dbm",
                fix=f"the columns found are {', '.join(columns)}", where=str(path),
            )  # fmt: skip
    return {name: at[name] for name in ("cell", *place, "rsrp_dbm")}


def _numbers(column: Any, decimal_comma: bool) -> Float64[Array, "rows"]:
    """Texts as numbers; NaN for what is none."""
    texts = column.to_numpy(zero_copy_only=False).astype(str)
    try:
        return np.asarray(texts, dtype=np.float64)
    except ValueError:
        out = np.full(len(texts), np.nan)
        for k, text in enumerate(texts):
            try:
                out[k] = inventory.number(text, decimal_comma=decimal_comma)
            except ValueError:
                continue
        return out


def _names(column: Any) -> Shaped[Array, "rows"]:
    """Names of cells; 1234.0, as spreadsheets write numbers, is 1234."""
    texts = np.char.strip(column.to_numpy(zero_copy_only=False).astype(str))
    names, which = np.unique(texts, return_inverse=True)
    return np.asarray(np.array([plain_name(name) for name in names])[which])


def plain_name(name: str) -> str:
    """A cell's name without blanks at its ends and without the decimals spreadsheets add to numbers.

    >>> plain_name(" 1234.0 "), plain_name("A.0")
    ('1234', 'A.0')
    """
    name = " ".join(name.split())
    return name.removesuffix(".0") if re.fullmatch(r"\d+\.0", name) else name


def _refuse_all(level: Array, path: Path) -> None:
    if not len(level):
        raise InputError("rows with all values", 0, allowed="at least one", fix="check the columns", where=str(path))
    fix = "write levels in dBm, which are negative" if np.median(level) > 0 else "check the unit"
    raise InputError(
        "rsrp_dbm", f"{np.median(level):g} in the middle", allowed="-160 to -20 dBm", fix=fix, where=str(path)
    )
