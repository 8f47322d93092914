"""Incidents: cells that fail, power cuts, surges of demand and special events, by script.

Everything is a pure function of the script and the time: what an incident changes is undone in the
second in which it ends, and a resumed run remembers nothing of it. Incidents act on what the
network was told (settings) and on what users ask for (demand); the rest follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, Literal

import numpy as np
from jaxtyping import Int, Int8

from mndt.city.model import City
from mndt.city.schema import SERVICES
from mndt.network.incident_parameters import Incident, check_incident
from mndt.network.incident_plans import Plan, resolve
from mndt.state import CellSettings, Demand, Status, Users
from mndt.streams import Streams

Array = np.ndarray

EVENT_SESSION_S: Final = 60
"""People at a special event take out and put away their devices about once a minute (assumed)."""


class NodeStatus(IntEnum):
    """How a cell's equipment is; the worst of what is under way."""

    OK = 0
    BATTERY = 1  # mains cut, batteries not yet empty
    FAILURE = 2
    NO_POWER = 3  # mains cut, batteries empty


@dataclass(frozen=True)
class Entry:
    """One line of the log of incidents."""

    time_s: int
    phase: Literal["end", "start", "battery-empty"]
    kind: str
    target: str


@dataclass(frozen=True)
class Prepared:
    """The script of one run, resolved in its city."""

    plans: tuple[Plan, ...]
    n_cells: int


def prepare(incidents: Sequence[Incident], city: City, *, demand_scale: float = 1.0) -> Prepared:
    """Find the cells, stations and places that a script names.

    Args:
        incidents: of the scenario.
        city: in which they happen.
        demand_scale: `DemandParameters.scale`, which the sessions of special events obey too.

    Raises:
        InputError: a name is unknown, a place is outside the map, or a key does not fit the kind.

    A cell that fails at half past eight for twenty minutes::

        script = prepare([Incident("cell-failure", "08:30", 1200, cell=city.cells.name[0])], city)
    """
    plans = []
    for number, incident in enumerate(incidents, start=1):
        where = f"[[incidents]] {number}"
        check_incident(incident, where=where)
        plans.append(resolve(incident, city, demand_scale=demand_scale, where=where))
    return Prepared(tuple(plans), len(city.cells))


def settings_at(prepared: Prepared, settings: CellSettings, time_s: int) -> CellSettings:
    """Settings as the equipment can carry them out: cells that failed or have no power are off.

    Args:
        prepared: the script.
        settings: as the operator wants them; keep these, for they hold again once all is over.
        time_s: beginning of the second.
    """
    out = _out(prepared, time_s)
    if not out:
        return settings
    status = settings.status.copy()
    status[np.concatenate(out)] = Status.OFF
    return replace(settings, status=status)


def node_status(prepared: Prepared, time_s: int) -> Int8[Array, "cells"]:
    """`NodeStatus` of every cell in the second that begins at `time_s`."""
    status = np.full(prepared.n_cells, NodeStatus.OK, np.int8)
    for plan in prepared.plans:
        if plan.under_way(time_s) and len(plan.cells):
            cut = NodeStatus.BATTERY if time_s < plan.dark_s else NodeStatus.NO_POWER
            level = np.int8(NodeStatus.FAILURE if plan.kind == "cell-failure" else cut)
            status[plan.cells] = np.maximum(status[plan.cells], level)
    return status


def demand_at(prepared: Prepared, demand: Demand, users: Users, time_s: int, streams: Streams) -> Demand:
    """What users ask for once special events and surges have had their say.

    At a special event everyone inside who would be idle uses the event's service for a share of
    the time, a minute at a stretch, at the service's mean rate. A surge multiplies the bits asked
    for inside, those of events included; surges that overlap multiply.

    Args:
        prepared: the script.
        demand: as the source of demand says.
        users: where they are.
        time_s: beginning of the second.
        streams: the run's; who takes part depends on its seed, the event, the user and the time only.
    """
    plans = [plan for plan in prepared.plans if plan.under_way(time_s) and plan.kind in _ON_DEMAND]
    if not plans:
        return demand
    service, bits = demand.service.copy(), demand.bits.copy()
    for plan in plans:
        if plan.kind == "special-event":
            idle = np.flatnonzero(plan.inside(users) & (service < 0))
            service[idle] = _event_service(plan, idle, time_s, streams)
            bits[idle] += _MEAN_BITS[service[idle]] * np.float32(plan.magnitude)
    for plan in plans:
        if plan.kind == "demand-surge":
            bits[plan.inside(users)] *= np.float32(plan.magnitude)
    return Demand(service=service, bits=bits)


def entries(prepared: Prepared, time_s: int, *, first_s: int | None = None) -> list[Entry]:
    """What begins, ends or loses its batteries at `time_s`, ends first, then in the script's order.

    Args:
        prepared: the script.
        time_s: beginning of the second.
        first_s: the run's first second: what is under way by then begins with it, and what has ended never was.
    """
    opening = time_s == first_s
    found = [
        Entry(time_s, "end", plan.kind, plan.target) for plan in prepared.plans if plan.end_s == time_s and not opening
    ]
    for plan in prepared.plans:
        if plan.begin_s == time_s or (opening and plan.under_way(time_s)):
            found.append(Entry(time_s, "start", plan.kind, plan.target))
        if plan.begin_s < plan.dark_s < plan.end_s and (
            plan.dark_s == time_s or (opening and plan.dark_s < time_s < plan.end_s)
        ):
            found.append(Entry(time_s, "battery-empty", plan.kind, plan.target))
    return found


# Inside -----------------------------------------------------------------------------------------

_ON_DEMAND: Final = ("demand-surge", "special-event")

_MEAN_BITS: Final = np.array([*(service.rate_bps for service in SERVICES), 0.0], dtype=np.float32)
"""Bits of one second by service; row -1, idle, is the last one."""

_MIX: Final = np.cumsum([service.share for service in SERVICES]) / sum(service.share for service in SERVICES)


def _out(prepared: Prepared, time_s: int) -> list[Int[Array, "hit"]]:
    """Cells that are out, by incident."""
    return [
        plan.cells
        for plan in prepared.plans
        if len(plan.cells) and time_s < plan.end_s
        and time_s >= (plan.begin_s if plan.kind == "cell-failure" else plan.dark_s)
    ]  # fmt: skip


def _event_service(plan: Plan, who: Int[Array, "some"], time_s: int, streams: Streams) -> Int8[Array, "some"]:
    """Service of some users in this second, -1 for those whose device rests.

    Each user's minutes begin at a second of its own, so that not everyone starts at once.
    """
    key = np.uint64(streams.key(f"{plan.kind} {plan.target}", plan.begin_s))
    row = who.astype(np.uint64)
    lag_s = (_uniform(key, row, np.zeros_like(row)) * EVENT_SESSION_S).astype(np.int64)
    minute = ((time_s - plan.begin_s + lag_s) // EVENT_SESSION_S).astype(np.uint64)
    active = _uniform(key, row, np.uint64(2) * minute + np.uint64(1)) < plan.share
    if plan.service >= 0:
        drawn = np.full(len(who), plan.service)
    else:
        drawn = np.searchsorted(_MIX, _uniform(key, row, np.uint64(2) * minute + np.uint64(2)), side="right")
    return np.where(active, drawn, -1).astype(np.int8)


def _uniform(key: np.uint64, row: Array, draw: Array) -> Array:
    """Numbers in [0, 1) by hashing (key, row, draw) with the finaliser of SplitMix64 (doi:10.1145/2660193.2660195)."""
    x = row * np.uint64(0x9E3779B97F4A7C15) ^ draw * np.uint64(0xD1B54A32D192ED03) ^ (key << np.uint64(32) | key)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return np.asarray((x >> np.uint64(11)) * 2.0**-53)
