"""`mndt validate determinism`: same seed, same bytes, on one thread and on two, second by second.

A town is simulated twice, in two processes that share nothing: kernels work on one thread in the
first and on two in the second. Decisions change every half minute, so that every association,
scheduler and power rule has its turn, cells fall asleep and wake up, and incidents of every kind
come and go. After each second both take a checksum of the state, of every KPI and of the log of
handovers; these must be equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mndt.checks.output import Figure, Result
from mndt.errors import InputError
from mndt.state import Action, CellSettings, Status

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.network.incident_parameters import Incident
    from mndt.streams import Streams
    from mndt.world import World

Array = np.ndarray

LEAST_USERS: Final = 2000
"""With fewer the kernels over users keep to one thread, whatever they are given."""

OUTDOOR, INDOOR = 32, 100
"""Stations: enough cells for the kernels over cells to work on two threads."""

BLOCKS: Final = 20
"""Blocks of a cell: few, so that cells are full, refuse users and let them queue."""

TURN_S: Final = 30
"""Seconds after which another decision has its turn."""

DECISIONS: Final = (
    Action(),
    Action(association="a3", blocks="proportional-fair", power="equal"),
    Action(association="a3", blocks="round-robin", power="need"),
    Action(association="exact", blocks="max-rate", power="fair"),
    Action(association="strongest", blocks="rate-need", power="need"),
)
"""What has its turn: the fundamentals, the policy proportional-fair, and the other rules."""


@dataclass(frozen=True)
class Task:
    """One of the two simulations."""

    threads: int
    seconds: int
    users: int
    start_s: int
    seed: int


@dataclass(frozen=True)
class Trace:
    """What one simulation left behind."""

    digests: tuple[str, ...]  # of each second
    handovers: int
    refused: int  # active users that no cell admitted, summed over the seconds


def run(*, minutes: float = 60.0, day: bool = False, users: int = 2500, seed: int = 0) -> Result:
    """Simulate the town on one thread and on two, and compare.

    Args:
        minutes: simulated time from 08:00 on, at most a day.
        day: from midnight to midnight instead.
        users: how many; 2,000 or more.
        seed: of the city and of the run.

    Returns:
        `seconds_compared`, `differing_seconds` (0 when all is well), `digest` of the whole first
        simulation, and how much happened in it.

    Raises:
        InputError: too few users, or no second to compare.
    """
    if users < LEAST_USERS:
        fix = "ask for more: with fewer, kernels do not use the second thread"
        raise InputError("users", users, allowed=f"{LEAST_USERS} or more", fix=fix)
    seconds = 24 * 3600 if day else round(60 * minutes)
    if not 1 <= seconds <= 24 * 3600:
        raise InputError("minutes", minutes, allowed="1/60 to 1440", fix="choose another length")
    from mndt.parallel import side_by_side

    tasks = [Task(threads, seconds, users, 0 if day else 8 * 3600, seed) for threads in (1, 2)]
    one, two = side_by_side(simulate, tasks, "simulations")
    return compared(one, two, seed)


def compared(one: Trace, two: Trace, seed: int = 0) -> Result:
    """The figures of two simulations that should be the same.

    >>> compared(Trace(("a", "b", "c"), 1, 0), Trace(("a", "x", "c"), 1, 0)).figures["differing_seconds"]
    1
    """
    differ = [i for i, (a, b) in enumerate(zip(one.digests, two.digests, strict=True)) if a != b]
    figures: dict[str, Figure] = {
        "seconds_compared": len(one.digests),
        "differing_seconds": len(differ),
        "digest": hashlib.blake2b("".join(one.digests).encode(), digest_size=16).hexdigest(),
        "handovers": one.handovers,
        "refused_user_seconds": one.refused,
    }
    if differ:
        figures["first_differing_second"] = differ[0]
    note = "checksums of state, KPIs and events, one simulation on one thread, the other on two"
    return Result("determinism", figures, seeds=[seed], note=note)


def simulate(task: Task) -> Trace:
    """One simulation, in a world of its own; the checksum of each second."""
    from mndt.parallel import set_threads
    from mndt.streams import Streams

    set_threads(task.threads)
    world = town(task)
    digests, handovers, refused = [], 0, 0
    for digest, n_handovers, n_refused in steps(world, Streams(task.seed), task.start_s, task.seconds):
        digests.append(digest)
        handovers, refused = handovers + n_handovers, refused + n_refused
    return Trace(tuple(digests), handovers, refused)


def steps(
    world: World, streams: Streams, start_s: int, seconds: int, turn_s: int = TURN_S
) -> Iterator[tuple[str, int, int]]:
    """Simulate, and give each second's checksum, handovers and refused users."""
    from mndt import engine
    from mndt.checkpoint import digest

    state = engine.start(world, time_s=start_s, seed=streams.seed)
    for second in range(seconds):
        state, kpis = engine.step(world, state, decision(state.settings, second // turn_s), streams)
        refused = int(np.count_nonzero(kpis.user_active & ~state.connected))
        yield digest((state, kpis)), kpis.handovers, refused


def decision(settings: CellSettings, turn: int) -> Action:
    """What the `turn`-th turn decides: the rules in rotation, other cells asleep or favoured in each."""
    n_cells = len(settings.status)
    row = (np.arange(n_cells) + turn) % 7
    status = np.where(row == 0, np.int8(Status.SLEEP), np.int8(Status.ON))
    offset_db = np.where(row == 1, np.float32(2.0), np.float32(0.0))
    changed = replace(settings, status=status, handover_offset_db=offset_db)
    return replace(DECISIONS[turn % len(DECISIONS)], settings=changed)


def town(task: Task) -> World:
    """A square kilometre with four times the usual demand."""
    from mndt import engine
    from mndt.city.synthetic import synthetic_city
    from mndt.radio.maps import RadioParameters
    from mndt.users.demand import DemandParameters
    from mndt.users.population import UserParameters

    city = synthetic_city(
        seed=task.seed, size_m=1000.0, lanes=400, areas=350, outdoor_sites=OUTDOOR, indoor_sites=INDOOR
    )
    city = replace(city, cells=replace(city.cells, blocks=np.full(len(city.cells), BLOCKS)))
    return engine.build_world(
        city,
        radio=RadioParameters(resolution_m=8.0),
        users=UserParameters(count=task.users),
        demand=DemandParameters(scale=4.0),
        incidents=script(city, task.start_s, task.seconds),
        seed=task.seed,
        n_jobs=1,
    )


def script(city: City, start_s: int, seconds: int) -> list[Incident]:
    """One incident of each kind, overlapping, within the simulated time."""
    from mndt.network.incident_parameters import Incident

    half_m, third = 0.5 * city.frame.width_m, max(1, seconds // 3)

    def incident(kind: str, after: float, **keys: Any) -> Incident:
        day, second = divmod(int(start_s + after * seconds), 24 * 3600)
        at = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        if "cell" not in keys:
            keys |= {"x_m": half_m, "y_m": half_m, "radius_m": half_m}
        return Incident(kind, at, third, day=day, **keys)  # type: ignore[arg-type]

    return [
        incident("demand-surge", 0.1, magnitude=3.0),
        incident("cell-failure", 0.2, cell=city.cells.name[0]),
        incident("special-event", 0.3, share=0.3),
        incident("power-cut", 0.4, battery_min=third / 180.0),
    ]
