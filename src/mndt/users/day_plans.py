"""One day of people by rules: chains of activities, their places and times, in an order that is possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int32
from scipy.special import ndtr, ndtri

from mndt.state import Mode
from mndt.users.matching import Match
from mndt.users.modes import ModePolicy
from mndt.users.places import Gravity, pick
from mndt.users.population import DAY_S, UserParameters
from mndt.users.schedule_laws import Normal, ScheduleLaws, Stay, draw_chains

Array = np.ndarray

DETOUR: Final = 1.3
"""Planned way over beeline; urban networks lie at 1.2 to 1.4."""

PLANNING_SPEED_MPS: Final = {Mode.WALK: 1.34, Mode.BICYCLE: 4.0, Mode.CAR: 20 / 3.6}
"""Speeds for planning; the car's 20 km/h is the published one."""

TRIP_EXTRA_S: Final = {Mode.WALK: 20, Mode.BICYCLE: 60, Mode.CAR: 90}
"""Planned time to leave the building and to reach the vehicle."""

KNOWN_PLACES: Final = 4
"""Places everyone knows before the day begins: the memory preferential return draws from."""

COMMUTER: Final = "WOW"
"""What a commuter, whose day in the city begins and ends at work, does at noon."""


@dataclass(frozen=True)
class Steps:
    """Trips of some people, sorted by user and departure; seconds since midnight."""

    user: Int32[Array, "trips"]
    departure_s: Int32[Array, "trips"]
    duration_s: Int32[Array, "trips"]
    from_area: Int32[Array, "trips"]
    to_area: Int32[Array, "trips"]
    mode: Int8[Array, "trips"]

    @classmethod
    def joined(cls, *parts: Steps) -> Steps:
        """All parts as one."""
        if not parts:
            e = np.zeros(0, np.int32)
            return cls(e, e, e, e, e, e.astype(np.int8))
        joined = {name: np.concatenate([getattr(p, name) for p in parts]) for name in cls.__dataclass_fields__}
        order = np.lexsort((joined["departure_s"], joined["user"]))
        return cls(**{name: values[order] for name, values in joined.items()})


@dataclass(frozen=True)
class Region:
    """Where rules find places: the law of errands, and who goes where to work and to study."""

    errands: Gravity
    work: Match
    study: Match


@dataclass(frozen=True)
class People:
    """What stays the same from day to day."""

    home: Int32[Array, "users"]
    kind: Int32[Array, "users"]  # 0 neither, 1 works, 2 studies; see schedule_laws.classes
    commuter: Bool[Array, "users"]  # has no chain, but an errand at noon
    away: Bool[Array, "users"]  # makes no plans here at all (passers)
    work: Int32[Array, "users"]
    study: Int32[Array, "users"]
    known: Int32[Array, "users known"]


def settle(
    home: Int32[Array, "users"],
    kind: Int32[Array, "users"],
    commuter: Bool[Array, "users"],
    away: Bool[Array, "users"],
    region: Region,
    rng: np.random.Generator,
) -> People:
    """Everyone's work, study and known places."""
    n = len(home)
    known = region.errands.draw(np.repeat(home, KNOWN_PLACES), "O", rng).reshape(n, KNOWN_PLACES)
    return People(home, kind, commuter, away, region.work.draw(home, rng), region.study.draw(home, rng), known)


def day_plans(
    people: People,
    region: Region,
    laws: ScheduleLaws,
    parameters: UserParameters,
    modes: ModePolicy,
    *,
    weekend: bool,
    rng: np.random.Generator,
) -> tuple[Steps, Int32[Array, "users"]]:
    """Everyone's trips of one day, and the chains drawn (-1: none)."""
    n = len(people.home)
    chain = draw_chains(laws, people.kind, weekend=weekend, rng=rng)
    chain[people.commuter | people.away] = -1
    longest = max(map(len, (*laws.chains, COMMUTER)))
    place = np.full((n, longest), -1, np.int32)
    leave = np.full((n, longest), np.nan)
    goes_out = people.commuter & (rng.random(n) < (0.1 if weekend else 0.5))
    for row, letters in [*enumerate(laws.chains), (-1, COMMUTER)]:
        rows = np.flatnonzero(goes_out if row < 0 else chain == row)
        if not len(rows):
            continue
        for k, letter in enumerate(letters):
            before = place[rows, k - 1] if k else people.home[rows]
            if letter == "H" or (row < 0 and letter == "W"):
                place[rows, k] = people.home[rows]
            elif letter == "O":
                place[rows, k] = _errand(before, people.known[rows], region.errands, laws, parameters, rng)
            else:
                place[rows, k] = (people.work if letter == "W" else people.study)[rows]
        for k in range(1, len(letters)):
            leave[rows, k] = leave_times(letters, k, leave[rows, k - 1], laws, rng)
    return _ordered(region.errands, place, leave, laws, modes, rng), chain


def planned_duration_s(distance_m: Float64[Array, "trips"], mode: Int8[Array, "trips"]) -> Int32[Array, "trips"]:
    """Planned time of a trip: extra + detour * beeline / planning speed, at least 1 s."""
    speed, extra = np.ones(4), np.zeros(4)
    for m, value in PLANNING_SPEED_MPS.items():
        speed[m], extra[m] = value, TRIP_EXTRA_S[m]
    return np.asarray(np.ceil(extra[mode] + DETOUR * distance_m / speed[mode] + 1e-9), dtype=np.int32)


def truncated_normal(
    rng: np.random.Generator, mean: float, sigma: float, low: float, high: float, n: int
) -> Float64[Array, "n"]:
    """Normal draws conditioned on [low, high], by inverting the distribution function."""
    a, b = ndtr((low - mean) / sigma), ndtr((high - mean) / sigma)
    return np.clip(np.asarray(mean + sigma * ndtri(a + (b - a) * rng.random(n))), low, high)


def staying_times_s(rng: np.random.Generator, n: int, law: Stay | None = None) -> Float64[Array, "n"]:
    """Stays of EPR: density ~ t^-(1 + beta) exp(-t / tau) above the least (0.8, 17 h, 20 min), by rejection."""
    law = law or Stay()
    out = np.empty(n)
    todo = np.arange(n)
    while len(todo):
        draw = law.least_s * (1.0 - rng.random(len(todo))) ** (-1.0 / law.beta)
        out[todo] = draw
        todo = todo[rng.random(len(todo)) > np.exp(-(draw - law.least_s) / law.tau_s)]
    return out


def kind_of(letters: str, k: int) -> str:
    """Which law of `ScheduleLaws` gives the departure towards the k-th activity of a chain.

    >>> [kind_of("HWOWH", k) for k in range(1, 5)]
    ['to_work', 'at_noon', 'back_to_work', 'from_work']
    """
    source, target = letters[k - 1], letters[k]
    if source in "WS" and target == "H" and k == max(letters.rfind("W"), letters.rfind("S")) + 1:
        return "from_work"
    if source in "WS":  # out for lunch, or home for it
        return "at_noon"
    if target in "WS":
        return "to_work" if k == 1 else "back_to_work"
    if source == "H":
        return "first_out" if k == 1 else "out_again"
    return "errand"


def leave_times(
    letters: str, k: int, previous: Float64[Array, "n"], laws: ScheduleLaws, rng: np.random.Generator
) -> Float64[Array, "n"]:
    """Wished departure towards the k-th activity of a chain, seconds since midnight."""
    n, kind = len(previous), kind_of(letters, k)
    if kind == "errand":
        return np.asarray(previous + staying_times_s(rng, n, laws.errand))
    if kind == "out_again":
        least, mean = laws.out_again
        return np.asarray(previous + 3600.0 * (least + rng.exponential(mean, n)))
    law: Normal = getattr(laws, kind)
    drawn = 3600.0 * truncated_normal(rng, law.mean_h, law.sigma_h, law.low_h, law.high_h, n)
    return np.asarray(previous + drawn) if kind == "back_to_work" else drawn


def _errand(
    before: Array,
    known: Int32[Array, "n known"],
    gravity: Gravity,
    laws: ScheduleLaws,
    parameters: UserParameters,
    rng: np.random.Generator,
) -> Int32[Array, "n"]:
    """EPR: explore with P = rho S^-gamma by gravity, else return to a known place, rank r with weight 1 / r."""
    p_new = parameters.explore_rho * known.shape[1] ** -parameters.explore_gamma
    p_new = p_new if laws.explore is None else laws.explore
    explored = gravity.draw(before, "O", rng)
    rank = pick(1.0 / np.arange(1, known.shape[1] + 1), len(before), rng)
    return np.where(rng.random(len(before)) < p_new, explored, known[np.arange(len(before)), rank]).astype(np.int32)


def _ordered(
    gravity: Gravity,
    place: Int32[Array, "users slots"],
    leave: Float64[Array, "users slots"],
    laws: ScheduleLaws,
    modes: ModePolicy,
    rng: np.random.Generator,
) -> Steps:
    """Make wishes possible: each trip after the last one's end, the last one's end before 24 h.

    People whose trips do not fit into a day at all stay where they are.
    """
    valid = place[:, 1:] >= 0
    origin, target = np.maximum(place[:, :-1], 0), np.maximum(place[:, 1:], 0)
    x, y = gravity.x_m, gravity.y_m
    distance = np.hypot(x[target] - x[origin], y[target] - y[origin]) if len(x) else np.zeros(origin.shape)
    mode = np.zeros(origin.shape, np.int8)
    mode[valid] = modes(distance[valid], rng)
    duration = np.where(valid, planned_duration_s(distance, mode), 0)
    if laws.travel is not None:
        fitted = laws.travel[0] * (np.maximum(distance, 10.0) / 1000.0) ** laws.travel[1]
        duration = np.where(valid, np.ceil(fitted).astype(np.int64), 0)
    depart = np.where(valid, np.nan_to_num(leave[:, 1:]), 0.0).astype(np.int64)
    least_stay = round(laws.least_stay_s)
    for k in range(1, depart.shape[1]):
        earliest = depart[:, k - 1] + duration[:, k - 1] + least_stay
        depart[:, k] = np.where(valid[:, k], np.maximum(depart[:, k], earliest), depart[:, k])
    latest = np.full(len(place), DAY_S - 1, np.int64)
    for k in range(depart.shape[1] - 1, -1, -1):
        limit = latest - duration[:, k]
        depart[:, k] = np.where(valid[:, k], np.minimum(depart[:, k], limit), depart[:, k])
        latest = np.where(valid[:, k], depart[:, k] - least_stay, latest)
    possible = np.asarray(~(valid & (depart < 0)).any(axis=1))
    user, slot = np.nonzero(valid & (origin != target) & possible[:, None])
    return Steps(
        user.astype(np.int32),
        depart[user, slot].astype(np.int32),
        duration[user, slot].astype(np.int32),
        origin[user, slot].astype(np.int32),
        target[user, slot].astype(np.int32),
        mode[user, slot],
    )
