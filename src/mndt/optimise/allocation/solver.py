"""One step of allocation solved well: exchange of places with exact externality, then power by gradient.

Every method comes down to a worth for each user, ``weight r + bonus m(r, need)`` with m the (rounded) minimum,
and to the sum of them to be made large: throughput has weight 1, what is delivered up to a need has a bonus.
The problem has many local optima and is hard (Z.-Q. Luo and S. Zhang 2008, doi:10.1109/JSTSP.2007.914876): what
comes out is one of them, found from the step before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float, Float32, Int32

from mndt.optimise.allocation.places import even_power, first_choice, reconnect, strongest_cells
from mndt.optimise.allocation.problem import Choice, Limits

Array = np.ndarray


@dataclass(frozen=True)
class Effort:
    """How much to search in a step."""

    rounds: int = 1  # of exchange and power, from the step before
    first_rounds: int = 3  # where there is no step before
    settling_steps: int = 20  # of power before the first exchange, so that it sees who will be heard
    candidates: int = 3  # strongest cells among which a user may change
    shortlist: int = 4  # places checked exactly for each user
    roomy: float = 0.5  # share of the places that may be taken for an exchange to be tried: it needs free ones
    trades: int = 4  # of places within cells in a round where no exchange is tried, else one
    power_steps: int = 25  # after each exchange and trade
    rate: float = 0.2  # of Adam, in logits
    used: float = 0.6  # share of a cell's power its users begin a step with: the rest is there for newcomers


NORMAL: Final = Effort()
CONVERGED: Final = Effort(rounds=40, first_rounds=40, roomy=1.0, candidates=4, shortlist=8, power_steps=100, rate=0.1)


@dataclass(frozen=True)
class Worth:
    """What a rate of each user is worth in a step: ``weight r + bonus m(r, need)``."""

    weight: Float32[Array, "users"]
    bonus: Float32[Array, "users"]
    need: Float32[Array, "users"]

    @classmethod
    def of(cls, weight: Float[Array, "users"], bonus: Float[Array, "users"] | None = None,
           need: Float[Array, "users"] | None = None) -> Worth:  # fmt: skip
        """Without a need the worth is linear in the rate."""
        nothing = np.zeros(len(weight), np.float32)
        given = (nothing if array is None else np.ascontiguousarray(array, np.float32) for array in (bonus, need))
        return cls(np.ascontiguousarray(weight, np.float32), *given)


def solve(
    gain: Float32[Array, "users cells"], limits: Limits, worth: Worth, *, warm: Choice | None = None,
    effort: Effort = NORMAL, seed: int = 0,
) -> Choice:  # fmt: skip
    """A feasible choice of large worth for one step.

    Args:
        gain: linear, C-contiguous.
        limits: places, blocks, powers and noise.
        worth: of every user's rate.
        warm: the choice of the step before, see `reconnect`; None starts with `first_choice`.
        effort: how long to search.
        seed: of the order in which users are looked at.
    """
    start = first_choice(gain, limits, seed=seed) if warm is None else reconnect(gain, limits, warm, seed=seed)
    near = strongest_cells(gain, limits.power_w, effort.candidates)
    rounds = effort.rounds if warm is not None else effort.first_rounds
    start = replace(start, power_w=even_power(start.cell, limits, effort.used))
    return improve(gain, limits, worth, start, near=near, rounds=rounds, effort=effort, seed=seed)


def improve(
    gain: Float32[Array, "users cells"], limits: Limits, worth: Worth, start: Choice, *,
    near: Int32[Array, "users near"], rounds: int = 1,
    effort: Effort = NORMAL, seed: int = 0, fade: Float32[Array, "users blocks"] | None = None,
) -> Choice:  # fmt: skip
    """A better choice than `start`; who has no power there will hardly get any.

    Args:
        gain, limits, worth, effort, seed: as for `solve`.
        start: where to begin.
        near: cells a user may change to.
        rounds: of exchange and power.
        fade: fading power of everyone's own link on each block, the same for all cells in `near`; None = 1.
    """
    from mndt.optimise.allocation import _block_kernels, _kernels

    cell, block, power_w = start.cell.copy(), start.block.copy(), start.power_w.copy()
    rng = np.random.default_rng(seed)
    noise_w, rate = np.float32(limits.noise_w), np.float32(effort.rate)
    terms = (worth.weight, worth.bonus, worth.need, limits.n_blocks)
    fade = flat(limits.n_blocks) if fade is None else fade

    def tune(n_steps: int) -> None:
        _kernels.tune_power(gain, cell, block, limits.power_w, noise_w, *terms, n_steps, rate, power_w, fade)

    tune(effort.settling_steps)
    roomy = len(cell) < effort.roomy * limits.places * len(limits.power_w)
    for _ in range(rounds):
        if roomy:
            _kernels.exchange(
                gain, near, rng.permutation(len(cell)), limits.power_w, noise_w, limits.places, *terms,
                effort.shortlist, cell, block, power_w, fade,
            )  # fmt: skip
            tune(effort.power_steps)
        for _ in range(1 if roomy else effort.trades):
            order = rng.permutation(len(cell))
            _block_kernels.trade_places(gain, order, limits.power_w, noise_w, *terms, cell, block, power_w, fade)
            tune(effort.power_steps)
    return Choice(cell, block, power_w)


def flat(n_blocks: int) -> Float32[Array, "1 blocks"]:
    """No fading: the same on all blocks, for everyone."""
    return np.ones((1, n_blocks), np.float32)
