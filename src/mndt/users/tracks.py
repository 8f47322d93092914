"""Users who follow given lines: recorded tracks, and the straight lines of the paper's Table II."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float64, Int8, Int32, Int64

from mndt.city.model import Frame
from mndt.errors import InputError, unknown_name
from mndt.state import Mode, Users
from mndt.streams import Streams

Array = np.ndarray

MODE_NAMES: Final = {"inside": Mode.INSIDE, "walk": Mode.WALK, "bicycle": Mode.BICYCLE, "car": Mode.CAR}
REQUIRED: Final[tuple[str, ...]] = ("time_s", "user", "x_m", "y_m")
NUMBERS: Final[tuple[str, ...]] = ("time_s", "x_m", "y_m")


@dataclass(frozen=True)
class Nothing:
    """The memory of sources that need none: the time says everything."""

    time_s: Int64[Array, "1"]


@dataclass(frozen=True)
class RecordedTracks:
    """Users on recorded tracks, linear between records, absent before the first and after the last.

    Records of user u are rows ``record_start[u]:record_start[u + 1]``, times strictly increasing.
    """

    record_start: Int32[Array, "users_plus_1"]
    time_s: Float64[Array, "records"]
    x_m: Float64[Array, "records"]
    y_m: Float64[Array, "records"]
    mode: Int8[Array, "records"]
    name: tuple[str, ...]  # of each user, as in the file

    @property
    def n_users(self) -> int:
        """Users that have any record."""
        return len(self.record_start) - 1

    @classmethod
    def from_arrays(
        cls, time_s: Array, user: Array, x_m: Array, y_m: Array, mode: Array | None = None
    ) -> RecordedTracks:
        """Tracks from one row per record, in any order; users are numbered in sorted order of their names.

        Raises:
            InputError: a value is not finite, or a user has two records for one time.
        """
        time_s, x_m, y_m = (np.asarray(v, dtype=np.float64) for v in (time_s, x_m, y_m))
        for field, values in (("time_s", time_s), ("x_m", x_m), ("y_m", y_m)):
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad):
                raise InputError(
                    field,
                    values[bad[0]],
                    allowed="any finite number",
                    fix="remove the record",
                    where=f"record {bad[0] + 1}",
                )
        names, row = np.unique(np.asarray(user), return_inverse=True)
        order = np.lexsort((time_s, row))
        t, r = time_s[order], row[order]
        twice = np.flatnonzero((np.diff(t) <= 0) & (np.diff(r) == 0))
        if len(twice):
            where = f"record {max(order[twice[0]], order[twice[0] + 1]) + 1}"
            raise InputError(
                "time_s",
                t[twice[0]],
                allowed="one record per user and time",
                fix="remove the second record",
                where=where,
            )
        start = np.searchsorted(r, np.arange(len(names) + 1)).astype(np.int32)
        kind = np.full(len(t), Mode.WALK, np.int8) if mode is None else np.asarray(mode, np.int8)[order]
        return cls(start, t, x_m[order], y_m[order], kind, tuple(str(name) for name in names))

    @classmethod
    def read(cls, path: str | Path) -> RecordedTracks:
        """Tracks from a CSV file with the columns time_s, user, x_m, y_m and, optionally, mode
        (inside, walk, bicycle, car; walk when left out).

        Raises:
            InputError: a column is missing or a value does not fit; names file, line and fix.
        """
        path = Path(path)
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                columns = _read_columns(csv.reader(file), path)
        except OSError as error:
            raise InputError("tracks", path, allowed="a readable CSV file", fix="check the path") from error
        except UnicodeDecodeError as error:
            raise InputError("tracks", path, allowed="a CSV file in UTF-8", fix="save it as UTF-8") from error
        try:
            return cls.from_arrays(*columns)
        except InputError as error:
            raise InputError(
                error.field, error.value, allowed=error.allowed, fix=error.fix, where=f"{path.name} {error.where}"
            ) from None

    def start(self, time_s: int, streams: Streams) -> tuple[Nothing, Users]:
        """Where everyone is at the beginning."""
        return Nothing(np.array([time_s])), self.at(time_s)

    def step(self, memory: Nothing, time_s: int, streams: Streams) -> tuple[Nothing, Users]:
        """Where everyone is a second later."""
        return Nothing(np.array([time_s + 1])), self.at(time_s + 1)

    def at(self, time_s: float) -> Users:
        """Where everyone is at a time."""
        n = self.n_users
        if n == 0:
            return _users(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, np.int8))
        first, last = self.record_start[:-1], self.record_start[1:] - 1
        # one search for all: shift every user's times into a window of its own
        low, span = self.time_s.min(), self.time_s.max() - self.time_s.min() + 1.0
        row = np.repeat(np.arange(n), np.diff(self.record_start))
        key = row * span + (self.time_s - low)
        at = np.arange(n) * span + np.clip(time_s - low, 0.0, span - 0.5)
        b = np.clip(np.searchsorted(key, at, side="right"), np.minimum(first + 1, last), last)
        a = np.maximum(b - 1, first)
        dt = self.time_s[b] - self.time_s[a]
        share = np.clip((time_s - self.time_s[a]) / np.maximum(dt, 1e-9), 0.0, 1.0)
        dx, dy = self.x_m[b] - self.x_m[a], self.y_m[b] - self.y_m[a]
        present = (time_s >= self.time_s[first]) & (time_s <= self.time_s[last])
        speed = np.where(dt > 0, np.hypot(dx, dy) / np.maximum(dt, 1e-9), 0.0)
        mode = np.where(present, np.where(share < 1.0, self.mode[a], self.mode[b]), Mode.ABSENT).astype(np.int8)
        return _users(self.x_m[a] + share * dx, self.y_m[a] + share * dy, np.where(present, speed, 0.0), mode)


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


def _read_columns(rows: Iterator[list[str]], path: Path) -> tuple[Array, Array, Array, Array, Array]:
    """The columns of a track file, checked line by line."""
    header = [name.strip().lower() for name in next(rows, [])]
    for name in REQUIRED:
        if name not in header:
            found = ", ".join(header) or "nothing"
            raise InputError(
                f"column {name}",
                f"missing (found {found})",
                allowed=", ".join((*REQUIRED, "mode")),
                fix="add it",
                where=path.name,
            )
    at: dict[str, int] = {name: header.index(name) for name in (*REQUIRED, "mode") if name in header}
    out: dict[str, list[float | str]] = {name: [] for name in (*REQUIRED, "mode")}
    for line, row in enumerate(rows, start=2):
        if not row:
            continue
        where = f"{path.name} line {line}"
        if len(row) < len(header):
            raise InputError(
                "columns", len(row), allowed=f"{len(header)} as in the header", fix="complete the line", where=where
            )
        for name in NUMBERS:
            try:
                value = float(row[at[name]])
            except ValueError:
                value = float("nan")
            if not np.isfinite(value):
                raise InputError(
                    name, f"'{row[at[name]]}'", allowed="a finite number", fix="correct the line", where=where
                )
            out[name].append(value)
        out["user"].append(row[at["user"]].strip())
        text = row[at["mode"]].strip().lower() if "mode" in at else "walk"
        if text not in MODE_NAMES:
            raise unknown_name("mode", text, MODE_NAMES, where=where)
        out["mode"].append(int(MODE_NAMES[text]))
    return tuple(np.array(out[name]) for name in (*REQUIRED, "mode"))  # type: ignore[return-value]
