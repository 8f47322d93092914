"""Counted traffic of a user's own: a table or arrays in, series without gaps out, every repair said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mndt.errors import InputError
from mndt.formats import traffic
from mndt.users.demand.series import Gridded, gridded


def read_series(
    file: Path, *, columns: Mapping[str, str] | None = None, slot_minutes: float | None = None,
    say: Callable[[str], object] = print,
) -> Gridded:  # fmt: skip
    """Series of a table, every repair said.

    Args:
        file: CSV or Parquet, see `formats.traffic`; or .npz with `traffic` [places, slots] from a midnight on and,
            where there are, `slot_minutes`, `place` or `group` (equal numbers are neighbours) and `start_slot` (only
            series that begin with slot 0 count).
        columns: the table's names of our columns, where they are others.
        slot_minutes: times are numbers of slots of this length.
        say: called with what was repaired.

    Raises:
        InputError: the table does not fit.
    """
    if file.suffix == ".npz":
        held = _of_arrays(file, slot_minutes)
    else:
        rows, info = traffic.read(file, columns=columns, slot_minutes=slot_minutes)
        if info.incomplete:
            say(f"{info.incomplete:,} of {info.read:,} rows lack a place, a time or traffic: left out")
        if info.negative:
            say(f"{info.negative:,} rows with traffic below zero left out")
        held = gridded(rows.place, rows.time_s, rows.traffic, rows.users, rows.group, where=str(file))
    for line in held.repairs:
        say(line)
    return held


def _of_arrays(file: Path, slot_minutes: float | None) -> Gridded:
    """Series of a file of arrays."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            held = {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        found = str(error)[:100]
        raise InputError("file", found, allowed="an .npz of plain arrays", fix="check it", where=str(file)) from None
    if "traffic" not in held or held["traffic"].ndim != 2:
        raise InputError(
            "traffic", "missing", allowed="an array [places, slots]", fix=f"the arrays found are {', '.join(held)}",
            where=str(file),
        )  # fmt: skip
    x, minutes = np.asarray(held["traffic"], np.float64), slot_minutes or float(held.get("slot_minutes", 30))
    member = held.get("group", held.get("place", np.arange(len(x))))
    keep = np.asarray(held.get("start_slot", np.zeros(len(x))) == 0)
    x, member, n = x[keep], member[keep], x.shape[1]
    place = np.repeat(np.char.zfill(np.flatnonzero(keep).astype(str), len(str(len(keep)))), n)
    value = np.where(x.ravel() < 0, np.nan, x.ravel())
    return gridded(
        place, np.tile(np.arange(n) * 60.0 * minutes, len(x)), value, group=np.repeat(member.astype(str), n),
        where=str(file),
    )  # fmt: skip
