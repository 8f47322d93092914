"""Daily activities, places, trips and their modes, for one day or several.

By rules: a day is an activity chain (home, work, study, other), homes and main activities are matched by the
doubly constrained gravity law (or by a given matrix), errands follow a gravity law and exploration with
preferential return (EPR), trips leave at truncated normal times in order. Homes, work and known places stay
from day to day, everything else is drawn anew. Or by the learned point process of `point_process`.

Sources: chain shares, departure laws and mode thresholds as shipped with the open demand toolchain
mosstool; EPR and its staying times by Song et al. (doi:10.1038/nphys1760), explored places by
gravity as in Pappalardo et al. (doi:10.1038/ncomms9166).

The nine published chain shares add up to 83.92 %; the remaining 16.08 % stay at home.
All places lie inside the city's box. What the box cuts off is stood in for by two groups:
*commuters*, who live outside and are in the centre for the day, and *passers*, rows of people who
cross the box one after another (when one reaches a place, the row goes on as the next person).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, Int8, Int32

from mndt.city.model import City
from mndt.errors import InputError
from mndt.streams import Streams
from mndt.users import schedule_laws
from mndt.users.day_plans import People, Region, Steps, day_plans, settle, staying_times_s, truncated_normal
from mndt.users.learned_plans import learned_plans
from mndt.users.matching import match
from mndt.users.modes import ModePolicy, mode_by_distance, policy_of
from mndt.users.od_zones import zones_of
from mndt.users.passers import passer_steps
from mndt.users.places import Gravity, gates, mass_of, pick
from mndt.users.point_process import PointProcess
from mndt.users.point_process import load as load_process
from mndt.users.population import CLUSTERS, DAY_S, WEEKDAYS, Population, UserParameters
from mndt.users.schedule_laws import CHAINS, ScheduleLaws, classes

__all__ = [
    "CHAINS", "make_population", "mode_by_distance", "read_schedule", "region_of", "staying_times_s",
    "truncated_normal",
]  # fmt: skip

Array = np.ndarray

MOST_DAYS: Final = 60
"""Days of plans that fit well into memory for tens of thousands of people."""


def make_population(
    city: City,
    n_users: int,
    parameters: UserParameters,
    streams: Streams,
    *,
    days: int = 1,
    schedule: ScheduleLaws | PointProcess | None = None,
    modes: ModePolicy | None = None,
) -> Population:
    """The plans of `n_users` people; same streams, same bytes, and the first days do not depend on `days`.

    Args:
        city: where they live.
        n_users: how many.
        parameters: who they are; `parameters.first_day` is the weekday of the first day.
        streams: one stream for what lasts, one for each day.
        days: midnight to midnight.
        schedule: laws or a learned process; None: the file `parameters.schedule` names, else the published laws.
        modes: how people choose a mode; None: as the laws say, see `mndt.users.modes`.

    Raises:
        ValueError: people are asked for in a city without areas.
        InputError: `parameters.schedule` names no file of ours.
    """
    if n_users and not len(city.areas):
        raise ValueError("people need at least one area to stay in")
    schedule = schedule or (read_schedule(Path(parameters.schedule)) if parameters.schedule else ScheduleLaws())
    laws = schedule if isinstance(schedule, ScheduleLaws) else ScheduleLaws()
    modes = modes or policy_of(laws, parameters)
    rng = streams.generator("schedule")
    passer, commuter = _groups(n_users, parameters, laws, rng)
    zones = zones_of(city, laws)
    home = _draw_homes(city, commuter, passer, zones.homes if zones else None, rng)
    speed = rng.normal(parameters.walk_speed_mps, parameters.walk_speed_sigma_mps, n_users)
    if n_users == 0:
        plans, chain, cluster = Steps.joined(), np.zeros(0, np.int8), np.zeros(0, np.int8)
    elif isinstance(schedule, PointProcess):
        first = WEEKDAYS.index(parameters.first_day)
        resident = ~(commuter | passer)
        learned, kind = learned_plans(city, schedule, home, resident, streams, days=days, first=first, modes=modes)
        rules, _ = _rule_plans(city, home, commuter, passer, laws, parameters, modes, streams, days, residents=False)
        plans, chain = Steps.joined(learned, rules), np.full(n_users, -1, np.int8)
        cluster = _clusters(chain, commuter, passer, laws)
        cluster[resident] = kind[resident]
    else:
        plans, chain = _rule_plans(city, home, commuter, passer, laws, parameters, modes, streams, days)
        cluster = _clusters(chain, commuter, passer, laws)
    start = np.zeros(n_users + 1, np.int32)
    start[1:] = np.cumsum(np.bincount(plans.user, minlength=n_users))
    return Population(
        home=home,
        chain=chain,
        cluster=cluster,
        walk_speed_mps=np.maximum(speed, 0.5).astype(np.float32),
        trip_start=start,
        departure_s=plans.departure_s,
        duration_s=plans.duration_s,
        from_area=plans.from_area,
        to_area=plans.to_area,
        mode=plans.mode,
    )


def read_schedule(path: Path) -> ScheduleLaws | PointProcess:
    """A schedule by its file: .json holds laws, .npz the weights of a learned process.

    Raises:
        InputError: it is neither.
    """
    if path.suffix == ".json":
        return schedule_laws.load(path)
    if path.suffix == ".npz":
        return load_process(path)
    raise InputError(
        "users.schedule", path, allowed="a .json of `mndt fit schedule` or an .npz of `mndt train schedule`",
        fix="give one of these",
    )  # fmt: skip


def region_of(city: City, laws: ScheduleLaws, parameters: UserParameters) -> Region:
    """Where people of a city find work, study and errands."""
    areas = city.areas
    x, y = np.asarray(areas.x_m, float), np.asarray(areas.y_m, float)
    ground, homes = np.asarray(areas.size_m2, float), mass_of(city, "H")

    def exponent(letter: str) -> float:
        return laws.gravity.get(letter, parameters.gravity_exponent)

    zones = zones_of(city, laws)
    given = {} if zones is None else {"zone": zones.zone, "table": zones.table}
    return Region(
        errands=Gravity.of(city, exponent("O")),
        work=match(x, y, ground, homes, mass_of(city, "W"), exponent("W"), **given),
        study=match(x, y, ground, homes, mass_of(city, "S"), exponent("S")),
    )


def _groups(
    n: int, parameters: UserParameters, laws: ScheduleLaws, rng: np.random.Generator
) -> tuple[Bool[Array, "users"], Bool[Array, "users"]]:
    """Who passes, and who commutes."""
    passers = parameters.passer_share if laws.passer_share is None else laws.passer_share
    commuters = parameters.commuter_share if laws.commuter_share is None else laws.commuter_share
    group = rng.random(n)
    passer = group < passers
    return passer, ~passer & (group < passers + (1 - passers) * commuters)


def _rule_plans(
    city: City,
    home: Int32[Array, "users"],
    commuter: Bool[Array, "users"],
    passer: Bool[Array, "users"],
    laws: ScheduleLaws,
    parameters: UserParameters,
    modes: ModePolicy,
    streams: Streams,
    days: int,
    *,
    residents: bool = True,
) -> tuple[Steps, Int8[Array, "users"]]:
    """All days' trips by rules, and the chains of the first day."""
    rng = streams.generator("schedule-places")
    region = region_of(city, laws, parameters)
    works, studies = classes(laws)
    u = rng.random(len(home))
    kind = np.where(u < works, 1, np.where(u < works + studies, 2, 0)).astype(np.int32)
    away = passer if residents else ~commuter
    people: People = settle(home, kind, commuter, away, region, rng)
    first, at, parts, chain = WEEKDAYS.index(parameters.first_day), home, [], np.zeros(0, np.int8)
    for day in range(days):
        rng = streams.generator("schedule-day", day)
        weekend = (first + day) % 7 >= 5
        steps, drawn = day_plans(people, region, laws, parameters, modes, weekend=weekend, rng=rng)
        crossing, at = passer_steps(city, at, passer, modes, rng)
        parts += [on_day(steps, day), on_day(crossing, day)]
        chain = drawn.astype(np.int8) if day == 0 else chain
    return Steps.joined(*parts), chain


def on_day(steps: Steps, day: int) -> Steps:
    """Trips of a later day, in seconds since the first one's midnight."""
    return Steps(
        steps.user, (steps.departure_s + day * DAY_S).astype(np.int32), steps.duration_s,
        steps.from_area, steps.to_area, steps.mode,
    )  # fmt: skip


def _draw_homes(
    city: City, commuter: Array, passer: Array, residents: Array | None, rng: np.random.Generator
) -> Int32[Array, "users"]:
    """Residents by residential floor area (or a matrix's origins), commuters by jobs, passers at the gates."""
    n = len(commuter)
    if n == 0:
        return np.zeros(0, np.int32)
    home = pick(mass_of(city, "H") if residents is None else residents, n, rng)
    work = pick(mass_of(city, "W"), n, rng)
    gate = pick(gates(city).astype(float), n, rng)
    return np.where(passer, gate, np.where(commuter, work, home)).astype(np.int32)


def _clusters(chain: Array, commuter: Array, passer: Array, laws: ScheduleLaws) -> Int8[Array, "users"]:
    letter = ["leisure" if "W" not in c and "S" not in c else "student" if "S" in c else "office" for c in laws.chains]
    row_of_chain = np.array([CLUSTERS.index(name) for name in letter] + [CLUSTERS.index("home")])
    cluster = row_of_chain[chain]  # -1 picks the last entry: stays at home
    cluster = np.where(commuter, CLUSTERS.index("office"), cluster)
    return np.where(passer, CLUSTERS.index("passer"), cluster).astype(np.int8)
