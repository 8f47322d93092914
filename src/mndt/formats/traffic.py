"""Counted traffic in tables: one row for a place and a time, CSV or Parquet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from mndt.errors import InputError, unknown_name
from mndt.formats.measurements import _names, _numbers, _table

Array = np.ndarray

COLUMNS: Final = {
    "place": ("place", "place_id", "cell", "cell_id", "cellid", "cell_name", "grid", "grid_id", "tile", "site",
              "square_id", "square", "station", "bs", "bs_id", "node", "id"),
    "time": ("time", "timestamp", "datetime", "date_time", "time_s", "begin_time", "start_time", "begin", "period",
             "slot", "slot_index", "ts", "date"),
    "traffic": ("traffic", "traffic_bits", "bytes", "volume", "traffic_mb", "mb", "dl_volume", "downlink", "internet",
                "load", "demand"),
    "users": ("users", "user_count", "n_users", "active_users", "ues", "connected_users", "subscribers"),
    "group": ("group", "group_id", "district", "cluster", "region", "neighbourhood"),
}  # fmt: skip
"""Names under which a column is found, the first is ours. `users` and `group` may be missing."""

_FORMATS: Final = ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y%m%d%H%M")


@dataclass(frozen=True)
class TrafficRows:
    """Rows that can be used, in the order of the file."""

    place: Shaped[Array, "rows"]  # names, as texts
    time_s: Float64[Array, "rows"]  # since a midnight: of 1970-01-01, or where plain numbers begin
    traffic: Float64[Array, "rows"]
    users: Float64[Array, "rows"] | None  # NaN where missing
    group: Shaped[Array, "rows"] | None  # names, as texts

    def __len__(self) -> int:
        return len(self.place)


@dataclass(frozen=True)
class TrafficInfo:
    """What was read, and what was left out."""

    path: Path
    columns: dict[str, str]  # ours: the file's
    read: int
    incomplete: int  # left out: place, time or traffic is missing or cannot be read
    negative: int  # left out: traffic below zero


def read(
    path: str | Path, *, columns: Mapping[str, str] | None = None, slot_minutes: float | None = None
) -> tuple[TrafficRows, TrafficInfo]:
    """Read a table with columns place, time, traffic, and where there are users and group.

    Args:
        path: CSV (comma, semicolon, tab or bar separated, plain or gzip) or Parquet.
        columns: the file's name of each of ours, where it is none of `COLUMNS`.
        slot_minutes: times are numbers of slots of this length; None = times are dates, or seconds.

    Times are ISO 8601 (the clock as written counts, whatever the zone), a few other ways to write
    dates, seconds or milliseconds since 1970, or seconds since any midnight.

    Raises:
        InputError: no such file, a column missing, or no row that can be used.
    """
    path = Path(path)
    held, decimal_comma = _open(path)
    at = _find(list(held), columns or {}, path)
    place, traffic = _names(held[at["place"]]), _values(held[at["traffic"]], decimal_comma)
    time_s = _times(held[at["time"]], decimal_comma, slot_minutes)
    complete: Bool[Array, "rows"] = (place != "") & np.isfinite(time_s) & np.isfinite(traffic)
    usable = complete & (np.nan_to_num(traffic) >= 0)
    if not usable.any():
        _refuse(place, time_s, traffic, held[at["time"]], path)
    info = TrafficInfo(path, at, len(place), int((~complete).sum()), int(complete.sum() - usable.sum()))
    users = _values(held[at["users"]], decimal_comma)[usable] if "users" in at else None
    group = _names(held[at["group"]])[usable] if "group" in at else None
    if users is not None:
        users = np.where(users >= 0, users, np.nan)
    return TrafficRows(place[usable], time_s[usable], traffic[usable], users, group), info


class _Column:
    """A column of Parquet with the one method that texts of CSV have."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def to_numpy(self, zero_copy_only: bool = True) -> Array:
        return self.values


def _open(path: Path) -> tuple[dict[str, Any], bool]:
    """Columns by name; whether numbers may have decimal commas."""
    if path.suffix.lower() not in (".parquet", ".pq"):
        table, decimal_comma = _table(path)
        return {str(name): table.column(k) for k, name in enumerate(table.column_names)}, decimal_comma
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError("file", path, allowed="an existing file", fix="check the path")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        found = " ".join(str(error).split())[:100]
        raise InputError("table", found, allowed="a Parquet file", fix="save it again", where=str(path)) from None
    return {name: _Column(table.column(name).to_numpy(zero_copy_only=False)) for name in table.column_names}, False


def _find(found: list[str], given: Mapping[str, str], path: Path) -> dict[str, str]:
    """The file's column of each of ours."""
    for ours, theirs in given.items():
        if ours not in COLUMNS:
            raise unknown_name("--column", ours, COLUMNS)
        if theirs not in found:
            raise unknown_name(f"--column {ours}", theirs, found, where=str(path))
    plain = {re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_"): name for name in reversed(found)}
    at = {ours: plain[name] for ours, names in COLUMNS.items() for name in reversed(names) if name in plain}
    at |= given
    taken = {theirs: ours for ours, theirs in at.items()}
    at = {ours: theirs for ours, theirs in at.items() if taken[theirs] == ours}
    for ours in ("place", "time", "traffic"):
        if ours not in at:
            raise InputError(
                f"column {ours}", "missing", allowed="columns place, time, traffic, and users where counted",
                fix=f"name it with --column {ours}=NAME; the columns found are {', '.join(found)}", where=str(path),
            )  # fmt: skip
    return at


def _values(column: Any, decimal_comma: bool) -> Array:
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind in "iufb":
        return np.asarray(values, dtype=np.float64)
    return _numbers(column, decimal_comma)


def _times(column: Any, decimal_comma: bool, slot_minutes: float | None) -> Float64[Array, "rows"]:
    """Seconds since some midnight; NaN for what is no time."""
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "M":
        seconds = values.astype("datetime64[ms]").astype(np.float64) / 1000.0
        return np.where(np.isnat(values), np.nan, seconds)
    if values.dtype.kind in "iuf":
        numbers = np.asarray(values, dtype=np.float64)
    else:
        texts, which = np.unique(values.astype(str), return_inverse=True)
        seconds = np.array([_moment(text) for text in texts])
        if np.isfinite(seconds).any():
            return np.asarray(seconds[which])
        numbers = _numbers(column, decimal_comma)
    if slot_minutes is not None:
        return numbers * (60.0 * slot_minutes)
    finite = numbers[np.isfinite(numbers)]
    return numbers / 1000.0 if len(finite) and np.median(finite) > 1e11 else numbers


def _moment(text: str) -> float:
    """A date with a time as seconds since 1970 on the clock it is written by; NaN for anything else."""
    text = text.strip()
    if re.match(r"\d{4}-\d{2}-\d{2}", text):
        try:
            at = datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None)
            return (at - datetime(1970, 1, 1)).total_seconds()
        except ValueError:
            return float("nan")
    if not any(mark in text for mark in ("/", ":")):
        return float("nan")
    for pattern in _FORMATS:
        try:
            return (datetime.strptime(text, pattern) - datetime(1970, 1, 1)).total_seconds()
        except ValueError:
            continue
    return float("nan")


def _refuse(place: Array, time_s: Array, traffic: Array, times: Any, path: Path) -> None:
    """One sentence on why no row can be used."""
    if not np.isfinite(time_s).any():
        first = str(times.to_numpy(zero_copy_only=False)[0]) if len(place) else "none"
        raise InputError(
            "time", first, allowed="2024-05-01 07:30, or seconds since a midnight",
            fix="write it so, or give --slot-minutes for numbers of slots", where=str(path),
        )  # fmt: skip
    if np.isfinite(traffic).any():
        raise InputError(
            "traffic", f"{np.nanmedian(traffic):g} in the middle", allowed="numbers of at least 0",
            fix="check the column", where=str(path),
        )  # fmt: skip
    raise InputError("rows with all values", 0, allowed="at least one", fix="check place and traffic", where=str(path))
