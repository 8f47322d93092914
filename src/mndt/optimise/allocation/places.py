"""Where a search begins: cells by exact assignment, blocks free in them, equal power."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32

from mndt.network.assignment import assign
from mndt.optimise.allocation.problem import Choice, Limits

Array = np.ndarray


def first_choice(gain: Float32[Array, "users cells"], limits: Limits, *, seed: int = 0) -> Choice:
    """Strongest cells as far as there are places, random blocks, equal power.

    Raises:
        InputError: more users than places.
    """
    cell = loudest_cells(gain, limits)
    rng = np.random.default_rng(seed)
    block = fill_blocks(np.full(len(cell), -1, np.int32), cell, limits.n_blocks, rng)
    return Choice(cell, block, even_power(cell, limits))


def reconnect(gain: Float32[Array, "users cells"], limits: Limits, before: Choice, *, seed: int = 0) -> Choice:
    """As `first_choice`, but who stays in his cell keeps his block.

    Powers begin anew: from those of the step before, users without power would not be found again.
    """
    cell = loudest_cells(gain, limits)
    block = np.where(cell == before.cell, before.block, -1).astype(np.int32)
    block = fill_blocks(block, cell, limits.n_blocks, np.random.default_rng(seed))
    return Choice(cell, block, even_power(cell, limits))


def loudest_cells(gain: Float32[Array, "users cells"], limits: Limits) -> Int32[Array, "users"]:
    """The cell received strongest at full power; where places are short, least loss in dB in total."""
    level = np.log2(np.maximum(gain * limits.power_w, np.float32(1e-30)))  # in doublings
    return assign(-level, np.full(gain.shape[1], limits.places)).cell


def fill_blocks(
    block: Int32[Array, "users"], cell: Int32[Array, "users"], n_blocks: int, rng: np.random.Generator
) -> Int32[Array, "users"]:
    """Blocks for those who have none (-1), drawn among those free in their cell; in place."""
    n_cells = int(cell.max()) + 1
    order = rng.random((n_cells, n_blocks), np.float32)
    has = block >= 0
    order[cell[has], block[has]] = 2.0  # taken: last
    order = np.argsort(order, axis=1).astype(np.int32)
    without = np.flatnonzero(~has)
    without = without[np.argsort(cell[without], kind="stable")]
    own = cell[without]
    number = np.bincount(own, minlength=n_cells)
    block[without] = order[own, np.arange(len(own)) - (np.cumsum(number) - number)[own]]
    return block


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
