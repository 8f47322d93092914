"""Matrices of trips between origins and destinations in tables: one line for each pair.

A line holds the two ends and a number of trips. Ends are names of zones, whose centres a second table gives
(zone, lon, lat or zone, x_m, y_m), or are given themselves as longitude and latitude or as metres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64, Int32

from mndt.errors import InputError
from mndt.formats import _diary_columns as columns
from mndt.formats import inventory
from mndt.formats.diary import read_places

Array = np.ndarray

TRIPS: Final = (
    "trips",
    "trip",
    "count",
    "flow",
    "flows",
    "volume",
    "n",
    "number",
    "demand",
    "persons",
    "people",
    "total",
)

MOST_ZONES: Final = 1000
"""Ends given as positions are gathered in squares until there are no more zones than this."""


@dataclass(frozen=True)
class OdMatrix:
    """Trips between zones; `centre` in degrees (longitude, latitude) or metres."""

    names: tuple[str, ...]
    centre: Float64[Array, "zones 2"]
    in_degrees: bool
    origin: Int32[Array, "pairs"]  # rows of zones
    target: Int32[Array, "pairs"]
    trips: Float64[Array, "pairs"]


@dataclass(frozen=True)
class OdInfo:
    """What was read, and what was refused."""

    path: Path
    read: int
    refused: tuple[str, ...]  # a sentence for each line that was left out
    notes: tuple[str, ...]

    def lines(self, most: int = 5) -> list[str]:
        """Notes and the first refusals, for people."""
        shown = [f"left out: {sentence}" for sentence in self.refused[:most]]
        more = [f"left out: {len(self.refused) - most:,} more lines"] if len(self.refused) > most else []
        return [*self.notes, *shown, *more]


def read(path: str | Path, zones: str | Path | None = None) -> tuple[OdMatrix, OdInfo]:
    """Read a matrix; a pair given twice counts with the sum of its trips.

    Args:
        path: columns from_zone, to_zone, trips; or from_lon, from_lat, to_lon, to_lat (or _x_m, _y_m), trips.
        zones: a table of the zones' centres, where the matrix has names.

    Raises:
        InputError: no such file, a column is missing, or more than half of the lines do not fit.
    """
    path = Path(path)
    rows, table = inventory.read(path)
    found = columns.find(table.columns)
    by_name = {columns.plain(name): name for name in table.columns}
    trips_column = next((by_name[name] for name in TRIPS if name in by_name), None)
    pair = next((p for p in (("x", "y"), ("lon", "lat")) if f"from_{p[0]}" in found and f"to_{p[0]}" in found), None)
    if trips_column is None or (pair is None and not ("from_place" in found and "to_place" in found)):
        missing = "trips" if trips_column is None else "from_zone and to_zone, or from_lon, from_lat, to_lon and to_lat"
        raise InputError(
            f"column {missing}", "missing", allowed="from_zone, to_zone, trips, or positions in their place",
            fix=f"the columns found are {', '.join(table.columns)}", where=str(path),
        )  # fmt: skip
    known = _centres(zones, path) if pair is None else {}
    refused: list[str] = []
    ends: list[tuple[object, object]] = []
    number: list[float] = []
    for row in rows:
        where = f"{path} line {row.line}"
        try:
            trips = _number(row, trips_column, 0.0, 1e12, table.decimal_comma, where)
            if pair is None:
                both: tuple[object, ...] = tuple(
                    _zone(row, found[f"{side}_place"], known, where) for side in ("from", "to")
                )
            else:
                both = tuple(
                    tuple(_coordinate(row, found[f"{side}_{axis}"], axis, table.decimal_comma, where) for axis in pair)
                    for side in ("from", "to")
                )
        except InputError as error:
            refused.append(str(error))
            continue
        ends.append((both[0], both[1]))
        number.append(trips)
    if len(refused) > 0.5 * len(rows) or not sum(number):
        fix = f"the first that does not: {refused[0].removesuffix('.')}" if refused else "give numbers of trips above 0"
        raise InputError("lines that fit", f"{len(number)} of {len(rows)}", allowed="at least half, with trips",
                         fix=fix, where=str(path))  # fmt: skip
    notes: list[str] = []
    names, centre, origin, target = _indexed(ends, known, notes)
    in_degrees = pair == ("lon", "lat") if pair else _in_degrees(zones)
    key, which = np.unique(np.column_stack([origin, target]), axis=0, return_inverse=True)
    total = np.bincount(which.reshape(-1), number)
    matrix = OdMatrix(names, centre, in_degrees, key[:, 0].astype(np.int32), key[:, 1].astype(np.int32), total)
    return matrix, OdInfo(path, len(rows), tuple(refused), tuple(notes))


def _centres(zones: str | Path | None, path: Path) -> dict[str, tuple[float, float]]:
    if zones is None:
        raise InputError(
            "centres of zones", "missing", allowed="a table of zone, and lon and lat or x_m and y_m",
            fix="give it with --zones", where=str(path),
        )  # fmt: skip
    return read_places(zones)


def _in_degrees(zones: str | Path | None) -> bool:
    assert zones is not None
    found = columns.find(inventory.read(zones)[1].columns)
    return not ("x" in found and "y" in found)


def _number(row: inventory.Row, column: str, low: float, high: float, decimal_comma: bool, where: str) -> float:
    text = row.values.get(column, "")
    try:
        value = inventory.number(text, decimal_comma=decimal_comma)
        if not low <= value <= high:
            raise ValueError(text)
    except ValueError:
        allowed = f"a number from {low:g} to {high:g}"
        raise InputError(
            column, f"'{text}'" if text else "missing", allowed=allowed, fix="correct it", where=where
        ) from None
    return value


def _coordinate(row: inventory.Row, column: str, axis: str, decimal_comma: bool, where: str) -> float:
    limit = {"lon": 180.0, "lat": 90.0}.get(axis, 1e8)
    return _number(row, column, -limit, limit, decimal_comma, where) * columns.scale(column)


def _zone(row: inventory.Row, column: str, known: Mapping[str, tuple[float, float]], where: str) -> str:
    label = row.values.get(column, "")
    if label not in known:
        raise InputError(
            column, f"'{label}'" if label else "missing", allowed="a zone of the table of zones",
            fix="add its centre there", where=where,
        )  # fmt: skip
    return label


def _indexed(
    ends: list[tuple[object, object]], known: Mapping[str, tuple[float, float]], notes: list[str]
) -> tuple[tuple[str, ...], Array, Array, Array]:
    """Zones that occur, their centres, and the rows of both ends."""
    if known:
        names = tuple(known)
        row_of = {name: row for row, name in enumerate(names)}
        at = np.array([[row_of[str(a)], row_of[str(b)]] for a, b in ends], int)
        return names, np.array([known[name] for name in names], float), at[:, 0], at[:, 1]
    xy = np.array([[*a, *b] for a, b in ends], float)  # type: ignore[misc, type-var]
    points = np.vstack([xy[:, :2], xy[:, 2:]])
    zone = np.unique(points, axis=0, return_inverse=True)[1].reshape(-1)
    n = int(zone.max()) + 1
    side = max(float(np.ptp(points, axis=0).max()), 1e-9) / 256.0
    while n > MOST_ZONES:
        zone = np.unique(np.floor(points / side), axis=0, return_inverse=True)[1].reshape(-1)
        n, side = int(zone.max()) + 1, side * 1.4
        notes[:] = [f"positions gathered in {n:,} zones"]
    count = np.bincount(zone)
    centre = np.column_stack([np.bincount(zone, points[:, k]) / count for k in range(2)])
    return tuple(str(k) for k in range(n)), centre, zone[: len(xy)], zone[len(xy) :]
