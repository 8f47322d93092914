"""Plans of a city's people by a learned point process: its times and distances, the city's places."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Bool, Int8, Int32

from mndt.city.model import AREA_USES, City
from mndt.streams import Streams
from mndt.users._course import Course
from mndt.users._space import Space
from mndt.users.day_plans import Steps, planned_duration_s
from mndt.users.modes import ModePolicy
from mndt.users.places import mass_of
from mndt.users.point_process import Drawing, PointProcess, Trips, all_trips
from mndt.users.population import CLUSTERS, DAY_S

Array = np.ndarray

PULL: Final = {"W": 0.4, "S": 0.1, "O": 0.5}
"""How new places divide between work, study and errands: the process knows displacements, not purposes; assumed."""

LEAST_STAY_S: Final = 60


def learned_plans(
    city: City,
    process: PointProcess,
    home: Int32[Array, "users"],
    resident: Bool[Array, "users"],
    streams: Streams,
    *,
    days: int,
    first: int,
    modes: ModePolicy,
) -> tuple[Steps, Int8[Array, "users"]]:
    """Trips of residents over some days, and the demand cluster of everyone (home for those without).

    A person is out on a day by the diary's share for that weekday. New places are areas, drawn by what they
    attract and by the learned law of the displacement (see `_space`); only distances inside the city occur.

    Args:
        city: with areas.
        process: trained weights.
        home: area of each user.
        resident: whose plans are made.
        streams: for the draws.
        days: midnight to midnight.
        first: row of the first day's weekday.
        modes: how people choose a mode.
    """
    rng = streams.generator("schedule-learned")
    users = np.flatnonzero(resident)
    cluster = np.full(len(home), CLUSTERS.index("home"), np.int8)
    if not len(users):
        return Steps.joined(), cluster
    traits = process.draw_people(len(users), rng)[1]
    out = np.stack(
        [streams.generator("schedule-learned-day", d).random(len(users)) < process.day_shares[(first + d) % 7]
         for d in range(days)], axis=1,
    )  # fmt: skip
    calendar = np.where(out, np.arange(days) + first, 10**6)
    calendar.sort(axis=1)
    table = np.where(calendar < 10**6, calendar, -1).astype(np.int32)
    none = np.zeros(len(users))
    course = Course(table, traits, process.scale_m, none, none)
    course.place[:, 0] = home[users]
    x, y = np.asarray(city.areas.x_m, float), np.asarray(city.areas.y_m, float)
    trips = all_trips(Drawing(process, course, rng), _space(city, process), x[home[users]], y[home[users]])
    steps = _steps(trips, users, x, y, first, modes, rng)
    cluster[users] = _clusters(city, steps, users, len(home))[users]
    return steps, cluster


def _space(city: City, process: PointProcess) -> Space:
    attraction = np.zeros(len(city.areas))
    for letter, share in PULL.items():
        mass = mass_of(city, letter)
        attraction += share * mass / max(float(mass.sum()), 1e-300)
    homes = mass_of(city, "H")
    x, y = np.asarray(city.areas.x_m, float), np.asarray(city.areas.y_m, float)
    here = attraction + homes / max(float(homes.sum()), 1e-300)
    origins = None if len(process.place_x_m) else (here, homes)
    return Space.at(x, y, attraction, origins, process.scale_m)


def _steps(
    trips: Trips, users: Array, x: Array, y: Array, first: int, modes: ModePolicy, rng: np.random.Generator
) -> Steps:
    """Drawn trips with planned durations of our own, each after the last one's end."""
    origin, target = trips.from_place.astype(np.int32), trips.to_place.astype(np.int32)
    person = trips.person.astype(np.int64)
    real = origin != target
    person, origin, target = person[real], origin[real], target[real]
    depart = np.rint(trips.departure_s[real] - first * DAY_S).astype(np.int64)
    distance = np.hypot(x[target] - x[origin], y[target] - y[origin])
    mode = modes(distance, rng)
    duration = planned_duration_s(distance, mode).astype(np.int64)
    nth = np.arange(len(person)) - np.searchsorted(person, person)
    order = np.argsort(nth, kind="stable")
    edges = np.searchsorted(nth[order], np.arange(1, int(nth.max(initial=0)) + 2))
    for k in range(1, len(edges)):
        rows = order[edges[k - 1] : edges[k]]
        depart[rows] = np.maximum(depart[rows], depart[rows - 1] + duration[rows - 1] + LEAST_STAY_S)
    return Steps(
        users[person].astype(np.int32), depart.astype(np.int32), duration.astype(np.int32), origin, target, mode
    )


def _clusters(city: City, steps: Steps, users: Array, n: int) -> Int8[Array, "users"]:
    """Students and office people by what is where they stay longest away from home, leisure for other stays."""
    use = city.areas.use[steps.to_area]
    same = np.r_[steps.user[1:] == steps.user[:-1], False]
    until = np.r_[steps.departure_s[1:], 0]
    stay = np.where(same, until - steps.departure_s - steps.duration_s, 0)
    out = np.full(n, CLUSTERS.index("home"), np.int8)
    out[steps.user] = CLUSTERS.index("leisure")
    long_ = np.flatnonzero(stay > 4 * 3600)
    for name, cluster in (("work", "office"), ("education", "student")):
        rows = long_[use[long_] == AREA_USES.index(name)]
        out[steps.user[rows]] = CLUSTERS.index(cluster)
    return out
