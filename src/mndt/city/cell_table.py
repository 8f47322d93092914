"""Cells of an inventory without a map: positions in degrees, or in metres of any frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int32

from mndt.city import _inventory
from mndt.city.schema import PATTERNS
from mndt.errors import InputError
from mndt.formats import inventory

Array = np.ndarray

SITE_M: Final = 25.0
"""Cells closer than this are one site, whatever their names say."""
_X: Final = ("x", "x_m", "easting", "easting_m", "utm_x", "cell_x")
_Y: Final = ("y", "y_m", "northing", "northing_m", "utm_y", "cell_y")


@dataclass(frozen=True)
class CellTable:
    """One record of `schema.CELL_FIELDS` for each cell, with positions as the file has them."""

    records: tuple[dict[str, Any], ...]
    first: Float64[Array, "cells"]  # x in metres, or longitude in degrees
    second: Float64[Array, "cells"]  # y, or latitude
    in_degrees: bool

    def column(self, name: str, default: float) -> Float64[Array, "cells"]:
        """Values of a field; `default` where it is derived from a map, which is not there."""
        return np.array([default if record[name] is None else record[name] for record in self.records], np.float64)


def read_cell_table(path: str | Path) -> CellTable:
    """Read an inventory whose positions are longitude and latitude, or x and y in metres.

    Columns, aliases, units and ranges are those of `schema.CELL_FIELDS`.

    Raises:
        InputError: one sentence with file, line, field, value, range and fix.
    """
    rows, info = inventory.read(path)
    plain = {_inventory.plain(name): name for name in reversed(info.columns)}
    x, y = (next((plain[name] for name in names if name in plain), None) for names in (_X, _Y))
    in_metres = x is not None and y is not None
    if in_metres:
        # degrees are required by the schema; stand-ins, as metres are what counts
        names = (*(name for name in info.columns if name not in (x, y)), "latitude_deg", "longitude_deg")
        columns = _inventory.find_columns(names, f"{path} line {info.header_line}")
    else:
        columns = _inventory.find_columns(info.columns, f"{path} line {info.header_line}")
    records, places = [], []
    for row in rows:
        where = f"{path} line {row.line}"
        picked = _inventory.pick(row.values, columns)
        if str(picked.get("pattern", "")).lower() not in PATTERNS:
            picked.pop("pattern", None)  # an antenna's product name
        if in_metres:
            picked |= {"latitude_deg": 0.0, "longitude_deg": 0.0}
        record = _inventory.check(picked, where, decimal_comma=info.decimal_comma)
        if in_metres:
            places.append([_metres(row.values, axis, where, info.decimal_comma) for axis in (str(x), str(y))])
        else:
            places.append([record["longitude_deg"], record["latitude_deg"]])
        records.append(record)
    _refuse_twins(records, rows, path)
    at = np.array(places, dtype=np.float64)
    return CellTable(tuple(records), at[:, 0], at[:, 1], not in_metres)


def _metres(values: dict[str, str], axis: str, where: str, decimal_comma: bool) -> float:
    text = values.get(axis, "")
    try:
        return inventory.number(text, decimal_comma=decimal_comma)
    except ValueError:
        raise InputError(axis, f"'{text}'", allowed="a number in metres", fix="fill it in", where=where) from None


def _refuse_twins(records: list[dict[str, Any]], rows: list[inventory.Row], path: str | Path) -> None:
    seen: dict[str, int] = {}
    for record, row in zip(records, rows, strict=True):
        first = seen.setdefault(record["cell"], row.line)
        if first != row.line:
            raise InputError(
                "cell", f"'{record['cell']}' a second time", allowed="each name once",
                fix=f"rename one of the two; the first is in line {first}", where=f"{path} line {row.line}",
            )  # fmt: skip


def sites_of(x_m: Float64[Array, "cells"], y_m: Float64[Array, "cells"]) -> Int32[Array, "cells"]:
    """A number for each site: cells within `SITE_M` of each other, over any chain of cells.

    >>> sites_of(np.array([0.0, 9.0, 500.0]), np.zeros(3)).tolist()
    [0, 0, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    near = cKDTree(np.column_stack((x_m, y_m))).query_pairs(SITE_M, output_type="ndarray")
    graph = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(x_m), len(x_m)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int32)
