"""A town of eleven cells on nine stations, and random seconds in it: states that nobody planned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

import mndt
from mndt import engine
from mndt.city.model import Cells
from mndt.city.synthetic import synthetic_city
from mndt.network.association import ASSOCIATION
from mndt.network.incident_parameters import Incident
from mndt.network.parameters import NetworkParameters
from mndt.network.power import POWER
from mndt.network.scheduling import BLOCKS
from mndt.radio.mcs import LAWS
from mndt.radio.parameters import RadioParameters
from mndt.state import Action, Allocation, CellSettings, Demand, Mode, NetworkState, Status, Users
from mndt.streams import Streams
from mndt.users.demand import DemandParameters
from mndt.users.population import UserParameters
from mndt.world import World

N_USERS = 150
SIZE_M = 400.0
NINE = 9 * 3600
FADING = {"los_fading": "none", "nlos_fading": "none"}


class Town:
    """A world that does not print all its arrays when a test fails."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __repr__(self) -> str:
        return "town"


def build(cache: Path, *, fading: bool = True) -> Town:
    """The town: at nine a cell fails for 150 s; at 09:02 begin a power cut, with batteries for 30 s, and a surge."""
    city = synthetic_city(size_m=SIZE_M, lanes=60, areas=40, outdoor_sites=4, indoor_sites=5)
    outdoor = np.flatnonzero(~city.sites.indoor[city.cells.site])
    row = np.sort(np.append(np.arange(len(city.cells)), outdoor[:2]))  # two stations have two sectors
    cells = {name: _rows(values, row) for name, values in vars(city.cells).items()}
    cells["name"] = tuple(f"cell-{c}" for c in range(len(row)))
    cells["azimuth_deg"] = 180.0 * (np.arange(len(row)) % 2)
    cells["blocks"] = np.resize([6, 1, 20, 3, 45], len(row))
    city = replace(city, cells=Cells(**cells))
    middle = {"x_m": SIZE_M / 2, "y_m": SIZE_M / 2, "radius_m": SIZE_M / 3}
    world = mndt.build_world(
        city,
        radio=RadioParameters(resolution_m=8.0, coherence_mhz=0.5, **({} if fading else FADING)),
        users=UserParameters(count=N_USERS),
        demand=DemandParameters(scale=4.0, busy_share=0.6),
        incidents=[
            Incident("cell-failure", "09:00", 150, cell="cell-2"),
            Incident("power-cut", "09:02", 600, battery_min=0.5, **middle),
            Incident("demand-surge", "09:02", 600, magnitude=5.0, **middle),
        ],
        cache_dir=cache,
        n_jobs=1,
    )
    return Town(world)


def _rows(values: Any, row: np.ndarray) -> Any:
    return tuple(values[i] for i in row) if isinstance(values, tuple) else values[row]


@dataclass(frozen=True)
class Second:
    """What `engine.serve` is asked to do."""

    world: World
    state: NetworkState
    users: Users
    demand: Demand
    action: Action

    def serve(self) -> tuple[NetworkState, mndt.Kpis]:
        return engine.serve(self.world, self.state, self.users, self.demand, self.action, Streams(1))

    @property
    def settings(self) -> CellSettings:
        return self.action.settings or self.state.settings


@dataclass(frozen=True)
class Sketch:
    """What a second is to be like; `make` fills it in at random."""

    seed: int
    time_s: int
    absent: float
    crowded: bool
    load_bits: float
    on: float
    power: float
    association: str
    blocks: str
    block_power: str
    law: str


def sketches(
    association: Any = (*ASSOCIATION, "array"),
    blocks: Any = (*BLOCKS, "array"),
    power: Any = (*POWER, "array"),
    law: Any = LAWS,
) -> st.SearchStrategy[Sketch]:
    """Any second; some of the rules, or decisions of arrays."""
    return st.builds(
        Sketch,
        seed=st.integers(0, 2**32 - 1),
        time_s=st.sampled_from([0, NINE - 1, NINE, NINE + 140, NINE + 400, NINE + 720]),
        absent=st.sampled_from([0.0, 0.3, 1.0]),
        crowded=st.booleans(),
        load_bits=st.sampled_from([0.0, 1e3, 1e6, 1e12]),
        on=st.sampled_from([1.0, 0.6, 0.0]),
        power=st.sampled_from([1.0, 0.5, 0.0]),
        association=st.sampled_from(list(association)),
        blocks=st.sampled_from(list(blocks)),
        block_power=st.sampled_from(list(power)),
        law=st.sampled_from(law),
    )


def make(town: Town, sketch: Sketch) -> Second:
    """A second as sketched. The state before has seen another random second, so that it remembers something."""
    rng = np.random.default_rng(sketch.seed)
    world = replace(town.world, network=NetworkParameters(rate_law=sketch.law))
    state = replace(_random_state(world, sketch, rng), time_s=sketch.time_s)
    first = Second(world, state, state.users, _random_demand(sketch, rng), Action(association="a3"))
    state, _ = first.serve()
    users, settings = _random_users(sketch, rng), _random_settings(world, sketch, rng)
    action = Action(settings, *_choices(world, sketch, settings, rng))
    return Second(world, state, users, _random_demand(sketch, rng), action)


def _random_state(world: World, sketch: Sketch, rng: np.random.Generator) -> NetworkState:
    state = mndt.start(world)
    n_cells, shape = len(world.city.cells), state.allocation.power_w.shape
    service = rng.integers(-1, 7, N_USERS).astype(np.int8)
    buffer_bits = np.where(service >= 0, rng.exponential(sketch.load_bits, N_USERS), 0.0)
    serving = rng.integers(-1, n_cells, N_USERS).astype(np.int32)
    settings = _random_settings(world, sketch, rng)
    power_w = rng.random(shape) * settings.power_w[:, None] / shape[1]
    return replace(
        state,
        users=_random_users(sketch, rng),
        service=service,
        buffer_bits=buffer_bits.astype(np.float32),
        mean_rate_bps=rng.exponential(1e6, N_USERS).astype(np.float32),
        serving=serving,
        connected=(serving >= 0) & (rng.random(N_USERS) < 0.7),
        settings=settings,
        allocation=Allocation(np.full(shape, -1, np.int32), power_w.astype(np.float32)),
    )


def _random_users(sketch: Sketch, rng: np.random.Generator) -> Users:
    """Anywhere, also outside the map, or in a crowd of a few metres."""
    spread_m = 5.0 if sketch.crowded else SIZE_M + 100.0
    place_m = rng.random((2, 1)) * (SIZE_M - spread_m) + rng.random((2, N_USERS)) * spread_m
    mode = rng.integers(0, 4, N_USERS)
    mode[rng.random(N_USERS) < sketch.absent] = Mode.ABSENT
    area = rng.integers(-1, 40, N_USERS)
    x_m, y_m = place_m.astype(np.float32)
    return Users(x_m, y_m, np.zeros(N_USERS, np.float32), mode.astype(np.int8), area.astype(np.int32))


def _random_demand(sketch: Sketch, rng: np.random.Generator) -> Demand:
    service = rng.integers(-1, 7, N_USERS).astype(np.int8)
    bits = np.where((service >= 0) & (rng.random(N_USERS) < 0.7), rng.exponential(sketch.load_bits, N_USERS), 0.0)
    return Demand(service, bits.astype(np.float32))


def _random_settings(world: World, sketch: Sketch, rng: np.random.Generator) -> CellSettings:
    built = engine.as_built(world.city)
    n = len(built.status)
    down = rng.choice([Status.SLEEP, Status.OFF], n)
    share = np.where(rng.random(n) < 0.5, sketch.power, rng.random(n) * sketch.power)
    return replace(
        built,
        power_w=(built.power_w * share).astype(np.float32),
        handover_offset_db=rng.normal(0.0, 2.0, n).astype(np.float32),
        status=np.where(rng.random(n) < sketch.on, Status.ON, down).astype(np.int8),
    )


def _choices(world: World, sketch: Sketch, settings: CellSettings, rng: np.random.Generator) -> list[Any]:
    """Names, or random arrays: whoever decides knows neither who is active nor what has failed."""
    cells = world.city.cells
    shape = (len(cells), int(cells.blocks.max()))
    exists = np.arange(shape[1]) < cells.blocks[:, None]
    arrays = {
        "association": rng.integers(-1, len(cells), N_USERS).astype(np.int32),
        "blocks": np.where(exists, rng.integers(-1, N_USERS, shape), -1).astype(np.int32),
        "block_power": (rng.random(shape) * settings.power_w[:, None] / shape[1]).astype(np.float32),
    }
    return [arrays[name] if getattr(sketch, name) == "array" else getattr(sketch, name) for name in arrays]
