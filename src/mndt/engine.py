"""THE loop: one second of the network. Nothing else decides the order of things.

``step(world, state, action, streams) -> (state, kpis)`` reads and never writes its arguments.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32, Int8, Int32

from mndt.border import check_action, check_demand, check_power, check_users, possible_blocks, possible_cells
from mndt.city.schema import SERVICES
from mndt.network import energy, handover, kpi
from mndt.network.association import associate
from mndt.network.handover import Measurements
from mndt.network.incidents import demand_at, node_status, settings_at
from mndt.network.power import READS_NEEDS, assign_power
from mndt.network.scheduling import CHANNEL_BLIND, USERS_PER_BLOCK, assign_blocks
from mndt.radio import mcs
from mndt.radio.channel import Expected, Links, Received
from mndt.state import Action, Allocation, Demand, Episode, Kpis, Mobility, MobilityLog, Mode, NetworkState, Users
from mndt.streams import Streams
from mndt.world import World, as_built, build_world, start

__all__ = ["World", "as_built", "build_world", "serve", "start", "step"]

Array = np.ndarray

OWN_ASSOCIATION, OWN_BLOCKS, OWN_POWER = "nearest", "random", "fair"
"""The network's fundamentals, as in the paper: nearest station, random sub-carriers, fair power."""

STEP_S = 1
"""Length of a step; a rate times this is a number of bits."""

SERVICE_RATE_BPS = np.array([*(service.rate_bps for service in SERVICES), 0.0], dtype=np.float32)
"""By row of the table of services; row -1, idle, is the last one and asks for nothing."""


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
    users = check_users(users, len(state.users), world.mobility)
    sessions, demand = world.demand.step(state.demand, users, state.time_s, streams)
    check_demand(demand, len(users), world.demand)
    demand = demand_at(world.incidents, demand, users, state.time_s, streams)
    served, kpis = serve(world, state, users, demand, action or Action(), streams)
    return replace(served, time_s=state.time_s + STEP_S, mobility=mobility, demand=sessions), kpis


def serve(
    world: World, state: NetworkState, users: Users, demand: Demand, action: Action, streams: Streams
) -> tuple[NetworkState, Kpis]:
    """The network's part of a second: users have moved, demand has arrived, bits are delivered."""
    check_action(world, state, action)
    settings = action.settings or state.settings
    able = settings_at(world.incidents, settings, state.time_s)
    power, status, _ = energy.advance(world.energy, state.power, able.status)
    service, backlog_bits, offered_bits = _queue(world, state, users, demand)
    waiting_bits = backlog_bits + offered_bits
    active = waiting_bits > 0
    links = world.channel.links(users, replace(able, status=status), streams.key("fading"), state.time_s)
    load_w = _load_w(state, links)
    received = links.received_w(np.where(active, _held(state), -1).astype(np.int32), load_w)
    measurements, wanted, log = _hand_over(world, state, action, links, received, load_w)
    serving = _connect(world, state, action, users, links, active, wanted, log)
    if log is not None:
        until_ms = 1000 * (state.time_s + STEP_S) + round(1000 * world.handover.retry_s)
        measurements = handover.stayed(state.measurements, measurements, wanted, serving, until_ms)
        log = handover.refused(log, wanted, serving)
    active_serving = np.where(active, serving, -1).astype(np.int32)
    expected = Expected(links, links.received_w(active_serving, load_w, received))
    user_of_block = _give_blocks(world, state, action, expected, waiting_bits, streams)
    power_w = _give_power(world, state, action, expected, user_of_block, waiting_bits)
    block_sinr = links.block_sinr(user_of_block, power_w)
    block_rate_bps = mcs.apply(world.network.rate_law, block_sinr, links.block_hz, world.network.snr_gap_db)
    held = kpi.of_blocks(user_of_block, block_rate_bps, block_sinr, power_w, len(users))
    delivered_bits = np.minimum(waiting_bits, held.user_rate_bps * STEP_S)
    consumption = energy.consumed_w(world.energy, power.status, held.cell_power_w, power.cycle_s)
    kpis = kpi.measure(
        time_s=state.time_s,
        serving=serving,
        previous_serving=_held(state),
        active=active,
        user_of_block=user_of_block,
        power_w=power_w,
        blocks=links.blocks,
        user_rate_bps=held.user_rate_bps,
        user_sinr=held.user_sinr,
        user_rsrp_dbm=links.rsrp_dbm(serving, expected.received),
        min_rate_bps=kpi.minimum_rates_bps(service),
        backlog_bits=backlog_bits,
        offered_bits=offered_bits,
        delivered_bits=delivered_bits,
        held=held,
        consumed_w=consumption.cell_w,
        status=status,
        node_status=node_status(world.incidents, state.time_s),
        mobility=log,
        wanted=wanted,
        present=users.mode != Mode.ABSENT,
        area=users.area,
        n_areas=len(world.city.areas),
        site=world.city.cells.site,
    )
    weight = 1.0 / world.network.rate_memory_s
    return replace(
        state,
        users=users,
        service=service,
        buffer_bits=waiting_bits - delivered_bits,
        mean_rate_bps=((1.0 - weight) * state.mean_rate_bps + weight * delivered_bits / STEP_S).astype(np.float32),
        serving=serving,
        connected=active & (serving >= 0),
        settings=settings,
        power=power,
        measurements=measurements,
        allocation=Allocation(user_of_block, power_w),
        episode=Episode(
            state.episode.demand_bits + offered_bits, state.episode.received_bits + delivered_bits
        ),
    ), kpis  # fmt: skip


def _queue(
    world: World, state: NetworkState, users: Users, demand: Demand
) -> tuple[Int8[Array, "users"], Float32[Array, "users"], Float32[Array, "users"]]:
    """Service, backlog and newly offered bits of every user: what is left and still wanted, and arrivals.

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
    offered_bits = np.where(present, demand.bits, np.float32(0.0))
    goes_on = present & ((backlog_bits > 0) | (offered_bits > 0) | ~over)
    return np.where(goes_on, service, -1).astype(np.int8), backlog_bits, offered_bits


def _hand_over(
    world: World,
    state: NetworkState,
    action: Action,
    links: Links,
    received: Received,
    load_w: Float32[Array, "cells"],
) -> tuple[Measurements, Int32[Array, "users"], MobilityLog | None]:
    """What connected users measured, the cell each wants, and the log. Without event A3, as without a
    connection, that is the strongest cell; -1 where the decision leaves nobody a choice."""
    if isinstance(action.association, np.ndarray):
        return state.measurements, np.full(len(links), -1, np.int32), None
    if action.association != "a3":
        return state.measurements, links.strongest(), None
    barred = state.measurements.barred_ms > 1000 * state.time_s
    cell, rsrp_dbm = links.measured(received.serving, handover.SLOTS, world.handover.window_db, barred)
    pilot_w = links.even_power_w()
    memory, wanted, log = handover.hand_over(
        world.handover,
        state.measurements,
        time_s=state.time_s,
        cell=cell,
        rsrp_dbm=rsrp_dbm,
        received=received,
        noise_w=links.noise_w,
        offset_db=(action.settings or state.settings).handover_offset_db,
        load=np.divide(load_w, pilot_w, out=np.zeros_like(load_w), where=pilot_w > 0),
    )
    return memory, np.where(wanted >= 0, wanted, links.strongest()), log


def _load_w(state: NetworkState, links: Links) -> Float32[Array, "cells"]:
    """Mean power per block that each cell transmitted in the last second."""
    spent_w = state.allocation.power_w.sum(axis=1, dtype=np.float64)
    mean_w = np.divide(spent_w, links.blocks, out=np.zeros_like(spent_w), where=links.blocks > 0)
    return np.asarray(mean_w, dtype=np.float32)


def _connect(
    world: World, state: NetworkState, action: Action, users: Users, links: Links, active: Bool[Array, "users"],
    wanted: Int32[Array, "users"], log: MobilityLog | None,
) -> Int32[Array, "users"]:  # fmt: skip
    """Serving cell of every user: as decided, or by one of the network's rules."""
    choice = OWN_ASSOCIATION if action.association is None else action.association
    if not isinstance(choice, str):
        return possible_cells(choice, links.blocks)
    blocks = OWN_BLOCKS if action.blocks is None else action.blocks
    serving = _held(state)
    if log is not None:  # who lost its cell has no place in it any more
        serving[log.user[log.kind == Mobility.RADIO_LINK_FAILURE]] = -1
    return associate(
        choice,
        links=links,
        active=active,
        site_of_cell=world.city.cells.site,
        users=users,
        sites=world.city.sites,
        serving=serving,
        wanted=wanted,
        users_per_block=USERS_PER_BLOCK[blocks] if isinstance(blocks, str) else 1,
    )


def _give_blocks(
    world: World, state: NetworkState, action: Action, expected: Expected, waiting_bits: Float32[Array, "users"],
    streams: Streams,
) -> Int32[Array, "cells blocks"]:  # fmt: skip
    """User of every block: as decided, or by one of the network's schedulers."""
    choice = OWN_BLOCKS if action.blocks is None else action.blocks
    links = expected.links
    if not isinstance(choice, str):
        return possible_blocks(choice, expected.received.serving, links.blocks)
    return assign_blocks(
        choice,
        serving=expected.received.serving,
        active=waiting_bits > 0,
        need_bits=waiting_bits,
        mean_rate_bps=state.mean_rate_bps,
        sinr=expected.sinr,
        blocks=links.blocks,
        block_hz=links.block_hz,
        width=state.allocation.user_of_block.shape[1],
        fade=None if choice in CHANNEL_BLIND else expected.fade,
        blocks_per_group=links.blocks_per_group,
        law=world.network.rate_law,
        snr_gap_db=world.network.snr_gap_db,
        key=streams.key("blocks", state.time_s),
        turn=state.time_s,
        window_s=world.network.rate_memory_s,
    )


def _give_power(
    world: World, state: NetworkState, action: Action, expected: Expected,
    user_of_block: Int32[Array, "cells blocks"], waiting_bits: Float32[Array, "users"],
) -> Float32[Array, "cells blocks"]:  # fmt: skip
    """Power on every block: as decided, or by one of the network's rules."""
    choice = OWN_POWER if action.power is None else action.power
    if callable(choice):
        choice = choice(expected, user_of_block, waiting_bits)
        check_power(choice, user_of_block.shape, action.settings or state.settings)
    if not isinstance(choice, str):
        return np.where(user_of_block >= 0, choice, np.float32(0.0))
    links, reads = expected.links, choice in READS_NEEDS
    return assign_power(
        choice,
        user_of_block=user_of_block,
        budget_w=links.budget_w,
        blocks=links.blocks,
        need_bits=waiting_bits if reads else None,
        sinr_per_w=expected.sinr_per_w if reads else None,
        fade=expected.fade if reads else None,
        blocks_per_group=links.blocks_per_group,
        block_hz=links.block_hz,
        law=world.network.rate_law,
        snr_gap_db=world.network.snr_gap_db,
    )


def _held(state: NetworkState) -> Int32[Array, "users"]:
    """The cell in which a user held a place in the last second; -1 for none: camping is not a place."""
    return np.where(state.connected, state.serving, -1).astype(np.int32)
