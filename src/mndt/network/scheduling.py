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
from mndt.parallel import by_rows
from mndt.radio.mcs import Coefficients, coefficients

Array = np.ndarray

CELLS: Final = 32
"""Cells that a thread gets at least."""


@dataclass(frozen=True)
class Queues:
    """What the cells have to schedule in one second. The users of cell c are
    ``user[start[c]:start[c + 1]]``, in order of their rows."""

    user: Int32[Array, "queued"]
    start: Int64[Array, "cells_plus_1"]
    need_bits: Float32[Array, "users"]  # waiting
    mean_rate_bps: Float32[Array, "users"]  # average of the past
    sinr: Float32[Array, "users"]  # expected on a block of the serving cell, linear, without fading
    fade: Float32[Array, "users groups"]  # fading power of the own link; without groups = 1
    blocks_per_group: int  # neighbouring blocks that fade alike
    law: Coefficients  # what a SINR is worth
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

    q, out = queues, queues.all_free()
    by_rows(_scheduling.random_blocks, len(q.blocks), q.key, q.user, q.start, q.blocks, out, least=CELLS)
    return out


def round_robin(queues: Queues) -> Int32[Array, "cells blocks"]:
    """Users in rotation, one block a turn; the next second goes on where this one ended."""
    from mndt.network import _scheduling

    q, out = queues, queues.all_free()
    by_rows(
        _scheduling.rotating_blocks, len(q.blocks), q.key, int(q.turn), q.user, q.start, q.need_bits, q.sinr, q.fade,
        q.blocks_per_group, q.law, q.blocks, q.block_hz, out, least=CELLS,
    )  # fmt: skip
    return out


def proportional_fair(queues: Queues) -> Int32[Array, "cells blocks"]:
    """Each block to the user with the largest ``rate / ((T - 1) mean_rate + granted)``.

    Rate is the expected rate on that block, `granted` what the user's earlier blocks of
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
    by_rows(
        _scheduling.best_blocks, len(q.blocks), q.key, fair, float(q.window_s), q.user, q.start, q.need_bits,
        q.mean_rate_bps, q.sinr, q.fade, q.blocks_per_group, q.law, q.blocks, q.block_hz, out, least=CELLS,
    )  # fmt: skip
    return out


def rate_need(queues: Queues) -> Int32[Array, "cells blocks"]:
    """To each user the fewest blocks that carry its need, by inverting the rate law; the rest stay free.

    The paper's adjustment of bandwidth to the recognised service (section III-B). Users that need the
    fewest blocks at their expected SINR come first: without fading no order satisfies more of them.
    Whoever comes when too few blocks are left gets those. Of the blocks still free a user gets those
    with its best fading.
    """
    from mndt.network import _scheduling

    q, out = queues, queues.all_free()
    by_rows(
        _scheduling.needed_blocks, len(q.blocks), q.key, q.user, q.start, q.need_bits, q.sinr, q.fade,
        q.blocks_per_group, q.law, q.blocks, q.block_hz, out, least=CELLS,
    )  # fmt: skip
    return out


BLOCKS: Final[dict[str, Scheduler]] = {
    "random": random,
    "round-robin": round_robin,
    "proportional-fair": proportional_fair,
    "max-rate": max_rate,
    "rate-need": rate_need,
}

USERS_PER_BLOCK: Final[dict[str, int]] = {name: 1 if name == "random" else 4 for name in BLOCKS}
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
    fade: Float32[Array, "users groups"] | None = None,
    blocks_per_group: int = 1,
    law: str = "shannon",
    snr_gap_db: float = 0.0,
    key: np.uint32 | int = 0,
    turn: int = 0,
    window_s: float = 2.0,
) -> Int32[Array, "cells blocks"]:
    """User of every block, -1 = free, as `mndt.state.Allocation.user_of_block`.

    Only active users hold blocks, of their serving cell only. The expected rate of user u on block
    k is the rate law's at the SINR ``sinr[u] * fade[u, k // blocks_per_group]``; a user is covered
    once the expected rates of its blocks carry `need_bits` in one second.

    Args:
        name: a key of `BLOCKS`.
        serving: cell of each user, -1 = none.
        need_bits: bits waiting.
        mean_rate_bps: running average of the rate, for "proportional-fair".
        sinr: expected SINR on a block of the serving cell, linear.
        blocks: blocks each cell may use, 0 for cells asleep or off; at most `width`.
        width: columns of the result: the most blocks any cell was built with.
        fade: fading power of the user's own link on each group of the blocks a cell may use; None = 1.
            Giving the fading that the blocks will really meet assumes a scheduler with perfect knowledge of it.
        blocks_per_group: neighbouring blocks that fade alike.
        law: one of `mndt.radio.mcs.LAWS`.
        snr_gap_db: the law's SNR gap.
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
    most = int(blocks.max(initial=0))
    if most > width:
        raise ValueError(f"a cell has {most} blocks, the allocation only {width} columns")
    if fade is not None and fade.shape[1] * blocks_per_group < most:
        raise ValueError(f"{fade.shape[1]} groups of {blocks_per_group} blocks do not cover {most} blocks")
    user, start = _by_cell(serving, active, len(blocks))

    def as_f32(values: Array) -> Array:  # one set of types, so that a kernel compiles once
        return np.ascontiguousarray(values, np.float32)

    queues = Queues(
        user=user,
        start=start,
        need_bits=as_f32(need_bits),
        mean_rate_bps=as_f32(mean_rate_bps),
        sinr=as_f32(sinr),
        fade=as_f32(np.empty((len(sinr), 0)) if fade is None else fade),
        blocks_per_group=width + 1 if fade is None else blocks_per_group,
        law=coefficients(law, snr_gap_db),
        blocks=blocks.astype(np.int32, copy=False),
        block_hz=as_f32(block_hz),
        width=width,
        key=np.uint32(key),
        turn=turn,
        window_s=window_s,
    )
    return BLOCKS[name](queues)


def _by_cell(
    serving: Int32[Array, "users"], active: Bool[Array, "users"], n_cells: int
) -> tuple[Int32[Array, "queued"], Int64[Array, "cells_plus_1"]]:
    """Active users with a cell, grouped by cell, in order of their rows."""
    from mndt.network import _scheduling

    start, user = np.zeros(n_cells + 1, np.int64), np.empty(len(serving), np.int32)
    _scheduling.by_cell(np.ascontiguousarray(serving, np.int32), np.ascontiguousarray(active), start, user)
    return user[: start[-1]], start
