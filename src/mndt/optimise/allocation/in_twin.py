"""The policy ``allocation``: blocks and power of a whole city, decided together each second.

In the twin a user may hold several blocks of his cell, as many as what he asks for needs. Each of them is a user of
`mndt.optimise.allocation.solver` who may change his block but not his cell, and whose worth ends at his share
of what is asked for. The policy sees the state at the start of a second, so what will arrive in it is
estimated from the service that runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from mndt.city.schema import SERVICES
from mndt.optimise.allocation.places import fill_blocks, loudest_cells
from mndt.optimise.allocation.problem import Choice, Limits
from mndt.optimise.allocation.solver import Effort, Worth, improve
from mndt.state import Action, Mode, NetworkState
from mndt.streams import Streams

if TYPE_CHECKING:
    from mndt.world import World

Array = np.ndarray

STAY: Final = np.float32(2.0)
"""Factor on the gain of the serving cell, 3 dB: who is on an edge shall not be handed over each second."""
SPARE: Final = 1.5
"""Blocks given for each block needed at the expected rate: fading and neighbours vary."""
BUSY: Final = 0.5
"""Share of their power at which other cells are expected to disturb."""
BEYOND: Final = 0.02
"""Worth of a rate beyond what is asked for, beside 1 up to it."""
EFFORT: Final = Effort(candidates=1)


class TwinAllocation:
    """Policy: who gets which blocks at which power, so that what is asked for is delivered."""

    def __init__(self, world: World) -> None:
        self.world, self.streams = world, Streams(world.seed)
        self.rate_bps = np.array([service.rate_bps for service in SERVICES] + [0.0], np.float32)  # -1: idle

    def __call__(self, state: NetworkState) -> Action:
        """The decision for the second that begins at ``state.time_s``."""
        links = self.world.channel.links(state.users, state.settings, self.streams.key("fading"), state.time_s)
        asked = np.where(state.users.mode == Mode.ABSENT, 0.0, state.buffer_bits + self.rate_bps[state.service])
        working = np.flatnonzero((links.budget_w > 0) & (links.blocks > 0))
        user = _admitted(asked, int(links.blocks[working].sum()))
        serving = np.full(len(asked), -1, np.int32)
        held = np.full(state.allocation.user_of_block.shape, -1, np.int32)
        power_w = np.zeros(held.shape, np.float32)
        if len(user) and len(working):
            block_hz = float(links.block_hz[working[0]])
            limits = Limits(
                links.budget_w[working], int(links.blocks[working].min()), float(links.noise_w[working].max())
            )
            gain = np.ascontiguousarray(links.gain[user][:, working])
            cell = _cells(gain, limits, working, state.serving[user])
            count = shares(_needed(gain, limits, cell, asked[user] / block_hz), cell, limits)
            serving = _spread(working[cell], user, len(asked))
            groups = links.own_fading(serving)[user]
            fade = np.repeat(groups, links.blocks_per_group, axis=1)[:, : limits.n_blocks]
            choice = self._blocks(gain, limits, cell, count, asked[user] / block_hz, fade, state.time_s)
            holder = np.repeat(np.arange(len(user)), count)
            held[working[choice.cell], choice.block] = user[holder]
            power_w[working[choice.cell], choice.block] = choice.power_w
        return Action(association=serving, blocks=held, power=power_w)

    def _blocks(
        self, gain: Float32[Array, "users cells"], limits: Limits, cell: Int32[Array, "users"],
        count: Int64[Array, "users"], asked: Float64[Array, "users"], fade: Float32[Array, "users blocks"], time_s: int,
    ) -> Choice:  # fmt: skip
        """Block and power of every block held: `count` of each user, one user after the other."""
        holder = np.repeat(np.arange(len(cell)), count)
        rows, own = np.ascontiguousarray(gain[holder]), np.ascontiguousarray(cell[holder])
        rng = self.streams.generator("allocation", time_s)
        block = fill_blocks(np.full(len(own), -1, np.int32), own, limits.n_blocks, rng)
        need, ones = (asked / count)[holder], np.ones(len(own))
        worth = Worth.of(BEYOND * ones, ones, need)
        start = Choice(own, block, np.zeros(len(own), np.float32))
        return improve(
            rows,
            limits,
            worth,
            start,
            near=own[:, None],
            effort=EFFORT,
            seed=time_s,
            fade=np.ascontiguousarray(fade[holder]),
        )


def _spread(cell: Int64[Array, "some"], user: Int64[Array, "some"], n_users: int) -> Int32[Array, "users"]:
    """Cells of some users among all; -1 for the others."""
    out = np.full(n_users, -1, np.int32)
    out[user] = cell
    return out


def _admitted(asked: Float32[Array, "users"], places: int) -> Int64[Array, "some"]:
    """Who asks for something; where places are short, those of whom most is waiting."""
    user = np.flatnonzero(asked > 0)
    if len(user) <= places:
        return user
    return np.sort(user[np.argsort(-asked[user], kind="stable")[:places]])


def _cells(
    gain: Float32[Array, "users cells"], limits: Limits, working: Int64[Array, "cells"], serving: Int32[Array, "users"]
) -> Int32[Array, "users"]:
    """The strongest cell with a place, the serving one favoured."""
    kept = working[None, :] == serving[:, None]
    return loudest_cells(np.where(kept, STAY * gain, gain), limits)


def _needed(
    gain: Float32[Array, "users cells"], limits: Limits, cell: Int32[Array, "users"], asked: Float64[Array, "users"]
) -> Float64[Array, "users"]:
    """Blocks each user needs at the rate of evenly spread power, other cells sending with half of theirs."""
    even_w = limits.power_w / limits.n_blocks
    own_w = gain[np.arange(len(cell)), cell] * even_w[cell]
    others_w = gain @ even_w - own_w
    needed: Array = asked / np.maximum(np.log2(1.0 + own_w / (BUSY * others_w + limits.noise_w)), 0.1)
    return needed


def shares(needed: Float64[Array, "users"], cell: Int32[Array, "users"], limits: Limits) -> Int64[Array, "users"]:
    """Blocks for each user: one at least, then what is needed and some to spare; scaled down where a cell is full.

    >>> limits = Limits(np.ones(2, np.float32), n_blocks=6, noise_w=1e-15)
    >>> shares(np.array([8.0, 4.0, 0.1, 1.0]), np.array([0, 0, 0, 1]), limits).tolist()
    [3, 2, 1, 2]
    """
    n_cells = len(limits.power_w)
    wish = np.maximum(np.ceil(SPARE * needed), 1.0) - 1.0  # beyond the first
    users, wished = np.bincount(cell, minlength=n_cells), np.bincount(cell, wish, n_cells)
    room = (limits.n_blocks - users).astype(np.float64)
    exact = wish * np.minimum(1.0, room / np.maximum(wished, 1e-9))[cell]
    whole = np.floor(exact)
    left = np.minimum(room, wished) - np.bincount(cell, whole, n_cells)
    order = np.lexsort((-(exact - whole), cell))  # in each cell the largest remainder first
    first = np.concatenate([[0], np.cumsum(users)])
    place = np.empty(len(cell))
    place[order] = np.arange(len(cell)) - first[cell[order]]
    more: Bool[Array, "users"] = (place < np.round(left)[cell]) & (exact > whole)
    count: Array = (1 + whole + more).astype(np.int64)
    return count
