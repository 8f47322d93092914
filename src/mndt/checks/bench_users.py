"""`mndt bench users`: how fast people move and ask for traffic, without the network.

Clocks, all on one thread of this process:
users: mobility and demand of the population of `table1` in the busy hour;
crowd: people inside areas alone;
demand: what everybody asks for through a whole day, second by second, nothing kept.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from mndt.checks.output import Figure, Result, peak_mb
from mndt.parallel import set_threads

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.state import Users
    from mndt.streams import Streams
    from mndt.users.demand import OwnDemand
    from mndt.users.mobility import OwnMobility

Array = np.ndarray

BUSY_S: Final = 8 * 3600
"""When most people are on their way, by the departures of the schedules."""

DAY_S: Final = 86_400
CROWD: Final = 8_000
"""People of the crowd's own clock, in all the areas of `table1`."""

TRIP_COLUMNS: Final = ("departure_s", "duration_s", "from_area", "to_area", "mode")
"""Columns of `Population` with a row a trip."""

WARM_UP_S: Final = 5
"""Seconds before the clock starts: the first one loads or compiles kernels."""


def run(*, seconds: int = 600, quick: bool = False, seed: int = 0) -> Result:
    """Time the users' twin on the city and the population of the preset `table1`.

    Args:
        seconds: simulated seconds of the busy hour.
        quick: a tenth of them, and of the day.
        seed: of the city, its people and all they do.

    Returns:
        Simulated seconds per second of processor time, everybody on the move and the crowd alone; seconds that
        a day of demand takes; the most memory held; and where a second goes, in milliseconds.
    """
    from mndt.scenario import load, open_city
    from mndt.streams import Streams
    from mndt.users.demand import OwnDemand
    from mndt.users.mobility import OwnMobility
    from mndt.users.schedule import make_population

    if quick:
        seconds = max(seconds // 10, 1)
    set_threads(1)
    scenario, streams = load("table1"), Streams(seed)
    city = open_city(scenario.city, scenario.name)
    n_users = scenario.users.n_users(city.frame.area_km2)
    population = make_population(city, n_users, scenario.users, streams)
    mobility = OwnMobility(city, population, scenario.users, streams)
    demand = OwnDemand(population.cluster, scenario.demand)
    figures: dict[str, Figure] = busy_hour(mobility, demand, streams, seconds)
    figures |= crowd(city, mobility, streams, seconds)
    figures |= day(demand, streams, DAY_S // 10 if quick else DAY_S)
    figures |= {"users": n_users, "areas": len(city.areas), "peak_mb": peak_mb()}
    return Result("users", figures, seeds=[seed])


def busy_hour(mobility: OwnMobility, demand: OwnDemand, streams: Streams, seconds: int) -> dict[str, Figure]:
    """Everybody moves and asks for traffic, `seconds` long from `BUSY_S` on."""
    memory, users = mobility.start(BUSY_S, streams)
    sessions = demand.start(users, BUSY_S, streams)
    spent_s = {"mobility": 0.0, "demand": 0.0}
    on_the_way = 0
    for second in range(-WARM_UP_S, seconds):
        now_s = BUSY_S + WARM_UP_S + second
        began = time.process_time()
        memory, users = mobility.step(memory, now_s, streams)
        moved = time.process_time()
        sessions, _ = demand.step(sessions, users, now_s, streams)
        if second >= 0:
            spent_s["mobility"] += moved - began
            spent_s["demand"] += time.process_time() - moved
            on_the_way += int(np.count_nonzero(users.area < 0))
    total_s = max(sum(spent_s.values()), 1e-9)
    return {
        "times_real_time": seconds / total_s,
        "ms_mobility": 1e3 * spent_s["mobility"] / seconds,
        "ms_demand": 1e3 * spent_s["demand"] / seconds,
        "users_on_the_way": on_the_way / seconds,
    }


def crowd(city: City, everybody: OwnMobility, streams: Streams, seconds: int) -> dict[str, Figure]:
    """`CROWD` people inside the areas that the population's trips lead to; nobody goes in or out."""
    from mndt.users.mobility import OwnMobility

    plan, rng = everybody.population, streams.generator("bench-crowd")
    who = rng.choice(len(plan), min(CROWD, len(plan)), replace=False)
    none = np.zeros(0, np.int32)
    stay = replace(
        plan,
        chain=plan.chain[who],
        cluster=plan.cluster[who],
        home=rng.choice(plan.to_area, len(who)),
        walk_speed_mps=plan.walk_speed_mps[who],
        trip_start=np.zeros(len(who) + 1, plan.trip_start.dtype),
        **{name: getattr(plan, name)[none] for name in TRIP_COLUMNS},
    )
    mobility = OwnMobility(city, stay, everybody.parameters, streams)
    memory, _ = mobility.start(BUSY_S, streams)
    spent_s = 0.0
    for second in range(-WARM_UP_S, seconds):
        began = time.process_time()
        memory, _ = mobility.step(memory, BUSY_S + WARM_UP_S + second, streams)
        spent_s += (time.process_time() - began) * (second >= 0)
    return {"crowd_times_real_time": seconds / max(spent_s, 1e-9), "crowd_people": len(who)}


def day(demand: OwnDemand, streams: Streams, seconds: int) -> dict[str, Figure]:
    """Everybody's demand from midnight on; of each second only its sum is kept."""
    users = _still(len(demand.cluster))
    sessions, bits = demand.start(users, 0, streams), 0.0
    began = time.process_time()
    for second in range(seconds):
        sessions, now = demand.step(sessions, users, second, streams)
        bits += float(now.bits.sum())
    took_s = time.process_time() - began
    return {"demand_s": took_s * DAY_S / seconds, "demand_mean_mbps": bits / seconds / 1e6}


def _still(n_users: int) -> Users:
    from mndt.state import Mode, Users

    zero = np.zeros(n_users, np.float32)
    return Users(zero, zero, zero, np.full(n_users, Mode.INSIDE, np.int8), np.zeros(n_users, np.int32))
