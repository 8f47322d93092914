"""Users of the same block side by side: what a network of messages and exact rates need, in dense arrays.

A block has one user of a cell at most, so the users who hear each other are short lists, one for each
block. Laid out as ``[blocks, slots]`` they make interference a batch of small matrix products, in NumPy
and in JAX alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32

Array = np.ndarray


@dataclass(frozen=True)
class BlockGraph:
    """One association and choice of blocks. Slot j of block k holds ``user[k, j]``, nobody where not `real`."""

    user: Int32[Array, "blocks slots"]  # 0 where nobody is
    real: Bool[Array, "blocks slots"]
    cell: Int32[Array, "blocks slots"]
    heard: Float32[Array, "blocks slots slots"]  # gain of listener i with the cell of j, over noise; 0 for i = j
    own: Float32[Array, "blocks slots"]  # gain with the own cell, over noise in 1/W
    limit_w: Float32[Array, "cells"]
    count: Float32[Array, "cells"]  # users of a cell, at least 1

    def spread(self, values: Array) -> Array:
        """Values of users in their slots, 0 elsewhere."""
        out: Array = np.where(self.real, values[self.user], values.dtype.type(0))
        return out

    def gather(self, values: Array) -> Array:
        """Values of slots by user."""
        out = np.empty(int(self.real.sum()), values.dtype)
        out[self.user[self.real]] = values[self.real]
        return out

    @property
    def fair_w(self) -> Float32[Array, "blocks slots"]:
        """Equal shares of the cells' powers; 0 where nobody is."""
        return np.where(self.real, (self.limit_w / self.count)[self.cell], np.float32(0.0))


def lay_out(
    gain: Float32[Array, "users cells"], cell: Int32[Array, "users"], block: Int32[Array, "users"],
    limit_w: Float32[Array, "cells"], n_blocks: int, noise_w: float, slots: int | None = None,
) -> BlockGraph:  # fmt: skip
    """The graph of a choice of cells and blocks.

    Args:
        gain: linear.
        cell: of each user.
        block: of each user, once in a cell.
        limit_w: power of each cell.
        n_blocks: of every cell.
        noise_w: in one block.
        slots: of each block, at least as many as users of the fullest one; default just that many.
    """
    order = np.argsort(block, kind="stable")
    number = np.bincount(block, minlength=n_blocks)
    slots = int(number.max(initial=1)) if slots is None else slots
    place = np.arange(len(block)) - np.repeat(np.cumsum(number) - number, number)
    user, real = np.zeros((n_blocks, slots), np.int32), np.zeros((n_blocks, slots), bool)
    user[block[order], place] = order
    real[block[order], place] = True
    at = np.where(real, cell[user], 0).astype(np.int32)
    heard = gain[user[:, :, None], at[:, None, :]] * (np.float32(1.0 / noise_w) * (real[:, :, None] & real[:, None, :]))
    diagonal = np.arange(slots)
    own = heard[:, diagonal, diagonal].copy()
    heard[:, diagonal, diagonal] = 0.0
    count = np.maximum(np.bincount(cell, minlength=len(limit_w)), 1).astype(np.float32)
    return BlockGraph(user, real, at, heard, own, limit_w.astype(np.float32), count)


def rates(xp: Any, heard: Any, own: Any, power_w: Any) -> Any:
    """Shannon rates in bit/s/Hz; `xp` is numpy or jax.numpy."""
    disturbed = 1.0 + (heard @ power_w[..., None])[..., 0]
    return xp.log2(1.0 + own * power_w / disturbed)


def credit(
    graph: BlockGraph, power_w: Float32[Array, "blocks slots"], need: Float32[Array, "blocks slots"]
) -> tuple[Float32[Array, "2 blocks slots"], Float32[Array, "2 blocks slots"]]:
    """What users have, and what all have by their being there: rate, and the part of it up to the need.

    The second is the first less what the others on the block would gain without the user, exactly, and
    less what the power is worth to the others of the own cell, at the margin.
    """
    signal, hear = graph.own * power_w, graph.heard * power_w[:, None, :]
    disturbed = 1.0 + hear.sum(axis=2)
    rate = np.log2(1.0 + signal / disturbed)
    without = np.log2(1.0 + signal[:, :, None] / np.maximum(disturbed[:, :, None] - hear, 1.0))
    had = np.stack([rate, np.minimum(rate, need)])
    lost = (
        (without - rate[:, :, None]).sum(axis=1),
        (np.minimum(without, need[:, :, None]) - had[1][:, :, None]).sum(axis=1),
    )
    short = (rate < need).astype(np.float32)
    given = []
    for i, worth in enumerate((np.ones_like(short), short)):
        price = _power_price(graph, power_w, worth, signal, disturbed)
        given.append(had[i] - lost[i] - power_w * price[graph.cell])
    return had, np.stack(given) * graph.real


def slope(xp: Any, heard: Any, own: Any, power_w: Any, worth: Any) -> Any:
    """Derivative by each power of the rates' sum weighted by `worth`, bit/s/Hz per W."""
    signal = own * power_w
    disturbed = 1.0 + (heard @ power_w[..., None])[..., 0]
    harm = worth * signal / (disturbed * (disturbed + signal))
    return (worth * own / (disturbed + signal) - (harm[..., None, :] @ heard)[..., 0, :]) / np.float32(np.log(2.0))


def _power_price(graph: BlockGraph, power_w: Array, worth: Array, signal: Array, disturbed: Array) -> Array:
    """What a watt is worth in each cell: the mean over its users of the derivative, by their power."""
    grad = slope(np, graph.heard, graph.own, power_w, worth)
    spent = np.bincount(graph.cell.ravel(), (power_w * grad).ravel(), len(graph.limit_w))
    price: Array = np.maximum(spent / graph.limit_w, 0.0).astype(np.float32)
    return price
