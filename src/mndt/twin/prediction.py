"""What the twin says a plan would come to: the same seconds with it and without it, seed by seed.

Both futures of a seed share people, demand and fading, so that what is left of their difference is the plan's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from mndt.engine import step
from mndt.errors import InputError
from mndt.network import kpi
from mndt.plants import SAME, Configuration, Turn, turned
from mndt.radio.aiming import coverage_dbm
from mndt.state import Action, CellSettings, NetworkState, Status
from mndt.streams import Streams
from mndt.twin.guard import Prediction
from mndt.twin.plan import PlanDescriptor
from mndt.units import w_to_dbm
from mndt.world import World, as_built, start

Array = np.ndarray

COVERED_DBM: Final = -110.0
"""Power of the best cell on one block from which on ground counts as covered; assumed."""

WARM_UP_S: Final = 20
"""Seconds before the futures part, in which users find their cells."""

Decide = Callable[[NetworkState], Action]
"""Who gives blocks and power, as in the network that is predicted."""

OUTAGE, THROUGHPUT = "X.OutageRatio", "X.ThroughputDl"


def predict(
    world: World,
    plan: PlanDescriptor,
    configuration: Configuration,
    *,
    time_s: float,
    seconds: int = 60,
    seeds: Sequence[int] = (1, 2, 3),
    decide: Decide | None = None,
) -> Prediction:
    """Simulate a plan against leaving everything as it is.

    Args:
        world: the twin.
        plan: what would be turned.
        configuration: what the network says it is set to.
        time_s: when, in seconds since a midnight.
        seconds: how long, after a warm-up.
        seeds: of movement, demand and fading, each with and without the plan.
        decide: who gives blocks and power; by default the network's fundamentals.

    Returns:
        Means over the seeds. Not trusted where the configuration names cells that the twin does not have, or the
        other way round.

    Raises:
        InputError: more power than the cell was built for.

    A plan in the twin of its own network::

        predict(world, plan, plant.configuration(), time_s=plant.now_s).outage_after
    """
    cell = world.city.cells.name
    if set(configuration.cell) != set(cell):
        return _unknown("the twin and the network do not have the same cells")
    _refuse_beyond(world, plan)
    before = settings_of(world, configuration)
    after = turned(before, plan.turns, cell)
    pairs = np.array([_pair(world, before, after, int(time_s), seconds, seed, decide or _leave) for seed in seeds])
    (outage_before, throughput_before), (outage_after, throughput_after) = pairs.mean(axis=0)
    return Prediction(
        coverage_before=covered(world, before),
        coverage_after=covered(world, after),
        outage_before=float(outage_before),
        outage_after=float(outage_after),
        throughput_before_bps=float(throughput_before),
        throughput_after_bps=float(throughput_after),
        seeds=len(seeds),
        note=_spread(pairs[:, 1, 0] - pairs[:, 0, 0], seconds),
    )


def settings_of(world: World, configuration: Configuration) -> CellSettings:
    """What a network says it is set to, as settings of the twin; what it does not say is as built.

    Raises:
        InputError: it names a cell that the twin does not have.
    """
    turns = tuple(
        Turn(name, setting, float(value))
        for setting, values in configuration.values.items()
        for name, value in zip(configuration.cell, values, strict=True)
        if math.isfinite(value)
    )
    settings = turned(as_built(world.city), turns, world.city.cells.name)
    # a power in dBm that is written and read again may end a rounding above the maximum
    return replace(settings, power_w=np.minimum(settings.power_w, world.city.cells.max_power_w.astype(np.float32)))


def covered(world: World, settings: CellSettings, *, least_dbm: float = COVERED_DBM) -> float:
    """Share of the map on which the best cell's power on one block is at least this.

    Args:
        world: the twin.
        settings: of its cells.
        least_dbm: from where on ground is covered.
    """
    cells = world.city.cells
    on = settings.status == Status.ON
    power_w = np.where(on, settings.power_w / np.maximum(cells.blocks, 1), 0.0)
    best_dbm, _ = coverage_dbm(world.channel.aimed(settings), power_w)
    return float(np.mean(best_dbm >= least_dbm))


# Inside -----------------------------------------------------------------------------------------


def _pair(
    world: World, before: CellSettings, after: CellSettings, time_s: int, seconds: int, seed: int, decide: Decide
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Outage and throughput of both futures of one seed."""
    streams = Streams(seed)
    begin_s = max(0, time_s - WARM_UP_S)
    state = start(world, time_s=begin_s, seed=seed)
    for _ in range(time_s - begin_s):
        state, _ = step(world, state, replace(decide(state), settings=before), streams)
    without, plan = (_future(world, state, settings, seconds, streams, decide) for settings in (before, after))
    return without, plan


def _future(
    world: World, state: NetworkState, settings: CellSettings, seconds: int, streams: Streams, decide: Decide
) -> tuple[float, float]:
    rows = []
    for _ in range(seconds):
        state, kpis = step(world, state, replace(decide(state), settings=settings), streams)
        rows.append(kpi.total_row(kpis))
    totals = kpi.summarise(rows)
    return totals[OUTAGE], totals[THROUGHPUT]


def _refuse_beyond(world: World, plan: PlanDescriptor) -> None:
    most_dbm = w_to_dbm(world.city.cells.max_power_w)
    for turn in plan.turns:
        most = float(most_dbm[world.city.cells.name.index(turn.cell)])
        if turn.setting == "power_dbm" and turn.value > most + SAME:
            allowed = f"at most {most:.2f} dBm, its maximum"
            raise InputError("power_dbm", f"{turn.value:g}", allowed=allowed, fix="plan less", where=turn.cell)


def _leave(state: NetworkState) -> Action:
    return Action()


def _spread(rise: Array, seconds: int) -> str:
    """How sure the twin is of the plan's effect on outage, in words."""
    if len(rise) < 2:
        return f"{seconds} s, one seed"
    error = float(np.std(rise, ddof=1)) / math.sqrt(len(rise))
    return f"{seconds} s, {len(rise)} seeds; outage changes by {float(rise.mean()):+.4f}, standard error {error:.4f}"


def _unknown(note: str) -> Prediction:
    nan = math.nan
    return Prediction(nan, nan, nan, nan, trusted=False, note=note)
