"""Five distributions by which schedules are judged, and how far two of them are apart.

The bins are those of the evaluation of ActSTD: step distance in 10 bins of 1 km, distance of a day in 10 of
50 km, radius of gyration in 6 of 5 km, duration in 15 of 0.1 day, each with one more for what lies beyond;
and the seven days of the week. Steps are trips, durations are stays between trips, weekdays are those of
departures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int32

from mndt.formats.diary import Diary

Array = np.ndarray
DAY_S: Final = 86_400.0

BINS: Final[dict[str, tuple[float, int]]] = {
    "step_distance": (10.0, 10),
    "daily_distance": (500.0, 10),
    "radius_of_gyration": (30.0, 6),
    "duration": (1.5, 15),
}
"""Upper end (km; days for the duration) and number of equal bins."""

NAMES: Final = (*BINS, "weekday")


@dataclass(frozen=True)
class TripTable:
    """Trips of people sorted by person and departure; times since a Monday's midnight."""

    person: Int32[Array, "trips"]
    departure_s: Float64[Array, "trips"]
    arrival_s: Float64[Array, "trips"]
    from_x_m: Float64[Array, "trips"]
    from_y_m: Float64[Array, "trips"]
    to_x_m: Float64[Array, "trips"]
    to_y_m: Float64[Array, "trips"]

    def __len__(self) -> int:
        return len(self.person)


def trips_of(diary: Diary) -> TripTable:
    """A diary's trips with their positions."""
    x, y = diary.place_x_m, diary.place_y_m
    a, b = diary.from_place, diary.to_place
    return TripTable(diary.person, diary.departure_s, diary.arrival_s, x[a], y[a], x[b], y[b])


def quantities(trips: TripTable) -> dict[str, Float64[Array, "values"]]:
    """The values behind the five distributions: km, km a day, km, days, row of the weekday."""
    step = np.hypot(trips.to_x_m - trips.from_x_m, trips.to_y_m - trips.from_y_m) / 1000.0
    day = np.floor(trips.departure_s / DAY_S).astype(np.int64)
    _, which = np.unique(trips.person.astype(np.int64) * 1_000_000 + day, return_inverse=True)
    _, who = np.unique(trips.person, return_inverse=True)
    n = np.maximum(np.bincount(who), 1)
    gap = [v - (np.bincount(who, v) / n)[who] for v in (trips.to_x_m, trips.to_y_m)]
    same = trips.person[1:] == trips.person[:-1]
    return {
        "step_distance": step,
        "daily_distance": np.bincount(which, step) if len(step) else step,
        "radius_of_gyration": np.sqrt(np.bincount(who, gap[0] ** 2 + gap[1] ** 2) / n) / 1000.0,
        "duration": ((trips.departure_s[1:] - trips.arrival_s[:-1]) / DAY_S)[same],
        "weekday": (day % 7).astype(float),
    }


def histogram(name: str, values: Float64[Array, "values"], top: float | None = None) -> Float64[Array, "bins"]:
    """Shares of the bins, the last of them open; `top` is another upper end than the published one."""
    if name == "weekday":
        count = np.bincount(values.astype(int), minlength=7).astype(float)
    else:
        end, n = BINS[name]
        row = np.floor(values / (top or end) * n + 1e-9).astype(int)
        count = np.bincount(np.clip(row, 0, n), minlength=n + 1).astype(float)
    return np.asarray(count / max(count.sum(), 1.0))


def jensen_shannon(p: Float64[Array, "bins"], q: Float64[Array, "bins"]) -> float:
    """Jensen-Shannon divergence, natural logarithm: 0 for equal, ln 2 for disjoint distributions.

    >>> round(jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])), 4)
    0.6931
    """
    m = 0.5 * (p + q)

    def part(a: Array) -> float:
        some = a > 0
        return float(np.sum(a[some] * np.log(a[some] / m[some])))

    return max(0.0, 0.5 * part(p) + 0.5 * part(q))


def divergences(made: TripTable, real: TripTable, *, scaled: bool = False) -> dict[str, float]:
    """Divergence of each of the five distributions.

    Args:
        made: generated trips.
        real: observed trips.
        scaled: bins up to the observed 98th percentile instead of the published ones, which tell little
            about diaries of another scale.
    """
    a, b = quantities(made), quantities(real)
    out = {}
    for name in NAMES:
        top = None
        if scaled and name != "weekday" and len(b[name]):
            top = max(float(np.quantile(b[name], 0.98)), 1e-6)
        out[name] = jensen_shannon(histogram(name, a[name], top), histogram(name, b[name], top))
    return out
