"""Which user gets which resource block: schedulers by name.

Every scheduler fills each cell on its own from the active users that cell admitted, and stops for a
user once its buffer is covered, as far as the expected rate tells. Cells fill their blocks from a
starting block of their own, so that half-empty neighbours do not all crowd on block 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from mndt.errors import unknown_name

Array = np.ndarray


@dataclass(frozen=True)
class Queues:
    """What the cells have to schedule in one second. The users of cell c are
    ``user[start[c]:start[c + 1]]``, in order of their rows."""

    user: Int32[Array, "queued"]
    start: Int64[Array, "cells_plus_1"]
    need_bits: Float32[Array, "users"]  # waiting
    mean_rate_bps: Float32[Array, "users"]  # average of the past
    sinr: Float32[Array, "users"]  # expected on a block of the serving cell, linear, without fading
    fade: Float32[Array, "users columns"] | None  # fading power of the own link; None = 1
    blocks: Int32[Array, "cells"]
    block_hz: Float32[Array, "cells"]
    width: int  # columns of the result
    key: np.uint32  # seed of this second's draws
    turn: int  # how many seconds the rotation has gone on
    window_s: float  # averaging window of mean_rate_bps

    def all_free(self) -> Int32[Array, "cells blocks"]:
        """An allocation in which every block is free."""
        return np.full((len(self.blocks), self.width), -1, np.int32)


Scheduler = Callable[[Queues], Int32[Array, "cells blocks"]]
"""What `BLOCKS` holds."""


def random(queues: Queues) -> Int32[Array, "cells blocks"]:
    """One random block for each user, the rest stay free (the paper's fundamentals)."""
    from mndt.network import _scheduling

    out = queues.all_free()
    _scheduling.random_blocks(queues.key, queues.user, queues.start, queues.blocks, out)
    return out


def round_robin(queues: Queues) -> Int32[Array, "cells blocks"]:
    """Users in rotation, one block a turn; the next second goes on where this one ended."""
    from mndt.network import _scheduling

    q, out = queues, queues.all_free()
    _scheduling.rotating_blocks(
        q.key, int(q.turn), q.user, q.start, q.need_bits, q.sinr, q.fade, q.blocks, q.block_hz, out
    )
    return out


def proportional_fair(queues: Queues) -> Int32[Array, "cells blocks"]:
    """Each block to the user with the largest ``rate / ((T - 1) mean_rate + granted)``.

    Rate is the expected Shannon rate on that block, `granted` what the user's earlier blocks of
    this second carry, T = `window_s`. With an average updated as ``mean += (rate - mean) / T`` this
    is the block that raises the sum of log(mean rate) most (Kim and Han, IEEE Commun. Lett. 9(3),
    2005, 10.1109/LCOMM.2005.03014).
    """
    return _best(queues, fair=True)


def max_rate(queues: Queues) -> Int32[Array, "cells blocks"]:
    """Each block to the user with the largest expected rate on it: most bits, least fair."""
    return _best(queues, fair=False)


def _best(q: Queues, fair: bool) -> Int32[Array, "cells blocks"]:
    from mndt.network import _scheduling

    out = q.all_free()
    _scheduling.best_blocks(
        q.key, fair, float(q.window_s), q.user, q.start, q.need_bits, q.mean_rate_bps, q.sinr, q.fade,
        q.blocks, q.block_hz, out,
    )  # fmt: skip
    return out


BLOCKS: Final[dict[str, Scheduler]] = {
    "random": random,
    "round-robin": round_robin,
    "proportional-fair": proportional_fair,
    "max-rate": max_rate,
}

USERS_PER_BLOCK: Final[dict[str, int]] = {"random": 1, "round-robin": 4, "proportional-fair": 4, "max-rate": 4}
"""Users a cell admits per block (`association.associate`): one where each needs a block every
second, four where users share blocks over time."""

CHANNEL_BLIND: Final = frozenset({"random"})
"""Schedulers that look at neither `sinr` nor `fade`: their caller need not compute them."""


def assign_blocks(
    name: str,
    *,
    serving: Int32[Array, "users"],
    active: Bool[Array, "users"],
    need_bits: Float32[Array, "users"],
    mean_rate_bps: Float32[Array, "users"],
    sinr: Float32[Array, "users"],
    blocks: Int32[Array, "cells"],
    block_hz: Float32[Array, "cells"],
    width: int,
    fade: Float32[Array, "users columns"] | None = None,
    key: np.uint32 | int = 0,
    turn: int = 0,
    window_s: float = 2.0,
) -> Int32[Array, "cells blocks"]:
    """User of every block, -1 = free, as `mndt.state.Allocation.user_of_block`.

    Only active users hold blocks, of their serving cell only. The expected rate of user u on block
    k, in bit/s, is ``block_hz * log2(1 + sinr[u] * fade[u, k])``; a user is covered once the
    expected rates of its blocks carry `need_bits` in one second.

    Args:
        name: a key of `BLOCKS`.
        serving: cell of each user, -1 = none.
        need_bits: bits waiting.
        mean_rate_bps: running average of the rate, for "proportional-fair".
        sinr: expected SINR on a block of the serving cell, linear.
        blocks: blocks each cell may use, 0 for cells asleep or off; at most `width`.
        width: columns of the result: the most blocks any cell was built with.
        fade: fading power of the user's own link on each block a cell may use; None = 1. Giving the
            fading that the blocks will really meet assumes a scheduler with perfect knowledge of it.
        key: 32-bit key of this second (`Streams.key`): random blocks, starting blocks.
        turn: the second, so that "round-robin" goes on where it ended.
        window_s: averaging window of `mean_rate_bps`.

    >>> assign_blocks(
    ...     "max-rate", serving=np.int32([0, 0]), active=np.array([True, True]),
    ...     need_bits=np.float32([150e3, 1e6]), mean_rate_bps=np.float32([0, 0]),
    ...     sinr=np.float32([3, 1]), blocks=np.int32([3]), block_hz=np.float32([100e3]), width=3,
    ... ).tolist()  # 200 kbit cover user 0 with one block; the other two go to user 1
    [[0, 1, 1]]
    """
    if name not in BLOCKS:
        raise unknown_name("blocks", name, BLOCKS)
    if blocks.max(initial=0) > width:
        raise ValueError(f"a cell has {blocks.max()} blocks, the allocation only {width} columns")
    user, start = _by_cell(np.where(active, serving, -1), len(blocks))

    def as_f32(values: Array) -> Array:  # one set of types, so that a kernel compiles once
        return np.ascontiguousarray(values, np.float32)

    queues = Queues(
        user,
        start,
        as_f32(need_bits),
        as_f32(mean_rate_bps),
        as_f32(sinr),
        None if fade is None else as_f32(fade),
        blocks.astype(np.int32, copy=False),
        as_f32(block_hz),
        width,
        np.uint32(key),
        turn,
        window_s,
    )
    return BLOCKS[name](queues)


def _by_cell(cell: Int32[Array, "users"], n_cells: int) -> tuple[Int32[Array, "queued"], Int64[Array, "cells_plus_1"]]:
    """Users grouped by cell, in order of their rows; those with cell -1 left out."""
    # NumPy sorts 16-bit keys by radix, ten times faster than 32-bit ones.
    order = np.argsort(cell.astype(np.int16) if n_cells < 2**15 else cell, kind="stable").astype(np.int32)
    ends = np.cumsum(np.bincount(cell + 1, minlength=n_cells + 1))
    return order[ends[0] :], ends - ends[0]
