"""The policy ``allocation``: proportional-fair blocks, and the power on all of them decided together.

Handovers by event A3 and the scheduling of blocks are the network's own; the power on every block of every cell is
then decided by the solver of `mndt.optimise.allocation`, within the second, when it is known who waits for what.
Each block held is a user there, whose worth ends at his share of what waits.

Why not blocks as well: a policy that hands over arrays decides before the second's traffic and fading are known,
and that costs more than a better choice of blocks brings (measured on Helsinki: 3 % of the throughput).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np
from jaxtyping import Float32, Int32

from mndt.optimise.allocation.problem import Choice, Limits
from mndt.optimise.allocation.solver import Effort, Worth, improve
from mndt.state import Action, NetworkState

if TYPE_CHECKING:
    from mndt.radio.channel import Expected
    from mndt.world import World

Array = np.ndarray

LEAST: Final = 0.5
"""bit/s/Hz that a block shall carry, however little waits."""
BEYOND: Final = 0.02
"""Worth of a rate beyond what waits, beside 1 up to it."""
EFFORT: Final = Effort(settling_steps=8, rate=0.1)
"""Few small steps from equal power: more of them move power from users with little to users with much waiting, and
the share of users below their minimum rate grows with the throughput."""


class TwinAllocation:
    """Policy: blocks by proportional fairness, power by the solver.

    `spent_s` is the wall-clock time it has thought within seconds so far.
    """

    def __init__(self, world: World) -> None:
        self.spent_s = 0.0

    def __call__(self, state: NetworkState) -> Action:
        """The same rules every second; what they bring depends on who waits."""
        return Action(association="a3", blocks="proportional-fair", power=self.power)

    def power(
        self, expected: Expected, user_of_block: Int32[Array, "cells blocks"], waiting_bits: Float32[Array, "users"]
    ) -> Float32[Array, "cells blocks"]:
        """Powers in W that deliver most of what waits."""
        began = time.perf_counter()
        power_w = self._powers(expected, user_of_block, waiting_bits)
        self.spent_s += time.perf_counter() - began
        return power_w

    def _powers(
        self, expected: Expected, user_of_block: Int32[Array, "cells blocks"], waiting_bits: Float32[Array, "users"]
    ) -> Float32[Array, "cells blocks"]:
        links, power_w = expected.links, np.zeros(user_of_block.shape, np.float32)
        cell, block = np.nonzero(user_of_block >= 0)
        if len(cell) == 0:
            return power_w
        user = user_of_block[cell, block]
        held = np.bincount(user, minlength=len(waiting_bits))
        need = np.maximum(waiting_bits[user] / held[user] / links.block_hz[cell], LEAST)
        limits = Limits(np.maximum(links.budget_w, 1e-9), user_of_block.shape[1], float(links.noise_w.max()))
        start = Choice(cell.astype(np.int32), block.astype(np.int32), links.even_power_w()[cell])
        fade = np.repeat(expected.fade, links.blocks_per_group, axis=1)[:, : limits.n_blocks]
        ones = np.ones(len(cell))
        found = improve(
            np.ascontiguousarray(links.gain[user]), limits, Worth.of(BEYOND * ones, ones, need), start,
            near=start.cell[:, None], rounds=0, effort=EFFORT, fade=np.ascontiguousarray(fade[user]),
        )  # fmt: skip
        power_w[cell, block] = np.minimum(found.power_w, links.budget_w[cell])
        return power_w
