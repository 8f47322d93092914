"""Daily activities, places, trips and their modes.

A weekday is an activity chain (home, work, study, other), its places follow a gravity law and
exploration with preferential return (EPR), its trips leave at truncated normal times in order.
Sources: chain shares, departure laws and mode thresholds as shipped with the open demand toolchain
mosstool; EPR and its staying times by Song et al. (doi:10.1038/nphys1760), explored places by
gravity as in Pappalardo et al. (doi:10.1038/ncomms9166).

The nine published chain shares add up to 83.92 %; the remaining 16.08 % stay at home.
All places lie inside the city's box. What the box cuts off is stood in for by two groups:
*commuters*, who live outside and are in the centre for the day, and *passers*, rows of people who
cross the box one after another (when one reaches a place, the row goes on as the next person).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int32
from scipy.special import ndtr, ndtri

from mndt.city.model import City
from mndt.state import Mode
from mndt.streams import Streams
from mndt.users.places import Gravity, gates, mass_of, pick
from mndt.users.population import CLUSTERS, DAY_S, Population, UserParameters

Array = np.ndarray

CHAINS: Final[tuple[tuple[str, float], ...]] = (
    ("HWH", 0.1879),
    ("HWHOH", 0.2003),  # published as HWH+
    ("HWOWH", 0.1376),  # HW+WH
    ("HWHWH", 0.0109),
    ("HWHWHOH", 0.0143),  # HWHWH+
    ("HSH", 0.0310),
    ("HSHOH", 0.0336),  # HSH+
    ("HOH", 0.1091),
    ("HOHOH", 0.1145),  # HOH+
)
"""Activity chains (H home, W work, S study, O other) and their shares of all people."""

MIN_STAY_S: Final = 600
"""Shortest planned stay between two trips of a chain."""

DETOUR: Final = 1.3
"""Planned way over beeline; urban networks lie at 1.2 to 1.4."""

PLANNING_SPEED_MPS: Final = {Mode.WALK: 1.34, Mode.BICYCLE: 4.0, Mode.CAR: 20 / 3.6}
"""Speeds for planning; the car's 20 km/h is the published one."""

TRIP_EXTRA_S: Final = {Mode.WALK: 20, Mode.BICYCLE: 60, Mode.CAR: 90}
"""Planned time to leave the building and to reach the vehicle."""

KNOWN_PLACES: Final = 4
"""Places everyone knows before the day begins: the memory preferential return draws from."""


def make_population(city: City, n_users: int, parameters: UserParameters, streams: Streams) -> Population:
    """The plans of `n_users` people for one weekday; same streams, same bytes.

    Raises:
        ValueError: people are asked for in a city without areas.
    """
    if n_users and not len(city.areas):
        raise ValueError("people need at least one area to stay in")
    rng = streams.generator("schedule")
    group = rng.random(n_users)
    passer = group < parameters.passer_share
    commuter = ~passer & (group < parameters.passer_share + (1 - parameters.passer_share) * parameters.commuter_share)
    chain = _draw_chains(n_users, rng)
    chain[passer | commuter] = -1
    gravity = Gravity.of(city, parameters.gravity_exponent)
    home = _draw_homes(city, commuter, passer, rng)
    steps = _chain_steps(city, home, chain, commuter, gravity, parameters, rng)
    plans = _joined(steps, _passer_steps(city, home, passer, parameters, rng))
    start = np.zeros(n_users + 1, np.int32)
    start[1:] = np.cumsum(np.bincount(plans.user, minlength=n_users))
    speed = rng.normal(parameters.walk_speed_mps, parameters.walk_speed_sigma_mps, n_users)
    return Population(
        home=home,
        chain=chain,
        cluster=_clusters(chain, commuter, passer),
        walk_speed_mps=np.maximum(speed, 0.5).astype(np.float32),
        trip_start=start,
        departure_s=plans.departure_s,
        duration_s=plans.duration_s,
        from_area=plans.from_area,
        to_area=plans.to_area,
        mode=plans.mode,
    )


def mode_by_distance(distance_m: Float64[Array, "trips"], parameters: UserParameters) -> Int8[Array, "trips"]:
    """Walk below `walk_m`, cycle below `bicycle_m`, else drive (beeline distances).

    >>> mode_by_distance(np.array([100.0, 700.0, 1500.0]), UserParameters()).tolist()
    [1, 2, 3]
    """
    mode = np.where(distance_m < parameters.bicycle_m, Mode.BICYCLE, Mode.CAR)
    return np.asarray(np.where(distance_m < parameters.walk_m, Mode.WALK, mode), dtype=np.int8)


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
    return np.asarray(mean + sigma * ndtri(a + (b - a) * rng.random(n)))


def staying_times_s(rng: np.random.Generator, n: int) -> Float64[Array, "n"]:
    """Stays of EPR: density ~ t^-(1 + 0.8) exp(-t / 17 h) above 20 min, by rejection."""
    low, beta, tau = 1200.0, 0.8, 17 * 3600.0
    out = np.empty(n)
    todo = np.arange(n)
    while len(todo):
        draw = low * (1.0 - rng.random(len(todo))) ** (-1.0 / beta)
        out[todo] = draw
        todo = todo[rng.random(len(todo)) > np.exp(-(draw - low) / tau)]
    return out


@dataclass(frozen=True)
class _Steps:
    """Trips of some people, sorted by user and departure."""

    user: Int32[Array, "trips"]
    departure_s: Int32[Array, "trips"]
    duration_s: Int32[Array, "trips"]
    from_area: Int32[Array, "trips"]
    to_area: Int32[Array, "trips"]
    mode: Int8[Array, "trips"]


def _draw_chains(n: int, rng: np.random.Generator) -> Int8[Array, "n"]:
    edges = np.cumsum([share for _, share in CHAINS])
    row = np.searchsorted(edges, rng.random(n), side="right")
    return np.where(row < len(CHAINS), row, -1).astype(np.int8)


def _draw_homes(city: City, commuter: Array, passer: Array, rng: np.random.Generator) -> Int32[Array, "users"]:
    """Residents by residential floor area, commuters by jobs, passers at the gates."""
    n = len(commuter)
    if n == 0:
        return np.zeros(0, np.int32)
    home = pick(mass_of(city, "H"), n, rng)
    work = pick(mass_of(city, "W"), n, rng)
    gate = pick(gates(city).astype(float), n, rng)
    return np.where(passer, gate, np.where(commuter, work, home)).astype(np.int32)


def _clusters(chain: Array, commuter: Array, passer: Array) -> Int8[Array, "users"]:
    letter = np.array(
        ["leisure" if "W" not in c and "S" not in c else "student" if "S" in c else "office" for c, _ in CHAINS]
    )
    row_of_chain = np.array([CLUSTERS.index(name) for name in letter] + [CLUSTERS.index("home")])
    cluster = row_of_chain[chain]  # -1 picks the last entry: stays at home
    cluster = np.where(commuter, CLUSTERS.index("office"), cluster)
    return np.where(passer, CLUSTERS.index("passer"), cluster).astype(np.int8)


def _chain_steps(
    city: City,
    home: Int32[Array, "users"],
    chain: Int8[Array, "users"],
    commuter: Bool[Array, "users"],
    gravity: Gravity,
    parameters: UserParameters,
    rng: np.random.Generator,
) -> _Steps:
    """Trips of residents with a chain, and the commuters' errand at noon."""
    n = len(home)
    longest = max(len(c) for c, _ in CHAINS)
    place = np.full((n, longest), -1, np.int32)
    leave = np.full((n, longest), np.nan)
    anchor = {letter: gravity.draw(home, letter, rng) for letter in "WS"}
    known = gravity.draw(np.repeat(home, KNOWN_PLACES), "O", rng).reshape(n, KNOWN_PLACES)
    goes_out = commuter & (rng.random(n) < 0.5)
    for row, letters in [*enumerate(c for c, _ in CHAINS), (-1, "WOW")]:
        rows = np.flatnonzero(goes_out if row < 0 else chain == row)
        for k, letter in enumerate(letters):
            before = place[rows, k - 1] if k else home[rows]
            if letter == "H" or (row < 0 and letter == "W"):
                place[rows, k] = home[rows]
            elif letter == "O":
                place[rows, k] = _errand(before, known[rows], gravity, parameters, rng)
            else:
                place[rows, k] = anchor[letter][rows]
        for k in range(1, len(letters)):
            leave[rows, k] = _leave_times(letters, k, leave[rows, k - 1], rng)
    return _ordered_steps(city, place, leave, parameters)


def _errand(
    before: Array,
    known: Int32[Array, "n known"],
    gravity: Gravity,
    parameters: UserParameters,
    rng: np.random.Generator,
) -> Int32[Array, "n"]:
    """EPR: explore with P = rho S^-gamma by gravity, else return to a known place, rank r with weight 1 / r."""
    p_new = parameters.explore_rho * known.shape[1] ** -parameters.explore_gamma
    explored = gravity.draw(before, "O", rng)
    rank = pick(1.0 / np.arange(1, known.shape[1] + 1), len(before), rng)
    return np.where(rng.random(len(before)) < p_new, explored, known[np.arange(len(before)), rank]).astype(np.int32)


def _leave_times(letters: str, k: int, previous: Array, rng: np.random.Generator) -> Float64[Array, "n"]:
    """Wished departure towards the k-th activity of a chain, seconds since midnight."""
    n, hour = len(previous), 3600.0
    source, target = letters[k - 1], letters[k]
    later = k > 1
    if source in "WS" and target == "H" and k == _last_work(letters) + 1:
        return truncated_normal(rng, 17 * hour, 2 * hour, 11 * hour, 23 * hour, n)
    if source in "WS":  # out for lunch, or home for it
        return truncated_normal(rng, 12.25 * hour, 0.75 * hour, 10.5 * hour, 14.5 * hour, n)
    if target in "WS" and not later:
        return truncated_normal(rng, 8 * hour, 2 * hour, 4 * hour, 13 * hour, n)
    if target in "WS":  # back to work
        return np.asarray(previous + truncated_normal(rng, 0.9 * hour, 0.3 * hour, 0.3 * hour, 2 * hour, n))
    if source == "H" and not later:
        return truncated_normal(rng, 11.5 * hour, 3 * hour, 6 * hour, 21 * hour, n)
    if source == "H":
        return np.asarray(previous + 0.5 * hour + rng.exponential(1.5 * hour, n))
    return np.asarray(previous + staying_times_s(rng, n))


def _last_work(letters: str) -> int:
    return max(letters.rfind("W"), letters.rfind("S"))


def _ordered_steps(
    city: City, place: Int32[Array, "users slots"], leave: Float64[Array, "users slots"], parameters: UserParameters
) -> _Steps:
    """Make wishes possible: each trip after the last one's end, the last one's end before 24 h.

    People whose trips do not fit into a day at all stay where they are.
    """
    valid = place[:, 1:] >= 0
    origin, target = np.maximum(place[:, :-1], 0), np.maximum(place[:, 1:], 0)
    x, y = np.asarray(city.areas.x_m, float), np.asarray(city.areas.y_m, float)
    distance = np.hypot(x[target] - x[origin], y[target] - y[origin]) if len(x) else np.zeros(origin.shape)
    mode = mode_by_distance(distance, parameters)
    duration = np.where(valid, planned_duration_s(distance, mode), 0)
    depart = np.where(valid, np.nan_to_num(leave[:, 1:]), 0.0).astype(np.int64)
    for k in range(1, depart.shape[1]):
        earliest = depart[:, k - 1] + duration[:, k - 1] + MIN_STAY_S
        depart[:, k] = np.where(valid[:, k], np.maximum(depart[:, k], earliest), depart[:, k])
    latest = np.full(len(place), DAY_S - 1, np.int64)
    for k in range(depart.shape[1] - 1, -1, -1):
        limit = latest - duration[:, k]
        depart[:, k] = np.where(valid[:, k], np.minimum(depart[:, k], limit), depart[:, k])
        latest = np.where(valid[:, k], depart[:, k] - MIN_STAY_S, latest)
    possible = np.asarray(~(valid & (depart < 0)).any(axis=1))
    user, slot = np.nonzero(valid & (origin != target) & possible[:, None])
    return _Steps(
        user.astype(np.int32),
        depart[user, slot].astype(np.int32),
        duration[user, slot].astype(np.int32),
        origin[user, slot].astype(np.int32),
        target[user, slot].astype(np.int32),
        mode[user, slot],
    )


def _passer_steps(
    city: City,
    home: Int32[Array, "users"],
    passer: Bool[Array, "users"],
    parameters: UserParameters,
    rng: np.random.Generator,
) -> _Steps:
    """Row after row of people who cross the box between 5:00 and 24:00: gate to gate, or to a place and back.

    Each leg begins 30 s plus an exponential pause (mean 90 s) after the last one's planned end.
    """
    user = np.flatnonzero(passer).astype(np.int32)
    if not len(user):
        return _joined()
    at, gate_weight, jobs = home[user], gates(city).astype(float), mass_of(city, "W")
    x, y = np.asarray(city.areas.x_m, float), np.asarray(city.areas.y_m, float)
    now = np.full(len(user), 5 * 3600, np.int64) + (rng.random(len(user)) * 600).astype(np.int64)
    legs: list[_Steps] = []
    while len(user):
        target = pick(gate_weight, len(user), rng)
        visits = (rng.random(len(user)) < 0.5) & (gate_weight[at] > 0)
        target = np.where(visits, pick(jobs, len(user), rng), target)
        distance = np.hypot(x[target] - x[at], y[target] - y[at])
        mode = mode_by_distance(distance, parameters)
        duration = planned_duration_s(distance, mode)
        fits = now + duration < DAY_S
        go = fits & (target != at)
        legs.append(
            _Steps(user[go], now[go].astype(np.int32), duration[go], at[go].astype(np.int32), target[go], mode[go])
        )
        pause = 30 + rng.exponential(90.0, len(user)).astype(np.int64)
        user, at, now = user[fits], np.where(go, target, at)[fits], (now + duration + pause)[fits]
    return _joined(*legs)


def _joined(*parts: _Steps) -> _Steps:
    """All parts as one, sorted by user and departure."""
    if not parts:
        e = np.zeros(0, np.int32)
        return _Steps(e, e, e, e, e, e.astype(np.int8))
    names = ("user", "departure_s", "duration_s", "from_area", "to_area", "mode")
    joined = {name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
    order = np.lexsort((joined["departure_s"], joined["user"]))
    return _Steps(**{name: values[order] for name, values in joined.items()})
