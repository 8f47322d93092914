"""THE loop: one second of the network. Nothing else decides the order of things.

``step(world, state, action, streams) -> (state, kpis)`` reads and never writes its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int8, Int32

from mndt.city.model import City
from mndt.city.schema import SERVICES
from mndt.errors import InputError
from mndt.network import kpi
from mndt.network.association import associate
from mndt.network.parameters import NetworkParameters
from mndt.network.power import assign_power
from mndt.network.scheduling import CHANNEL_BLIND, USERS_PER_BLOCK, assign_blocks
from mndt.radio.channel import Channel, Links
from mndt.radio.maps import RadioParameters
from mndt.state import (
    Action,
    Allocation,
    CellSettings,
    Demand,
    Episode,
    Kpis,
    Mode,
    NetworkState,
    Status,
    Users,
)
from mndt.streams import Streams
from mndt.units import w_to_dbm
from mndt.users.demand import DemandParameters, DemandSource, OwnDemand
from mndt.users.mobility import MobilitySource, OwnMobility, UserParameters
from mndt.users.schedule import make_population

Array = np.ndarray

OWN_ASSOCIATION, OWN_BLOCKS, OWN_POWER = "nearest", "random", "fair"
"""The network's fundamentals, as in the paper: nearest station, random sub-carriers, fair power."""

STEP_S = 1
"""Length of a step; a rate times this is a number of bits."""

SERVICE_RATE_BPS = np.array([*(service.rate_bps for service in SERVICES), 0.0], dtype=np.float32)
"""By row of the table of services; row -1, idle, is the last one and asks for nothing."""


@dataclass(frozen=True)
class World:
    """All that `step` reads and never writes: the city, the radio channel, the sources of users
    and demand, and the network's parameters.

    Another source of users, here walkers on straight lines::

        world = mndt.build_world(city)
        world = dataclasses.replace(world, mobility=mndt.users.mobility.StraightLines(1000, city.frame, 20, 1.0))
    """

    city: City
    channel: Channel
    mobility: MobilitySource
    demand: DemandSource
    network: NetworkParameters
    seed: int


def build_world(
    city: City,
    *,
    radio: RadioParameters | None = None,
    users: UserParameters | None = None,
    demand: DemandParameters | None = None,
    network: NetworkParameters | None = None,
    seed: int = 0,
    cache_dir: Path | None = None,
    n_jobs: int | None = None,
) -> World:
    """Everything a simulation of this city needs: population, gain maps (built once, cached), laws.

    Args:
        city: with at least one cell.
        radio, users, demand, network: parameters; None = defaults.
        seed: fixes population, shadowing and every later draw.
        cache_dir: where gain maps are kept; None = the user's cache folder.
        n_jobs: processes that build maps side by side; None = all cores.

    Raises:
        InputError: the city has no cells, or a parameter does not fit it.

    A quiet small town::

        city = mndt.synthetic_city(size_m=500, lanes=100, areas=60, outdoor_sites=3, indoor_sites=4)
        world = mndt.build_world(city, demand=DemandParameters(scale=0.2))
    """
    if len(city.cells) == 0:
        raise InputError("cells", 0, allowed="at least 1", fix="give an inventory or let sites be placed")
    streams = Streams(seed)
    users, demand = users or UserParameters(), demand or DemandParameters()
    channel = Channel.build(
        city, radio or RadioParameters(), as_built(city), seed=seed, cache_dir=cache_dir, n_jobs=n_jobs
    )
    population = make_population(city, users.n_users(city.frame.area_km2), users, streams)
    return World(
        city=city,
        channel=channel,
        mobility=OwnMobility(city, population, users, streams),
        demand=OwnDemand(population.cluster, demand),
        network=network or NetworkParameters(),
        seed=seed,
    )


def as_built(city: City) -> CellSettings:
    """Settings of a network nobody has turned yet: full power, as installed, every cell on."""
    cells = city.cells
    return CellSettings(
        power_w=cells.max_power_w.astype(np.float32),
        azimuth_deg=cells.azimuth_deg.astype(np.float32),
        mechanical_tilt_deg=cells.mechanical_tilt_deg.astype(np.float32),
        electrical_tilt_deg=cells.electrical_tilt_deg.astype(np.float32),
        handover_offset_db=np.zeros(len(cells), np.float32),
        status=np.full(len(cells), Status.ON, np.int8),
    )


def start(world: World, *, time_s: int = 8 * 3600, seed: int | None = None) -> NetworkState:
    """The state before the first second: people at their places or under way, nobody connected.

    Begin at half past seven::

        state = mndt.start(world, time_s=int(7.5 * 3600))
    """
    streams = Streams(world.seed if seed is None else seed)
    mobility, users = world.mobility.start(time_s, streams)
    n_users, cells = len(users), world.city.cells
    shape = (len(cells), int(cells.blocks.max(initial=0)))
    return NetworkState(
        time_s=time_s,
        users=users,
        mobility=mobility,
        demand=world.demand.start(users, time_s, streams),
        service=np.full(n_users, -1, np.int8),
        buffer_bits=np.zeros(n_users, np.float32),
        mean_rate_bps=np.zeros(n_users, np.float32),
        serving=np.full(n_users, -1, np.int32),
        connected=np.zeros(n_users, np.bool_),
        settings=as_built(world.city),
        allocation=Allocation(np.full(shape, -1, np.int32), np.zeros(shape, np.float32)),
        episode=Episode(np.zeros(n_users), np.zeros(n_users)),
    )


def step(
    world: World, state: NetworkState, action: Action | None = None, streams: Streams | None = None
) -> tuple[NetworkState, Kpis]:
    """Simulate the second that begins at ``state.time_s``.

    Args:
        world: read, never written.
        state: the network at the start of the second.
        action: a policy's decision; None, or any field None, is left to the fundamentals.
        streams: the run's randomness; by default made from the world's seed.

    Returns:
        The state one second later, and what was measured meanwhile.

    A minute under a policy::

        policy, state = mndt.make_policy("proportional-fair", world), mndt.start(world)
        for _ in range(60):
            state, kpis = mndt.step(world, state, policy(state))
    """
    streams = streams or Streams(world.seed)
    mobility, users = world.mobility.step(state.mobility, state.time_s, streams)
    sessions, demand = world.demand.step(state.demand, users, state.time_s, streams)
    served, kpis = serve(world, state, users, demand, action or Action(), streams)
    return replace(served, time_s=state.time_s + STEP_S, mobility=mobility, demand=sessions), kpis


def serve(
    world: World, state: NetworkState, users: Users, demand: Demand, action: Action, streams: Streams
) -> tuple[NetworkState, Kpis]:
    """The network's part of a second: users have moved, demand has arrived, bits are delivered."""
    settings = action.settings or state.settings
    service, backlog_bits, waiting_bits = _queue(world, state, users, demand)
    links = world.channel.links(users, settings, streams.key("fading", state.time_s))
    serving = _connect(world, state, action, users, links, waiting_bits > 0)
    user_of_block = _give_blocks(world, state, action, links, serving, waiting_bits, streams)
    power_w = _give_power(action, links, user_of_block)
    block_sinr = links.block_sinr(user_of_block, power_w)
    block_rate_bps = links.block_hz[:, None] * np.log2(1.0 + block_sinr)
    rate_bps = _of_users(block_rate_bps, user_of_block, len(users))
    delivered_bits = np.minimum(waiting_bits, rate_bps * STEP_S)
    kpis = kpi.measure(
        time_s=state.time_s,
        serving=serving,
        previous_serving=_held(state),
        active=waiting_bits > 0,
        user_of_block=user_of_block,
        power_w=power_w,
        blocks=links.blocks,
        user_rate_bps=rate_bps,
        user_sinr=_of_users(block_sinr, user_of_block, len(users), mean=True),
        user_rsrp_dbm=w_to_dbm(links.received_w(serving)[0]).astype(np.float32),
        min_rate_bps=kpi.minimum_rates_bps(service),
        backlog_bits=backlog_bits,
        offered_bits=demand.bits,
        delivered_bits=delivered_bits,
    )
    weight = 1.0 / world.network.rate_memory_s
    return replace(
        state,
        users=users,
        service=service,
        buffer_bits=waiting_bits - delivered_bits,
        mean_rate_bps=((1.0 - weight) * state.mean_rate_bps + weight * delivered_bits / STEP_S).astype(np.float32),
        serving=serving,
        connected=(waiting_bits > 0) & (serving >= 0),
        settings=settings,
        allocation=Allocation(user_of_block, power_w),
        episode=Episode(
            state.episode.demand_bits + demand.bits, state.episode.received_bits + delivered_bits
        ),
    ), kpis  # fmt: skip


def _queue(
    world: World, state: NetworkState, users: Users, demand: Demand
) -> tuple[Int8[Array, "users"], Float32[Array, "users"], Float32[Array, "users"]]:
    """Service, backlog and waiting bits of every user: what is left and still wanted, plus arrivals.

    A backlog of more than the network's patience is given up; once a session is over, a second's
    worth of its mean rate is given up each second, so nobody waits for what nobody wants any more.
    What is given up was offered and is never delivered. The absent want nothing.
    """
    over = demand.service < 0
    service = np.where(over & (state.buffer_bits > 0), state.service, demand.service)
    rate_bps = SERVICE_RATE_BPS[service]
    wanted_bits = np.minimum(state.buffer_bits, rate_bps * np.float32(world.network.patience_s))
    backlog_bits = np.maximum(wanted_bits - np.where(over, rate_bps * np.float32(STEP_S), np.float32(0.0)), 0.0)
    present = users.mode != Mode.ABSENT
    backlog_bits = np.where(present, backlog_bits, np.float32(0.0))
    waiting_bits = backlog_bits + np.where(present, demand.bits, np.float32(0.0))
    return np.where(present & ((waiting_bits > 0) | ~over), service, -1).astype(np.int8), backlog_bits, waiting_bits


def _connect(
    world: World, state: NetworkState, action: Action, users: Users, links: Links, active: Bool[Array, "users"]
) -> Int32[Array, "users"]:
    """Serving cell of every user: as decided, or by one of the network's rules."""
    choice = OWN_ASSOCIATION if action.association is None else action.association
    if not isinstance(choice, str):
        return choice
    blocks = OWN_BLOCKS if action.blocks is None else action.blocks
    return associate(
        choice,
        links=links,
        active=active,
        site_of_cell=world.city.cells.site,
        users=users,
        sites=world.city.sites,
        serving=_held(state),
        users_per_block=USERS_PER_BLOCK[blocks] if isinstance(blocks, str) else 1,
    )


def _give_blocks(
    world: World, state: NetworkState, action: Action, links: Links,
    serving: Int32[Array, "users"], waiting_bits: Float32[Array, "users"], streams: Streams,
) -> Int32[Array, "cells blocks"]:  # fmt: skip
    """User of every block: as decided, or by one of the network's schedulers."""
    choice = OWN_BLOCKS if action.blocks is None else action.blocks
    if not isinstance(choice, str):
        return choice
    blind, active = choice in CHANNEL_BLIND, waiting_bits > 0
    return assign_blocks(
        choice,
        serving=serving,
        active=active,
        need_bits=waiting_bits,
        mean_rate_bps=state.mean_rate_bps,
        sinr=np.zeros(len(serving), np.float32) if blind else links.wideband_sinr(serving),
        blocks=links.blocks,
        block_hz=links.block_hz,
        width=state.allocation.user_of_block.shape[1],
        fade=None if blind else links.own_fading(np.where(active, serving, -1).astype(np.int32)),
        key=streams.key("blocks", state.time_s),
        turn=state.time_s,
        window_s=world.network.rate_memory_s,
    )


def _give_power(
    action: Action, links: Links, user_of_block: Int32[Array, "cells blocks"]
) -> Float32[Array, "cells blocks"]:
    """Power on every block: as decided, or by one of the network's rules."""
    choice = OWN_POWER if action.power is None else action.power
    if not isinstance(choice, str):
        return choice
    return assign_power(choice, user_of_block=user_of_block, budget_w=links.budget_w, blocks=links.blocks)


def _held(state: NetworkState) -> Int32[Array, "users"]:
    """The cell in which a user held a place in the last second; -1 for none: camping is not a place."""
    return np.where(state.connected, state.serving, -1).astype(np.int32)


def _of_users(
    of_blocks: Float32[Array, "cells blocks"], user_of_block: Int32[Array, "cells blocks"], n_users: int,
    *, mean: bool = False,
) -> Float32[Array, "users"]:  # fmt: skip
    """Sum (or mean) of a block quantity over each user's blocks; 0 without one."""
    used = user_of_block >= 0
    holder = user_of_block[used]
    total = np.bincount(holder, weights=of_blocks[used], minlength=n_users)
    count = np.maximum(np.bincount(holder, minlength=n_users), 1) if mean else 1
    return np.asarray(total / count, dtype=np.float32)
