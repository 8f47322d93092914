"""From rows of (place, time, traffic, users) in any order to series without gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from mndt.errors import InputError
from mndt.users.demand.observed import DAY_S, Observed

Array = np.ndarray

MOST_MISSING: Final = 0.2
"""Share of slots a place may lack; with more it is left out."""
LEAST_PLACES: Final = 3
LEAST_DAYS: Final = 2


@dataclass(frozen=True)
class Gridded:
    """Series, the names of their places, and what had to be repaired: a line for each kind."""

    observed: Observed
    place: Shaped[Array, "series"]
    repairs: tuple[str, ...]


def gridded(
    place: Shaped[Array, "rows"],
    time_s: Float64[Array, "rows"],
    traffic: Float64[Array, "rows"],
    users: Float64[Array, "rows"] | None = None,
    group: Shaped[Array, "rows"] | None = None,
    *,
    where: str = "",
) -> Gridded:
    """Sort rows into slots.

    The length of a slot is the smallest distance in time that is common. Rows at one place and time:
    equal ones count once, of different ones the last. Series begin with the first midnight and end with the last
    slot. A missing slot gets the mean logarithm of its slot of the day at its place, moved by how far the known
    neighbours in time are from theirs. Places that lack more than `MOST_MISSING`, or never carry
    traffic, are left out.

    Raises:
        InputError: no common slot length, fewer than two days, or fewer than three places.
    """
    repairs: list[str] = []
    slot_s = _slot_length(time_s, where)
    names, row = np.unique(place, return_inverse=True)
    slot = np.floor(time_s / slot_s + 1e-6).astype(np.int64)
    if np.any(np.diff(slot[np.argsort(row, kind="stable")])[np.diff(np.sort(row)) == 0] < 0):
        repairs.append("rows were not in order of time: sorted")
    per_day = DAY_S // slot_s
    first = -(-int(slot.min()) // per_day) * per_day  # the first midnight
    n = int(slot.max()) + 1 - first
    if n < LEAST_DAYS * per_day:
        raise InputError(
            "time", f"{max(n, 0) * slot_s / 3600:g} h after the first midnight", allowed=f"at least {LEAST_DAYS} days",
            fix="give a longer table, best a week or more", where=where,
        )  # fmt: skip
    early = int((slot < first).sum())
    if early:
        repairs.append(f"{early:,} rows before the first midnight left out")
    key = row * n + (slot - first)
    inside = slot >= first
    x, twice = _placed(key[inside], traffic[inside], len(names) * n)
    if twice:
        repairs.append(f"{twice:,} rows repeat a place and slot: the last counts")
    x = x.reshape(len(names), n)
    keep = _usable(x, repairs)
    if keep.sum() < LEAST_PLACES:
        raise InputError(
            "places", int(keep.sum()), allowed=f"at least {LEAST_PLACES} with traffic in most slots",
            fix="give more places or fewer gaps", where=where,
        )  # fmt: skip
    x = x[keep]
    gaps = int(np.isnan(x).sum())
    if gaps:
        repairs.append(f"{gaps:,} missing slots ({gaps / x.size:.1%}) filled from the same slot of other days")
    counts = None
    if users is not None and np.isfinite(users).any():
        counts = _filled(_placed(key[inside], users[inside], len(names) * n)[0].reshape(len(names), n)[keep], per_day)
    member = _groups(row, group, names)[keep]
    return Gridded(Observed(_filled(x, per_day), member, slot_s, counts), names[keep], tuple(repairs))


def _slot_length(time_s: Array, where: str) -> int:
    """The smallest difference between times among those that make up at least 5 % of all."""
    times = np.unique(np.rint(time_s))
    if len(times) < 2:
        raise InputError("time", f"{len(times)} different", allowed="at least two days", fix="give more", where=where)
    length, count = np.unique(np.diff(times), return_counts=True)
    slot_s = int(length[count >= 0.05 * count.sum()].min())
    if slot_s < 60 or slot_s > 4 * 3600 or DAY_S % slot_s:
        raise InputError(
            "length of a slot", f"{slot_s / 60:g} min", allowed="1 to 240 min that divide a day",
            fix="check the column of times; numbers of slots need --slot-minutes", where=where,
        )  # fmt: skip
    return slot_s


def _placed(key: Int64[Array, "rows"], value: Array, size: int) -> tuple[Array, int]:
    """Values in their slots, NaN where none; how many rows came on top of a different one."""
    out = np.full(size, np.nan)
    out[key] = value  # of equal indices NumPy keeps the last
    return out, len(key) - len(np.unique(key))


def _usable(x: Array, repairs: list[str]) -> Array:
    missing = np.isnan(x).mean(axis=1)
    silent = ~(np.nan_to_num(x) > 0).any(axis=1)
    sparse = (missing > MOST_MISSING) & ~silent
    if silent.any():
        repairs.append(f"{int(silent.sum()):,} places without any traffic left out")
    if sparse.any():
        repairs.append(f"{int(sparse.sum()):,} places that lack more than {MOST_MISSING:.0%} of their slots left out")
    return np.asarray(~silent & ~sparse)


def _filled(x: Array, s: int) -> Array:
    """Gaps filled: see `gridded`."""
    if not np.isnan(x).any():
        return x
    y = np.log1p(x)
    out = y.copy()
    t = np.arange(x.shape[1])
    for row in np.flatnonzero(np.isnan(x).any(axis=1)):
        known = np.isfinite(y[row])
        level = y[row][known].mean() if known.any() else 0.0
        day = np.array([_mean(y[row, k::s], level) for k in range(s)])[t % s]
        rest = np.interp(t, t[known], (y[row] - day)[known]) if known.any() else np.zeros(len(t))
        out[row] = np.where(known, y[row], day + rest)
    return np.where(np.isnan(x), np.expm1(out), x)


def _mean(values: Array, otherwise: float) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else otherwise


def _groups(row: Array, group: Array | None, names: Array) -> Int64[Array, "places"]:
    """Number of each place's group; every place alone where there are none."""
    if group is None:
        return np.arange(len(names))
    _, which = np.unique(group, return_inverse=True)
    out = np.zeros(len(names), dtype=np.int64)
    out[row] = which
    return out
