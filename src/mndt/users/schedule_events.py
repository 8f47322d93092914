"""A travel diary as event sequences: what a person is like, on which days it was observed, what happened.

Days without a trip are taken out of the time axis: day c of a person is the c-th day with a trip. Which days
these are is kept beside (`Templates`), so that a diary of any sampling of days can be learned from: one day
of many people, every second week, weekdays only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from mndt.formats.diary import Diary
from mndt.users.schedule_statistics import TripTable, trips_of

Array = np.ndarray
DAY_S: Final = 86_400.0

TRAITS: Final = ("step", "radius", "distinct", "trips", "begin", "stay", "home")
"""What is known of a person beforehand: mean logarithm of the step distance, logarithm of the radius of
gyration, distinct places over visits, logarithm of trips a day, first departure, mean logarithm of stays
within a day, share of trips home."""


@dataclass(frozen=True)
class Templates:
    """Observed people without their trips: what generated people are made like."""

    traits: Float64[Array, "persons traits"]
    day_start: Int64[Array, "persons_plus_1"]
    days: Int32[Array, "days"]  # days with a trip, counted from a Monday; of person p rows day_start[p:p+2]
    home_x_m: Float64[Array, "persons"]
    home_y_m: Float64[Array, "persons"]
    start_x_m: Float64[Array, "persons"]  # where the first trip begins, from home
    start_y_m: Float64[Array, "persons"]

    def __len__(self) -> int:
        return len(self.home_x_m)

    def take(self, rows: Array) -> Templates:
        """Some of the people, repeated or in another order."""
        count = np.diff(self.day_start)[rows]
        start = np.concatenate([[0], np.cumsum(count)])
        at = np.repeat(self.day_start[rows] - start[:-1], count) + np.arange(start[-1])
        return Templates(
            self.traits[rows], start, self.days[at], self.home_x_m[rows], self.home_y_m[rows],
            self.start_x_m[rows], self.start_y_m[rows],
        )  # fmt: skip

    def day_table(self) -> Int32[Array, "persons most"]:
        """Days by person, -1 beyond the last."""
        count = np.diff(self.day_start)
        out = np.full((len(count), max(int(count.max(initial=0)), 1)), -1, np.int32)
        out[np.arange(out.shape[1])[None] < count[:, None]] = self.days
        return out


def homes_of(diary: Diary) -> Int32[Array, "persons"]:
    """Home of every person: where its trips home lead, else where it is longest around three in the morning."""
    n = diary.n_persons
    home = np.full(n, -1, np.int32)
    named = diary.purpose == 0
    last = np.r_[diary.person[1:] != diary.person[:-1], True] if len(diary) else np.zeros(0, bool)
    until = np.where(last, diary.arrival_s + 0.25 * DAY_S, np.r_[diary.departure_s[1:], 0.0][: len(diary)])
    three = np.floor((until - 3 * 3600.0) / DAY_S) - np.floor((diary.arrival_s - 3 * 3600.0) / DAY_S)
    stay = np.maximum(until - diary.arrival_s, 0.0)
    weight = np.minimum(stay, 5 * DAY_S) / DAY_S + 10.0 * np.minimum(three, 5) + 1000.0 * named
    first = np.r_[True, last[:-1]]
    person = np.concatenate([diary.person, diary.person[first]])
    place = np.concatenate([diary.to_place, diary.from_place[first]])
    weight = np.concatenate([weight, np.full(int(first.sum()), 9.0)])
    pair, which = np.unique(np.column_stack([person, place]), axis=0, return_inverse=True)
    total = np.bincount(which.reshape(-1), weight)
    order = np.lexsort((total, pair[:, 0]))
    home[pair[order, 0]] = pair[order, 1]  # the heaviest comes last
    return home


def templates_of(diary: Diary) -> Templates:
    """What every person of a diary is like; at least one trip each."""
    home = homes_of(diary)
    day = np.floor(diary.departure_s / DAY_S).astype(np.int64)
    pairs = np.unique(np.column_stack([diary.person, day]), axis=0)
    count = np.bincount(pairs[:, 0], minlength=diary.n_persons)
    first = starts_sequence(diary)
    x, y = diary.place_x_m, diary.place_y_m
    start = diary.from_place[first]
    return Templates(
        traits=traits_of(trips_of(diary), diary.n_persons, x[home], y[home]),
        day_start=np.concatenate([[0], np.cumsum(count)]),
        days=pairs[:, 1].astype(np.int32),
        home_x_m=x[home],
        home_y_m=y[home],
        start_x_m=x[start] - x[home],
        start_y_m=y[start] - y[home],
    )


def observed_days(diary: Diary) -> Int64[Array, "person_days 2"]:
    """Person and day of all days on which somebody was observed, with or without a trip.

    Where most people's trips span most of the diary's period, all were observed all the time; else only the
    days with a trip are known to be observed.
    """
    day = np.floor(diary.departure_s / DAY_S).astype(np.int64)
    with_trip = np.unique(np.column_stack([diary.person.astype(np.int64), day]), axis=0)
    if not len(with_trip):
        return with_trip
    n, first, last = diary.n_persons, int(day.min()), int(day.max())
    begin = np.searchsorted(with_trip[:, 0], np.arange(n), side="left")
    end = np.searchsorted(with_trip[:, 0], np.arange(n), side="right") - 1
    span = with_trip[end, 1] - with_trip[begin, 1] + 1
    length = last - first + 1
    if length < 3 or length > 400 or np.median(span) < 0.7 * length:
        return with_trip
    return np.column_stack([np.repeat(np.arange(n), length), np.tile(np.arange(first, last + 1), n)])


def is_shared(diary: Diary) -> bool:
    """Whether people go to the same places, so that generated trips should end at these."""
    pairs = np.unique(np.column_stack([diary.person, diary.to_place]), axis=0)
    visitors = np.bincount(pairs[:, 1], minlength=len(diary.place_x_m))
    return bool(np.mean(visitors[diary.to_place] > 1) > 0.3)


def starts_sequence(diary: Diary) -> Bool[Array, "trips"]:
    """The first trip of every person."""
    return np.r_[True, diary.person[1:] != diary.person[:-1]] if len(diary) else np.zeros(0, bool)


def traits_of(trips: TripTable, n: int, home_x_m: Array, home_y_m: Array) -> Float64[Array, "persons traits"]:
    """The `TRAITS` of `n` people by their trips and homes; who has no trip gets everyone's mean."""
    who = trips.person
    number = np.bincount(who, minlength=n)

    def mean(values: Array, keep: Array | None = None) -> Array:
        rows = np.arange(len(who)) if keep is None else np.flatnonzero(keep)
        count = np.bincount(who[rows], minlength=n)
        total = np.bincount(who[rows], values[rows], n)
        everyone = total.sum() / max(count.sum(), 1)
        return np.asarray(np.where(count > 0, total / np.maximum(count, 1), everyone))

    tx, ty = trips.to_x_m, trips.to_y_m
    step = np.hypot(tx - trips.from_x_m, ty - trips.from_y_m)
    radius = np.sqrt(mean((tx - mean(tx)[who]) ** 2 + (ty - mean(ty)[who]) ** 2))
    places = np.column_stack([who.astype(np.int64), np.rint(tx).astype(np.int64), np.rint(ty).astype(np.int64)])
    distinct = np.bincount(np.unique(places, axis=0)[:, 0], minlength=n)
    day = np.floor(trips.departure_s / DAY_S)
    first_of_day = np.r_[True, (np.diff(who) != 0) | (np.diff(day) != 0)][: len(who)]
    days = np.bincount(who[first_of_day], minlength=n)
    stay = np.r_[trips.departure_s[1:] - trips.arrival_s[:-1], 0.0][: len(who)]
    within = np.r_[~first_of_day[1:], False][: len(who)]
    at_home = np.hypot(tx - home_x_m[who], ty - home_y_m[who]) < 1.0
    return np.column_stack(
        [
            mean(np.log(step + 10.0)),
            np.log(radius + 10.0),
            distinct / np.maximum(number, 1),
            np.log(np.maximum(number, 1) / np.maximum(days, 1)),
            mean(trips.departure_s % DAY_S / 3600.0, first_of_day),
            mean(np.log(np.maximum(stay, 60.0) / 3600.0), within),
            mean(at_home.astype(float)),
        ]
    )
