"""Recorded positions: CSV, Parquet, SUMO's FCD output and GPX, streamed into columns.

A line that is no record (a number that is none, a missing column) refuses the file, in one sentence
with its place. What recordings have by nature, records without an id or a position, is left out and
counted. Order, doubles, gaps and the map's edge are matters of `mndt.users.tracks`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64, Int8, Int32

from mndt.errors import InputError
from mndt.formats.geo import Box, NetPlace

Array = np.ndarray

MODE_WORDS: Final[dict[int, tuple[str, ...]]] = {
    0: ("inside", "indoor", "indoors", "still", "stay"),
    1: ("walk", "foot", "walking", "pedestrian", "on_foot", "run", "running"),
    2: ("bicycle", "bike", "cycle", "cycling", "bicycling"),
    3: ("car", "drive", "driving", "vehicle", "in_vehicle", "auto", "bus", "taxi", "passenger", "truck", "tram",
        "train", "motorcycle", "moped"),
}  # fmt: skip
"""Words of modes, by their numbers in `mndt.state.Mode`."""

Place = Callable[[Array, Array, str], tuple[Array, Array]]
"""Positions of a file, in its own system (degrees, metres, net), as metres in the city."""


@dataclass(frozen=True)
class TrackTable:
    """Records in the order of the file."""

    names: tuple[str, ...]  # ids as in the file
    user: Int32[Array, "records"]  # row of names
    time_s: Float64[Array, "records"]  # since midnight of the first day
    x_m: Float32[Array, "records"]  # in the city's box, or outside it
    y_m: Float32[Array, "records"]
    mode: Int8[Array, "records"]  # mndt.state.Mode, -1 = not said
    notes: tuple[str, ...]  # what was found, a sentence each

    def __len__(self) -> int:
        return len(self.user)


@dataclass
class Chunks:
    """Records as they come in, chunk by chunk."""

    row_of: dict[str, int] = field(default_factory=dict)
    columns: list[tuple[Array, Array, Array, Array, Array]] = field(default_factory=list)
    nameless: int = 0
    nowhere: int = 0

    def add(self, user: Array, time_s: Array, x_m: Array, y_m: Array, mode: Array | int) -> None:
        """Take in a chunk; `user` is -1 without an id, positions are NaN without one."""
        named, placed = user >= 0, np.isfinite(x_m) & np.isfinite(y_m) & np.isfinite(time_s)
        self.nameless += int((~named).sum())
        self.nowhere += int((named & ~placed).sum())
        keep = named & placed
        kind = np.broadcast_to(np.asarray(mode, np.int8), keep.shape)
        self.columns.append(
            (user[keep].astype(np.int32), time_s[keep].astype(np.float64), x_m[keep].astype(np.float32),
             y_m[keep].astype(np.float32), kind[keep])
        )  # fmt: skip

    def table(self, notes: Iterable[str]) -> TrackTable:
        """All of it, without needing twice its memory."""
        joined = []
        none = (np.int32, np.float64, np.float32, np.float32, np.int8)
        for k, kind in enumerate(none):
            joined.append(np.concatenate([c[k] for c in self.columns]) if self.columns else np.zeros(0, kind))
        self.columns.clear()
        found = [*notes]
        if self.nameless:
            found.append(f"{self.nameless:,} records without an id: left out")
        if self.nowhere:
            found.append(f"{self.nowhere:,} records without a time or a position: left out")
        return TrackTable(tuple(self.row_of), *joined, tuple(found))  # type: ignore[call-arg, arg-type]


def read_tracks(path: str | Path, box: Box, *, net: NetPlace | None = None, begin_s: float | None = None) -> TrackTable:
    """Read a file of recorded positions.

    Args:
        path: CSV (comma, semicolon or tab; .gz too), Parquet, SUMO's FCD output (.xml, .xml.gz) or GPX.
            Columns: time, id, and lon and lat in degrees or x_m and y_m in metres of the city's box,
            under any of their usual names; optionally mode.
        box: the city's.
        net: how the net of an FCD output in metres lies in the city.
        begin_s: second of the day at which the first record is placed; None = as written.

    Returns:
        The records, in metres of the city's box.

    Raises:
        InputError: no such file, another format, or a line that is no record.
    """
    from mndt.formats import tracks_tables, tracks_xml

    path, began = Path(path), time.perf_counter()
    if not path.is_file():
        raise InputError("tracks", path, allowed="a readable file", fix="check the path")

    def place(x: Array, y: Array, system: str) -> tuple[Array, Array]:
        if system == "degrees":
            return box.from_degrees(x, y)
        if system == "net" and net is not None:
            return net.metres(box, x, y)
        return x, y

    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".xml"):
        table = tracks_xml.read_fcd(path, place, has_net=net is not None)
    elif name.endswith(".gpx"):
        table = tracks_xml.read_gpx(path, place)
    elif name.endswith((".parquet", ".pq")):
        table = tracks_tables.read_parquet(path, place)
    elif name.endswith((".csv", ".txt", ".tsv")):
        table = tracks_tables.read_csv(path, place)
    else:
        allowed = ".csv, .parquet, .xml of SUMO's FCD output, .gpx (.csv, .xml and .gpx also with .gz)"
        raise InputError("tracks", path.name, allowed=allowed, fix="rename or convert it")
    if not len(table):
        raise InputError(
            "tracks", "no record", allowed="at least one with time, id and position", fix="check the file",
            where=str(path),
        )  # fmt: skip
    if begin_s is not None:
        table.time_s[:] += begin_s - table.time_s.min()
    size_mb, took_s = path.stat().st_size / 1e6, time.perf_counter() - began
    head = (
        f"{path.name}: {len(table):,} records of {len(table.names):,} users, {clock(table.time_s.min())} to "
        f"{clock(table.time_s.max())} ({size_mb:,.1f} MB in {took_s:.1f} s)"
    )
    return TrackTable(**{**vars(table), "notes": (head, *table.notes)})


def clock(time_s: float) -> str:
    """A second since midnight as people write it.

    >>> clock(29_405.0), clock(90_000.0)
    ('08:10:05', '1 d 01:00:00')
    """
    days, left = divmod(int(time_s // 1), 86_400)
    return (f"{days} d " if days else "") + f"{left // 3600:02d}:{left // 60 % 60:02d}:{left % 60:02d}"


def since_midnight(time_s: Float64[Array, "records"], *, epoch: bool) -> Float64[Array, "records"]:
    """Seconds since midnight of the first day, of seconds since 1970 or since any midnight."""
    if not epoch or not len(time_s):
        return time_s
    return np.asarray(time_s - np.floor(np.nanmin(time_s) / 86_400.0) * 86_400.0)


def mode_of_word(word: str) -> int | None:
    """The number of a mode's word; None for a word nobody knows.

    >>> mode_of_word("Bike"), mode_of_word("cra")
    (2, None)
    """
    word = word.strip().lower()
    return next((number for number, words in MODE_WORDS.items() if word in words), None)
