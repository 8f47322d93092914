"""Travel diaries in tables: who left where, when, for where; one line for each trip.

A line holds a person, a day (a date, a weekday or a number), the times of departure and arrival, and where
from and where to: longitude and latitude, or metres, or names of places whose positions a second table
gives. A purpose and a mode may follow. A table of stays (arrival before departure, one place) is read, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64, Int8, Int32

from mndt.errors import InputError
from mndt.formats import _diary_columns as columns
from mndt.formats import _diary_times as times
from mndt.formats import inventory

Array = np.ndarray
DAY_S: Final = times.DAY_S

PURPOSES: Final = ("home", "work", "study", "other")
"""Rows of `Diary.purpose`."""

SAME_PLACE_M: Final = 150.0
"""Positions of one person nearer than this are one place where positions are noisy."""

LONGEST_TRIP_S: Final = 36 * 3600.0

_WORDS: Final[tuple[tuple[int, tuple[str, ...]], ...]] = (
    (0, ("home", "h", "residence", "return home", "house")),
    (1, ("work", "w", "job", "office", "business", "commute", "workplace")),
    (2, ("study", "s", "school", "education", "university", "college", "kindergarten")),
)
_MODES: Final[tuple[tuple[int, tuple[str, ...]], ...]] = (
    (1, ("walk", "foot", "pedestrian", "walking", "on foot")),
    (2, ("bicycle", "bike", "cycle", "cycling", "e-bike")),
    (3, ("car", "drive", "auto", "driver", "driving", "taxi", "passenger", "vehicle", "car_driver", "car_passenger")),
)


@dataclass(frozen=True)
class Diary:
    """Trips sorted by person and departure. Times are seconds since the midnight of day 0, a Monday;
    positions are metres in one plane, `place_*` by rows of places."""

    names: tuple[str, ...]  # of persons
    person: Int32[Array, "trips"]
    departure_s: Float64[Array, "trips"]
    arrival_s: Float64[Array, "trips"]
    from_place: Int32[Array, "trips"]
    to_place: Int32[Array, "trips"]
    purpose: Int8[Array, "trips"]  # row of PURPOSES, -1 unknown
    mode: Int8[Array, "trips"]  # mndt.state.Mode, -1 unknown or none the twin has
    place_x_m: Float64[Array, "places"]
    place_y_m: Float64[Array, "places"]

    def __len__(self) -> int:
        return len(self.person)

    @property
    def n_persons(self) -> int:
        """People with at least one trip."""
        return len(self.names)

    def take(self, persons: Array) -> Diary:
        """The trips of some persons, who become rows 0, 1, ... in the order given."""
        row = np.full(self.n_persons, -1, np.int32)
        row[persons] = np.arange(len(persons))
        new = row[self.person]
        keep = np.flatnonzero(new >= 0)
        keep = keep[np.lexsort((self.departure_s[keep], new[keep]))]
        names = ("departure_s", "arrival_s", "from_place", "to_place", "purpose", "mode")
        return Diary(  # type: ignore[call-arg]
            tuple(self.names[p] for p in persons), new[keep], *(getattr(self, name)[keep] for name in names),
            self.place_x_m, self.place_y_m,
        )  # fmt: skip


@dataclass(frozen=True)
class DiaryInfo:
    """What was read, and what was refused."""

    path: Path
    read: int  # lines of the table
    refused: tuple[str, ...]  # a sentence for each line that was left out
    notes: tuple[str, ...]  # how the table was understood

    def lines(self, most: int = 5) -> list[str]:
        """Notes and the first refusals, for people."""
        shown = [f"left out: {sentence}" for sentence in self.refused[:most]]
        more = [f"left out: {len(self.refused) - most:,} more lines"] if len(self.refused) > most else []
        return [*self.notes, *shown, *more]


def read(
    path: str | Path, places: Mapping[str, tuple[float, float]] | str | Path | None = None
) -> tuple[Diary, DiaryInfo]:
    """Read a travel diary.

    Args:
        path: a table as `formats.inventory.read` takes it.
        places: positions (x_m, y_m) of named places, or a table of them with columns place and x_m, y_m or
            lon, lat; needed only where the diary has names and no positions.

    Lines that do not fit are left out, each with a sentence in the info.

    Raises:
        InputError: no such file, a column is missing, or more than half of the lines do not fit.
    """
    path = Path(path)
    rows, table = inventory.read(path)
    found = columns.find(table.columns)
    _need(found, table.columns, path)
    refused: dict[int, str] = {}
    lines = np.array([row.line for row in rows])
    when, notes = _times(rows, found, path, refused)
    where = _positions(rows, found, places, path, refused, table.decimal_comma)
    person = [row.values.get(found["person"], "") for row in rows]
    for k, name in enumerate(person):
        if not name:
            _refuse(refused, k, rows[k], "person", "missing", "a name or number", "fill it in", path)
    purpose = _words(rows, found.get("purpose"), _WORDS, 3)
    mode = _words(rows, found.get("mode"), _MODES, -1)
    keep = np.array([k for k in range(len(rows)) if k not in refused], int)
    if len(keep) < 0.5 * len(rows) or not len(keep):
        first = refused[min(refused)]
        raise InputError(
            "lines that fit", f"{len(keep)} of {len(rows)}", allowed="at least half",
            fix=f"the first that does not: {first.removesuffix('.')}", where=str(path),
        )  # fmt: skip
    names, row_of = np.unique(np.array(person)[keep], return_inverse=True)
    trips = _Trips(
        row_of.astype(np.int32), when[0][keep], when[1][keep],
        where[0][keep], where[1][keep], purpose[keep], mode[keep], lines[keep],
    )  # fmt: skip
    if _is_stays(trips):
        notes.append("each line is a stay: trips lead from one to the next")
        trips = _from_stays(trips)
    trips = _in_order(trips, refused, path)
    if not len(trips.person):
        first = refused[min(refused)] if refused else "one stay a person makes no trip"
        raise InputError(
            "trips", 0, allowed="at least one", fix=f"see the first line: {first.removesuffix('.')}", where=str(path)
        )
    diary = _located(trips, tuple(str(name) for name in names), "lon" in found or "to_lon" in found, notes)
    return diary, DiaryInfo(path, len(rows), tuple(refused[k] for k in sorted(refused)), tuple(notes))


@dataclass(frozen=True)
class _Trips:
    person: Array
    departure_s: Array
    arrival_s: Array
    origin: Array  # positions [trips, 2], NaN where not given
    target: Array
    purpose: Array
    mode: Array
    line: Array

    def take(self, rows: Array) -> _Trips:
        return _Trips(*(getattr(self, name)[rows] for name in _Trips.__dataclass_fields__))


def _need(found: Mapping[str, str], names: tuple[str, ...], path: Path) -> None:
    allowed = "person, day (or date or weekday), departure, arrival, and from and to as lon, lat or x_m, y_m or place"
    missing = [name for name in ("person", "departure", "arrival") if name not in found]
    pairs = [(s + a, s + b) for s in ("to_", "") for a, b in (("x", "y"), ("lon", "lat"), ("place", "place"))]
    if not any(a in found and b in found for a, b in pairs):
        missing.append("to_x_m and to_y_m, or to_lon and to_lat")
    if missing:
        raise InputError(
            f"column {missing[0]}", "missing", allowed=allowed, fix=f"the columns found are {', '.join(names)}",
            where=str(path),
        )  # fmt: skip


def _refuse(
    refused: dict[int, str], k: int, row: inventory.Row, field: str, value: object, allowed: str, fix: str, path: Path
) -> None:
    refused.setdefault(k, str(InputError(field, value, allowed=allowed, fix=fix, where=f"{path} line {row.line}")))


def _times(
    rows: list[inventory.Row], found: Mapping[str, str], path: Path, refused: dict[int, str]
) -> tuple[tuple[Array, Array], list[str]]:
    """Departure and arrival since day 0's midnight."""
    n, notes = len(rows), []
    value = np.full((2, n), np.nan)
    own_day = np.full((2, n), np.nan)
    is_number = np.zeros((2, n), bool)
    for side, name in enumerate(("departure", "arrival")):
        for k, row in enumerate(rows):
            text = row.values.get(found[name], "")
            try:
                given, value[side, k], is_number[side, k] = times.moment(text)
                own_day[side, k] = np.nan if given is None else given
            except ValueError:
                allowed, fix = "a time, e.g. 07:35, 27300 (seconds) or 2024-03-04T07:35", "write it so"
                _refuse(refused, k, row, name, f"'{text}'" if text else "missing", allowed, fix, path)
    numbers = np.where(is_number, value, np.nan)
    for side, name in enumerate(("departure", "arrival")):
        unit = times.unit_of_name(found[name]) or times.unit_of_values(numbers)
        value[side] = np.where(is_number[side], value[side] * unit, value[side])
    date = _days(rows, found, path, refused, needed=not np.isfinite(own_day[0]).any() and not is_number.any())
    if np.nanmax(value, initial=0.0) > 2.5 * DAY_S:  # times run on over the days
        if np.nanmedian(value) > 1e8:
            value = value + 3 * DAY_S  # Unix time began on a Thursday
        first = np.nanmin(np.floor(value[0] / DAY_S))
        shift = np.nanmedian((date - np.floor(value[0] / DAY_S)) % 7.0) if np.isfinite(date).any() else 0.0
        notes.append("times are counted over all days" + ("" if shift else "; day 0 is taken for a Monday"))
        return _whole((value[0] + shift * DAY_S, value[1] + shift * DAY_S), first), notes
    date = np.where(np.isfinite(own_day[0]), own_day[0], np.where(np.isfinite(date), date, np.nan))
    if not np.isfinite(date).any():
        date = np.zeros(n)
        notes.append("no day is given: all trips are taken for one Monday's")
    for missing in np.flatnonzero(~np.isfinite(date)).tolist():
        _refuse(refused, missing, rows[missing], "day", "missing", "a date, weekday or number", "fill it in", path)
    until = np.where(np.isfinite(own_day[1]), own_day[1], date)
    return _whole((date * DAY_S + value[0], until * DAY_S + value[1]), float(np.nanmin(date, initial=1e12))), notes


def _whole(when: tuple[Array, Array], first_day: float) -> tuple[Array, Array]:
    """Count from the Monday at or before the first day."""
    start = 7.0 * np.floor(first_day / 7.0) * DAY_S if np.isfinite(first_day) and first_day < 1e11 else 0.0
    return when[0] - start, when[1] - start


def _days(
    rows: list[inventory.Row], found: Mapping[str, str], path: Path, refused: dict[int, str], *, needed: bool
) -> Array:
    out: dict[str, Array] = {}
    kinds: dict[str, set[str]] = {}
    for name in ("date", "day", "weekday"):
        out[name], kinds[name] = np.full(len(rows), np.nan), set()
        if name not in found:
            continue
        for k, row in enumerate(rows):
            text = row.values.get(found[name], "")
            try:
                out[name][k], kind = times.day(text)
                kinds[name].add(kind)
            except ValueError:
                if needed:
                    allowed, fix = "a date (2024-03-04), a weekday (Mon) or a number", "write it so"
                    _refuse(refused, k, row, name, f"'{text}'" if text else "missing", allowed, fix, path)
    weekday = times.align(out["weekday"], ["weekday"], out["weekday"])
    for name in ("date", "day"):
        if np.isfinite(out[name]).any():
            return times.align(out[name], sorted(kinds[name]), weekday)
    return weekday


def _positions(
    rows: list[inventory.Row], found: Mapping[str, str], places: Mapping[str, tuple[float, float]] | str | Path | None,
    path: Path, refused: dict[int, str], decimal_comma: bool,
) -> tuple[Array, Array]:  # fmt: skip
    """Positions (from, to) as given: metres, or degrees."""
    sides = []
    for side in ("from_", "to_"):
        out = np.full((len(rows), 2), np.nan)
        name = side if side + "x" in found or side + "lon" in found or side + "place" in found else ""
        if side == "from_" and not name:
            sides.append(out)
            continue
        pair = next((p for p in (("x", "y"), ("lon", "lat")) if name + p[0] in found and name + p[1] in found), None)
        if pair is None:
            known = _known_places(places, path)
            for k, row in enumerate(rows):
                label = row.values.get(found[name + "place"], "")
                if label in known:
                    out[k] = known[label]
                elif side == "to_" or label:
                    _refuse(refused, k, row, found[name + "place"], f"'{label}'", "a place whose position is given",
                            "add it to the table of places", path)  # fmt: skip
        else:
            for axis, base in enumerate(pair):
                column = found[name + base]
                limit = (180.0 if axis == 0 else 90.0) if base in ("lon", "lat") else 1e8
                for k, row in enumerate(rows):
                    text = row.values.get(column, "")
                    try:
                        out[k, axis] = inventory.number(text, decimal_comma=decimal_comma) * columns.scale(column)
                        if abs(out[k, axis]) > limit:
                            raise ValueError(text)
                    except ValueError:
                        what = f"a number from {-limit:g} to {limit:g}"
                        _refuse(refused, k, row, column, f"'{text}'" if text else "missing", what, "correct it", path)
        sides.append(out)
    return sides[0], sides[1]


def _known_places(
    places: Mapping[str, tuple[float, float]] | str | Path | None, path: Path
) -> Mapping[str, tuple[float, float]]:
    if places is None:
        raise InputError(
            "positions", "missing", allowed="x_m and y_m, or lon and lat, of where trips begin and end",
            fix="add the columns, or give a table of places with --places", where=str(path),
        )  # fmt: skip
    return places if isinstance(places, Mapping) else read_places(places)


def read_places(path: str | Path) -> dict[str, tuple[float, float]]:
    """A table of named places: columns place (or zone) and x_m, y_m, or lon, lat; a name's last line counts.

    Raises:
        InputError: a column is missing, or a line does not fit.
    """
    rows, table = inventory.read(path)
    found = columns.find(table.columns)
    name = found.get("place") or found.get("person")  # a column called id
    pair = next((p for p in (("x", "y"), ("lon", "lat")) if p[0] in found and p[1] in found), None)
    if name is None or pair is None:
        raise InputError(
            "column " + ("place" if name is None else "x_m and y_m, or lon and lat"), "missing",
            allowed="place, and x_m and y_m or lon and lat", fix=f"the columns found are {', '.join(table.columns)}",
            where=str(path),
        )  # fmt: skip
    out = {}
    for row in rows:
        values = []
        for base in pair:
            text = row.values.get(found[base], "")
            try:
                values.append(inventory.number(text, decimal_comma=table.decimal_comma) * columns.scale(found[base]))
            except ValueError:
                raise InputError(
                    found[base], f"'{text}'", allowed="a number", fix="correct it", where=f"{path} line {row.line}"
                ) from None
        out[row.values.get(name, "")] = (values[0], values[1])
    return out


def _words(
    rows: list[inventory.Row], column: str | None, known: tuple[tuple[int, tuple[str, ...]], ...], other: int
) -> Int8[Array, "rows"]:
    """Rows of the words; -1 where there is no column or no word."""
    if column is None:
        return np.full(len(rows), -1, np.int8)
    row_of = {word: row for row, words in known for word in words}
    texts = [r.values.get(column, "").strip().lower() for r in rows]
    return np.array([row_of.get(text, other) if text else -1 for text in texts], np.int8)


def _is_stays(trips: _Trips) -> bool:
    """Whether many lines begin with the arrival, as only nights do elsewhere, and have one place each."""
    return not np.isfinite(trips.origin).any() and bool(np.mean(trips.departure_s > trips.arrival_s) > 0.3)


def _from_stays(trips: _Trips) -> _Trips:
    """Trips between the stays of each person; a stay that ends before it begins ended a day later."""
    trips = trips.take(np.lexsort((trips.arrival_s, trips.person)))
    until = np.where(trips.departure_s < trips.arrival_s, trips.departure_s + DAY_S, trips.departure_s)
    same = np.flatnonzero(trips.person[1:] == trips.person[:-1])
    after = trips.take(same + 1)
    return _Trips(
        after.person, until[same], after.arrival_s, trips.target[same], after.target, after.purpose, after.mode,
        after.line,
    )  # fmt: skip


def _in_order(trips: _Trips, refused: dict[int, str], path: Path) -> _Trips:
    """By person and departure; trips that end before they begin, or begin before the last one ends, are refused."""
    over = trips.arrival_s < trips.departure_s - 0.5 * DAY_S  # just before midnight, and just after
    arrival = np.where(over, trips.arrival_s + DAY_S, trips.arrival_s)
    lasts = arrival - trips.departure_s
    for k in np.flatnonzero((lasts < 0) | (lasts > LONGEST_TRIP_S)):
        what = f"{lasts[k] / 60.0:,.0f} min after departure"
        sentence = InputError("arrival", what, allowed=f"0 to {LONGEST_TRIP_S / 60:,.0f} min", fix="correct the times",
                              where=f"{path} line {trips.line[k]}")  # fmt: skip
        refused[int(trips.line[k]) + 10_000_000] = str(sentence)
    order = np.lexsort((arrival, trips.departure_s, trips.person))
    order = order[(lasts[order] >= 0) & (lasts[order] <= LONGEST_TRIP_S)]
    keep, last, until = [], -1, -np.inf
    for k in order:
        if trips.person[k] != last:
            last, until = trips.person[k], -np.inf
        if trips.departure_s[k] < until - 1.0:
            sentence = InputError(
                "departure", f"{(until - trips.departure_s[k]) / 60.0:,.0f} min before the person's last arrival",
                allowed="after it", fix="correct the times", where=f"{path} line {trips.line[k]}",
            )  # fmt: skip
            refused[int(trips.line[k]) + 10_000_000] = str(sentence)
            continue
        until = arrival[k]
        keep.append(k)
    kept = trips.take(np.array(keep, int))
    return _Trips(
        kept.person, kept.departure_s, arrival[keep], kept.origin, kept.target, kept.purpose, kept.mode, kept.line
    )


def _located(trips: _Trips, names: tuple[str, ...], in_degrees: bool, notes: list[str]) -> Diary:
    """Positions in metres, places of equal position joined."""
    n = len(trips.person)
    first = np.r_[True, trips.person[1:] != trips.person[:-1]]
    previous = np.vstack([trips.target[:1], trips.target[:-1]])
    previous[first] = trips.target[first]
    if not np.isfinite(trips.origin).any():  # who begins where is not said: where the person ends up
        last = np.r_[first[1:], True]
        ends = trips.target[last]
        previous[first] = ends[np.cumsum(first)[first] - 1]
    origin = np.where(np.isfinite(trips.origin), trips.origin, previous)
    xy = np.vstack([origin, trips.target])
    if in_degrees:
        middle = np.median(xy, axis=0)
        metre = np.pi / 180.0 * 6_371_008.8
        xy = (xy - middle) * metre * np.array([np.cos(np.radians(middle[1])), 1.0])
    _, place = np.unique(np.round(xy).astype(np.int64), axis=0, return_inverse=True)
    place = place.reshape(-1)
    whose = np.tile(trips.person, 2)
    if _returns(place[n:], trips.person) < 0.1:
        merged = _merged(xy, whose)
        if _returns(merged[n:], trips.person) > _returns(place[n:], trips.person) + 0.2:
            notes.append(f"positions of one person within {SAME_PLACE_M:g} m are one place")
            place = merged
    count = np.bincount(place)
    x, y = np.bincount(place, xy[:, 0]) / count, np.bincount(place, xy[:, 1]) / count
    place = place.astype(np.int32)
    unknown = np.unique(trips.person, return_inverse=True)[1].reshape(-1)
    present = np.unique(trips.person)
    return Diary(
        tuple(names[p] for p in present), unknown.astype(np.int32), trips.departure_s, trips.arrival_s,
        place[:n], place[n:], trips.purpose, trips.mode, x, y,
    )  # fmt: skip


def _returns(place: Array, person: Array) -> float:
    """Share of visits to a place the person visits more than once."""
    _, which, count = np.unique(np.column_stack([person, place]), axis=0, return_inverse=True, return_counts=True)
    return float(np.mean(count[which.reshape(-1)] > 1)) if len(place) else 1.0


def _merged(xy: Array, person: Array) -> Array:
    """Places of each person: a position joins the first place within `SAME_PLACE_M`."""
    out = np.empty(len(xy), np.int64)
    n = 0
    for rows in np.split(np.argsort(person, kind="stable"), np.cumsum(np.bincount(person))[:-1]):
        centres: list[Array] = []
        for k in rows:
            gap = np.hypot(*(np.array(centres) - xy[k]).T) if centres else np.array([np.inf])
            near = int(np.argmin(gap))
            if gap[near] > SAME_PLACE_M:
                centres.append(xy[k])
                near = len(centres) - 1
            out[k] = n + near
        n += len(centres)
    return out
