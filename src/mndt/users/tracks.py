"""Users who follow given lines: recorded tracks, and the straight lines of the paper's Table II.

Recordings are put in order by stated rules, and what the rules did is told (`RecordedTracks.notes`):

- records off the map are left out: whoever leaves it is absent until recorded on it again;
- records out of order are sorted; of several of one user at one time the first of the file counts;
- between two records up to `gap_s` apart a user moves straight and uniformly; over longer gaps, before
  the first record and after the last one the user is absent;
- a user appears with the second in which the first record of a stretch lies;
- who has no mode gets one by mean speed: below 2.5 m/s on foot, below 6 m/s by bicycle, else by car.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from zlib import crc32

import numpy as np
from jaxtyping import Float32, Float64, Int8, Int64, UInt32

from mndt.city.model import Frame
from mndt.errors import InputError
from mndt.state import Mode, Users
from mndt.streams import Streams

Array = np.ndarray

WALK_BELOW_MPS: Final = 2.5
BICYCLE_BELOW_MPS: Final = 6.0
"""Mean speeds that tell modes apart where none is recorded. [assumed]"""


@dataclass(frozen=True)
class Place:
    """How far a recording has been followed, and which one it is."""

    time_s: Int64[Array, "1"]
    checksum: UInt32[Array, "1"]


@dataclass(frozen=True)
class RecordedTracks:
    """Users on recorded tracks: straight and uniform between records, absent over longer gaps.

    Records of user u are rows ``record_start[u]:record_start[u + 1]``, times strictly increasing.
    """

    record_start: Int64[Array, "users_plus_1"]
    time_s: Float64[Array, "records"]
    x_m: Float32[Array, "records"]
    y_m: Float32[Array, "records"]
    mode: Int8[Array, "records"]
    name: tuple[str, ...]  # of each user, as in the file
    gap_s: float = math.inf  # two records further apart have nothing between them
    notes: tuple[str, ...] = ()  # what was found and done, a sentence each

    @property
    def n_users(self) -> int:
        """Users that have any record."""
        return len(self.record_start) - 1

    @classmethod
    def from_arrays(
        cls,
        time_s: Array,
        user: Array,
        x_m: Array,
        y_m: Array,
        mode: Array | None = None,
        *,
        names: tuple[str, ...] | None = None,
        frame: Frame | None = None,
        gap_s: float = math.inf,
    ) -> RecordedTracks:
        """Tracks from one row per record, in any order, by the rules above.

        Args:
            time_s: seconds since midnight.
            user: names, or rows of `names`. Users are numbered in sorted order of their names.
            x_m, y_m: metres in the city's box.
            mode: `mndt.state.Mode` of each record; -1, or None for all, where it is not known.
            names: what the rows of `user` are called.
            frame: the city's box; None = records anywhere count.
            gap_s: the longest time between records over which a user is there.

        Raises:
            InputError: a value is not finite.
        """
        t, x, y = np.asarray(time_s, np.float64), np.asarray(x_m, np.float32), np.asarray(y_m, np.float32)
        for field, values in (("time_s", t), ("x_m", x), ("y_m", y)):
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad):
                where = f"record {bad[0] + 1}"
                raise InputError(
                    field, values[bad[0]], allowed="any finite number", fix="remove the record", where=where
                )
        kind = np.full(len(t), -1, np.int8) if mode is None else np.asarray(mode, np.int8)
        if names is None:
            label, row = np.unique(np.asarray(user), return_inverse=True)
            known, row = tuple(str(name) for name in label), row.reshape(-1).astype(np.int32)
        else:
            by_name = sorted(range(len(names)), key=names.__getitem__)
            known, row = tuple(names[k] for k in by_name), np.argsort(by_name).astype(np.int32)[np.asarray(user)]
        return _tidy(row, t, x, y, kind, known, frame, gap_s)

    @cached_property
    def checksum(self) -> Array:
        """Tells recordings apart: a run goes on only with the one it began with."""
        found = crc32(repr(self.gap_s).encode())
        for values in (self.record_start, self.time_s, self.x_m, self.y_m, self.mode):
            found = crc32(np.ascontiguousarray(values).data, found)
        return np.array([found], np.uint32)

    def start(self, time_s: int, streams: Streams) -> tuple[Place, Users]:
        """Where everyone is at the beginning."""
        return Place(np.array([time_s]), self.checksum), self.at(time_s)

    def step(self, memory: Place, time_s: int, streams: Streams) -> tuple[Place, Users]:
        """Where everyone is a second later.

        Raises:
            InputError: the run began with another recording.
        """
        if memory.checksum[0] != self.checksum[0]:
            fix = "bring the file back as it was, or start the run anew"
            raise InputError("mobility.file", "another recording", allowed="the one the run began with", fix=fix)
        return Place(np.array([time_s + 1]), self.checksum), self.at(time_s + 1)

    @cached_property
    def _span(self) -> tuple[Array, Array]:
        """Seconds of each user's first and last record."""
        first, last = self.record_start[:-1], self.record_start[1:] - 1
        return np.floor(self.time_s[first]), self.time_s[last]

    def at(self, time_s: float) -> Users:
        """Where everyone is at a time."""
        n = self.n_users
        x, y, speed = np.zeros((3, n), np.float32)
        mode = np.full(n, Mode.ABSENT, np.int8)
        begin, end = self._span if n else (np.zeros(0), np.zeros(0))
        rows = np.flatnonzero((begin <= time_s) & (time_s <= end))
        a, b = self._between(rows, time_s)
        gap_s = self.time_s[b] - self.time_s[a]
        # the second of a stretch's first record counts from its beginning
        early = (gap_s > self.gap_s) & (np.floor(self.time_s[b]) <= time_s) & (self.time_s[a] < time_s)
        a = np.where(early, b, a)
        there = (gap_s <= self.gap_s) | early | (time_s <= self.time_s[a])
        rows, a, b = rows[there], a[there], b[there]
        dt = np.maximum(self.time_s[b] - self.time_s[a], 1e-9)
        share = np.clip((time_s - self.time_s[a]) / dt, 0.0, 1.0)
        dx, dy = self.x_m[b] - self.x_m[a], self.y_m[b] - self.y_m[a]
        x[rows], y[rows] = self.x_m[a] + share * dx, self.y_m[a] + share * dy
        speed[rows] = np.where(a < b, np.hypot(dx, dy) / dt, 0.0)
        mode[rows] = np.where(share < 1.0, self.mode[a], self.mode[b])
        return Users(x_m=x, y_m=y, speed_mps=speed, mode=mode, area=np.full(n, -1, np.int32))

    def _between(self, rows: Array, time_s: float) -> tuple[Array, Array]:
        """The last record up to a time and the next one, of users that have both (or one record only)."""
        low, high = self.record_start[rows], self.record_start[rows + 1] - 1
        last = high
        while (high - low > 1).any():
            middle = (low + high) // 2
            past = self.time_s[middle] <= time_s
            low, high = np.where(past, middle, low), np.where(past, high, middle)
        on_last = self.time_s[last] <= time_s
        return np.where(on_last, last, low), np.where(on_last, last, high)


def _tidy(
    row: Array, time_s: Array, x_m: Array, y_m: Array, mode: Array, names: tuple[str, ...], frame: Frame | None,
    gap_s: float,
) -> RecordedTracks:  # fmt: skip
    """Records by user and time, each user and time once, and what was found on the way."""
    notes: list[str] = []
    if frame is not None:
        on_map = (x_m >= 0) & (x_m <= frame.width_m) & (y_m >= 0) & (y_m <= frame.depth_m)
        if not on_map.all():
            notes.append(
                f"{int((~on_map).sum()):,} of {len(row):,} records off the map: left out, the user is absent there"
            )
            row, time_s, x_m, y_m, mode = (values[on_map] for values in (row, time_s, x_m, y_m, mode))
    order, mixed = _order(row, time_s)
    if mixed:
        notes.append(f"{mixed:,} records earlier than the one before them of the same user: put in order")
    twice = np.zeros(len(row), bool)
    r, t = row[order], time_s[order]
    twice[1:] = (np.diff(t) <= 0) & (np.diff(r) == 0)
    if twice.any():
        other = (x_m[order][1:] != x_m[order][:-1]) | (y_m[order][1:] != y_m[order][:-1])
        differ = int((twice[1:] & other).sum())
        notes.append(
            f"{int(twice.sum()):,} records of a user and time recorded before ({differ:,} elsewhere): left out"
        )
        order, r, t = order[~twice], r[~twice], t[~twice]
    x, y, kind = x_m[order], y_m[order], mode[order]
    present = np.unique(r)
    start = np.append(np.searchsorted(r, present), len(r)).astype(np.int64)
    together = np.diff(r) == 0
    gap = together & (np.diff(t) > gap_s)
    if gap.any():
        notes.append(f"{int(gap.sum()):,} gaps of more than {gap_s:g} s: the user is absent in them")
    unknown = kind < 0
    if unknown.any():
        kind = np.where(
            unknown, _modes_by_speed(np.repeat(np.arange(len(present)), np.diff(start)), t, x, y, ~gap), kind
        )
        notes.append(f"{int(unknown.sum()):,} records without a mode: by the user's mean speed")
    notes.append(f"{len(present):,} users, at most {_at_once(t, together & ~gap):,} at once")
    return RecordedTracks(start, t, x, y, kind.astype(np.int8), tuple(names[k] for k in present), gap_s, tuple(notes))


def _order(row: Array, time_s: Array) -> tuple[Array, int]:
    """The order by user and time, in it that of the file; and how many records come too late in the file."""
    small = row.astype(np.uint16) if len(row) and row.max() < 65536 else row  # sorted by counting, in linear time
    order = np.argsort(small, kind="stable")
    late = int(((np.diff(time_s[order]) < 0) & (np.diff(row[order]) == 0)).sum())
    return (np.lexsort((time_s, row)) if late else order), late


def _modes_by_speed(user: Array, time_s: Array, x_m: Array, y_m: Array, joined: Array) -> Int8[Array, "records"]:
    """Mode of each record by its user's mean speed over all stretches."""
    joined = joined & (np.diff(user) == 0)
    n = int(user[-1]) + 1
    way = np.bincount(user[1:], np.where(joined, np.hypot(np.diff(x_m), np.diff(y_m)), 0.0), minlength=n)
    lasts = np.bincount(user[1:], np.where(joined, np.diff(time_s), 0.0), minlength=n)
    speed = way / np.maximum(lasts, 1e-9)
    mode = np.where(speed < BICYCLE_BELOW_MPS, Mode.BICYCLE, Mode.CAR)
    return np.asarray(np.where(speed < WALK_BELOW_MPS, Mode.WALK, mode)[user], np.int8)


def _at_once(time_s: Array, goes_on: Array) -> int:
    """The most users present at one time; `goes_on` tells which records have the next one in their stretch."""
    if not len(time_s):
        return 0
    first, last = np.concatenate([[True], ~goes_on]), np.concatenate([~goes_on, [True]])
    begin, end = np.sort(np.floor(time_s[first])), np.sort(time_s[last])
    return int((np.arange(1, len(begin) + 1) - np.searchsorted(end, begin, side="left")).max())


@dataclass(frozen=True)
class StraightLines:
    """The users of the paper's Table II experiment: each walks a straight line at uniform speed
    between two random points of the city.

    Args:
        n_users: how many.
        frame: the city's box; end points are uniform in it.
        span_s: time from one end of a line to the other; afterwards people walk back, and so on.
        walked_share: share of its line a user covers in one span (1 = the whole line).
        start_s: second of the day when all stand at their first end points.
    """

    n_users: int
    frame: Frame
    span_s: float = 600.0
    walked_share: float = 1.0
    start_s: int = 0

    def start(self, time_s: int, streams: Streams) -> tuple[Lines, Users]:
        """Draw the lines."""
        rng = streams.generator("straight-lines")
        ends = rng.random((4, self.n_users)) * np.array([[self.frame.width_m], [self.frame.depth_m]] * 2)
        ends[2:] = ends[:2] + self.walked_share * (ends[2:] - ends[:2])
        lines = Lines(*ends)
        return lines, self._at(lines, time_s)

    def step(self, memory: Lines, time_s: int, streams: Streams) -> tuple[Lines, Users]:
        """Walk on for a second."""
        return memory, self._at(memory, time_s + 1)

    def _at(self, lines: Lines, time_s: float) -> Users:
        share = abs((((time_s - self.start_s) / self.span_s + 1.0) % 2.0) - 1.0)
        dx, dy = lines.to_x_m - lines.from_x_m, lines.to_y_m - lines.from_y_m
        mode = np.full(self.n_users, Mode.WALK, np.int8)
        return _users(lines.from_x_m + share * dx, lines.from_y_m + share * dy, np.hypot(dx, dy) / self.span_s, mode)


@dataclass(frozen=True)
class Lines:
    """Memory of `StraightLines`: end points."""

    from_x_m: Float64[Array, "users"]
    from_y_m: Float64[Array, "users"]
    to_x_m: Float64[Array, "users"]
    to_y_m: Float64[Array, "users"]


def _users(x_m: Array, y_m: Array, speed_mps: Array, mode: Int8[Array, "users"]) -> Users:
    return Users(
        x_m=x_m.astype(np.float32),
        y_m=y_m.astype(np.float32),
        speed_mps=speed_mps.astype(np.float32),
        mode=mode,
        area=np.full(len(x_m), -1, np.int32),
    )
