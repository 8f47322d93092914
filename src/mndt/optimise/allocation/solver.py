"""One step of allocation solved well: exchange of places with exact externality, then power by gradient.

Every method comes down to a worth for each user, ``weight r + bonus m(r, need)`` with m the (rounded) minimum,
and to the sum of them to be made large: throughput has weight 1, what is delivered up to a need has a bonus.
The problem has many local optima and is hard (Z.-Q. Luo and S. Zhang 2008, doi:10.1109/JSTSP.2007.914876): what
comes out is one of them, found from the step before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float, Float32, Int32

from mndt.optimise.allocation.problem import Choice, Limits

Array = np.ndarray


@dataclass(frozen=True)
class Effort:
    """How much to search in a step."""

    rounds: int = 1  # of a sweep and a power search, from the step before
    first_rounds: int = 3  # where there is no step before
    candidates: int = 3  # strongest cells among which a user may change
    shortlist: int = 4  # places checked exactly for each user
    power_steps: int = 40
    rate: float = 0.5  # of Adam, in logits
    used: float = 0.6  # share of a cell's power its users begin a step with: the rest is there for newcomers


NORMAL: Final = Effort()
CONVERGED: Final = Effort(rounds=40, first_rounds=40, candidates=4, shortlist=8, power_steps=60, rate=0.25)


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
        warm: the choice of the step before; None starts with `first_choice`.
        effort: how long to search.
        seed: of the order in which users are looked at.
    """
    from mndt.optimise.allocation import _kernels

    start = first_choice(gain, limits, seed=seed) if warm is None else warm
    cell, block = start.cell.copy(), start.block.copy()
    near = strongest_cells(gain, limits.power_w, effort.candidates)
    rng, terms = np.random.default_rng(seed), (worth.weight, worth.bonus, worth.need, limits.n_blocks)
    noise_w = np.float32(limits.noise_w)
    power_w = even_power(cell, limits, effort.used)
    for _ in range(effort.rounds if warm is not None else effort.first_rounds):
        _kernels.exchange(
            gain, near, rng.permutation(len(cell)), limits.power_w, noise_w, limits.places, *terms, effort.shortlist,
            cell, block, power_w,
        )  # fmt: skip
        _kernels.tune_power(
            gain, cell, block, limits.power_w, noise_w, *terms, effort.power_steps, np.float32(effort.rate), power_w
        )
    return Choice(cell, block, power_w)


def even_power(cell: Int32[Array, "users"], limits: Limits, share: float = 1.0) -> Float32[Array, "users"]:
    """Each cell's power, or a share of it, in equal parts for its users."""
    users = np.bincount(cell, minlength=len(limits.power_w))
    power_w: Array = (share * limits.power_w / np.maximum(users, 1))[cell].astype(np.float32)
    return power_w


def strongest_cells(
    gain: Float32[Array, "users cells"], power_w: Float32[Array, "cells"], count: int
) -> Int32[Array, "users count"]:
    """Of each user the cells that would be received strongest at full power, strongest first."""
    from mndt.optimise.allocation import _kernels

    near = np.empty((len(gain), min(count, gain.shape[1])), np.int32)
    _kernels.strongest(gain, power_w, near)
    return near


def first_choice(gain: Float32[Array, "users cells"], limits: Limits, *, seed: int = 0) -> Choice:
    """Strongest cells as far as there are places (exact assignment), random blocks, equal power.

    Raises:
        InputError: more users than places.
    """
    from mndt.network.assignment import assign

    n_users, n_cells = gain.shape
    received_db = 10.0 * np.log10(np.maximum(gain * limits.power_w, 1e-30))
    cell = assign(-received_db, np.full(n_cells, limits.places)).cell
    rng = np.random.default_rng(seed)
    block = np.empty(n_users, np.int32)
    for own in range(n_cells):
        members = np.flatnonzero(cell == own)
        block[members] = rng.permutation(limits.n_blocks)[: len(members)]
    return Choice(cell, block, even_power(cell, limits))
