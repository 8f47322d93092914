"""A stand-in for the engine: a tiny network that needs no maps and no compilation.

`install()` puts it in the engine's place. Users walk at random, one block a cell; everything is
drawn from the run's streams, so that it is as deterministic as the real one. `slow_s` holds every
step up, for tests that kill a run on its way.
"""

from __future__ import annotations

import sys
import time
import types
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

import mndt
from mndt.network import kpi
from mndt.network.incidents import Prepared, prepare
from mndt.state import Allocation, CellSettings, Episode, Kpis, NetworkState, Users
from mndt.streams import Streams

N_USERS, N_AREAS = 40, 3


@dataclass(frozen=True)
class Feet:
    steps: np.ndarray
    home: tuple[np.ndarray, float]


@dataclass(frozen=True)
class Memory:
    feet: Feet
    label: str
    spare: None = None


@dataclass(frozen=True)
class Mobility:
    n_users: int


@dataclass(frozen=True)
class World:
    city: Any
    mobility: Mobility
    seed: int
    incidents: Prepared


def build_world(city: Any, *, seed: int = 0, incidents: Any = (), **parameters: Any) -> World:
    return World(city, Mobility(N_USERS), seed, prepare(incidents, city))


def start(world: World, *, time_s: int = 0, seed: int | None = None) -> NetworkState:
    rng = Streams(seed or 0).generator("start", time_s)
    n, cells = N_USERS, len(world.city.cells)
    x, y = rng.random((2, n), dtype=np.float32) * 300
    zeros = np.zeros(cells, np.float32)
    special = {
        "time_s": time_s,
        "users": Users(x, y, np.ones(n, np.float32), np.ones(n, np.int8), np.full(n, -1, np.int32)),
        "mobility": Memory(Feet(np.zeros(n, np.int64), (x.copy(), 2.5)), "walkers"),
        "demand": None,
        "service": np.zeros(n, np.int8),
        "serving": np.full(n, -1, np.int32),
        "connected": np.zeros(n, np.bool_),
        "settings": CellSettings(zeros + 1, zeros, zeros, zeros, zeros, np.zeros(cells, np.int8)),
        "allocation": Allocation(np.full((cells, 1), -1, np.int32), np.zeros((cells, 1), np.float32)),
        "episode": Episode(np.zeros(n), np.zeros(n)),
    }
    return NetworkState(**{f.name: special.get(f.name, np.zeros(n, np.float32)) for f in fields(NetworkState)})


def step(world: World, state: NetworkState, action: Any, streams: Streams) -> tuple[NetworkState, Kpis]:
    time.sleep(slow_s)
    n, cells = N_USERS, len(world.city.cells)
    rng = streams.generator("walk", state.time_s)
    dx, dy = rng.normal(size=(2, n)).astype(np.float32)
    area = rng.integers(-1, 2, n).astype(np.int32)  # never in the last of the areas
    moved = replace(state.users, x_m=state.users.x_m + dx, y_m=state.users.y_m + dy, area=area)
    better = 2.0 if action.blocks == "proportional-fair" else 1.0
    rate = (rng.random(n) * 1e6 * better).astype(np.float32)
    memory = replace(state.mobility, feet=replace(state.mobility.feet, steps=state.mobility.feet.steps + 1))
    serving = (np.floor(np.abs(moved.x_m) / 60).astype(np.int32)) % cells
    after = replace(
        state,
        time_s=state.time_s + 1,
        users=moved,
        mobility=memory,
        serving=serving,
        connected=np.ones(n, np.bool_),
        buffer_bits=(state.buffer_bits * np.float32(0.5) + rate).astype(np.float32),
        episode=replace(state.episode, received_bits=state.episode.received_bits + rate),
    )
    per_user = {"rate_bps": rate, "delivered_bits": rate, "offered_bits": rate * np.float32(1.1)}
    flags = {"user_active": np.ones(n, np.bool_), "user_outage": rate < 2e5}
    log = kpi.changes(np.where(state.connected, state.serving, -1), serving)
    values: dict[str, Any] = {"time_s": state.time_s, "throughput_bps": float(rate.sum()), "handovers": len(log)}
    values |= {"satisfied_share": 0.9, "outage_ratio": float(flags["user_outage"].mean()), "mobility": log} | flags
    for f in fields(Kpis):
        if f.name.startswith("user_"):
            values.setdefault(f.name, per_user.get(f.name.removeprefix("user_"), np.ones(n, np.float32)))
        elif f.name.startswith("cell_"):
            kind = np.float32 if f.name.endswith(("_bps", "_w", "_bits")) else np.int32
            values[f.name] = np.bincount(serving, minlength=cells).astype(kind)
        elif f.name.startswith("area_"):
            kind = np.float32 if f.name.endswith("_bits") else np.int32
            values[f.name] = np.bincount(moved.area % (N_AREAS + 1), minlength=N_AREAS + 1).astype(kind)
    return after, Kpis(**values)


slow_s = 0.0


def install(slow: float = 0.0) -> types.ModuleType:
    """Put this module in the place of `mndt.engine` and return it."""
    module = sys.modules[__name__]
    module.slow_s = slow  # type: ignore[attr-defined]
    sys.modules["mndt.engine"] = module
    mndt.engine = module  # type: ignore[attr-defined]
    return module
