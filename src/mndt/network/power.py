"""How a cell's power budget is spread over its blocks: rules by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, Int32

from mndt.errors import unknown_name
from mndt.parallel import by_rows
from mndt.radio.mcs import Coefficients, coefficients

Array = np.ndarray

CELLS: Final = 64
"""Cells that a thread gets at least where rates are inverted; waking it takes as long as simpler rules."""


@dataclass(frozen=True)
class PowerRequest:
    """What the cells have to power in one second. What a rule does not read may be None."""

    user_of_block: Int32[Array, "cells blocks"]  # -1 = free; a user holds blocks of one cell only
    budget_w: Float32[Array, "cells"]
    blocks: Int32[Array, "cells"]
    need_bits: Float32[Array, "users"] | None = None
    sinr_per_w: Float32[Array, "users"] | None = None  # expected SINR of a block of the serving cell at 1 W, no fading
    fade: Float32[Array, "users groups"] | None = None  # fading power of the own link; None = 1
    blocks_per_group: int = 1  # neighbouring blocks that fade alike
    block_hz: Float32[Array, "cells"] | None = None
    law: Coefficients | None = None  # what a SINR is worth


PowerRule = Callable[[PowerRequest], Float32[Array, "cells blocks"]]
"""What `POWER` holds: the power of every block in W."""


def fair(request: PowerRequest) -> Float32[Array, "cells blocks"]:
    """The budget divided equally among the users holding blocks, a user's share among its blocks.

    The paper's fundamentals. A cell with any user at all transmits its whole budget.
    """
    from mndt.network import _power

    holders, out = request.user_of_block, np.empty(request.user_of_block.shape, np.float32)
    n_users = int(holders.max(initial=-1)) + 1
    by_rows(_power.fair, len(holders), holders, request.budget_w, n_users, out)
    return out


def equal(request: PowerRequest) -> Float32[Array, "cells blocks"]:
    """Budget divided by the cell's number of blocks, on every used block: free blocks save power."""
    blocks = request.blocks
    per_block_w = np.where(blocks > 0, request.budget_w / np.maximum(blocks, 1), 0.0).astype(np.float32)
    return np.where(request.user_of_block >= 0, per_block_w[:, None], np.float32(0.0))


def need(request: PowerRequest) -> Float32[Array, "cells blocks"]:
    """To each user the least power with which its blocks carry its need, by inverting the rate law.

    The paper's adjustment of power to the recognised service (section III-B). With Shannon's law
    and equal blocks ``p = (2^(r / (n B)) - 1) / sinr_per_w`` on each of a user's n blocks; where
    they fade apart, water filling (Tse and Viswanath, Fundamentals of Wireless Communication, 2005,
    section 5.3.3, doi:10.1017/CBO9780511807213), no block above the law's ceiling and each raised to the
    next entry of its table. Where the budget is too small, users that need the least power get it
    first, which satisfies the most of them; what is left goes to the others in equal parts.
    """
    from mndt.network import _power

    r, out = request, np.empty(request.user_of_block.shape, np.float32)
    if r.need_bits is None or r.sinr_per_w is None or r.block_hz is None or r.law is None:
        raise ValueError("power 'need' reads need_bits, sinr_per_w and block_hz")
    fade = np.empty((len(r.need_bits), 0), np.float32) if r.fade is None else r.fade
    by_rows(
        _power.needed, len(out), r.user_of_block, r.budget_w, r.need_bits, r.sinr_per_w, fade, r.blocks_per_group,
        r.block_hz, r.law, out, least=CELLS,
    )  # fmt: skip
    return out


POWER: Final[dict[str, PowerRule]] = {"fair": fair, "equal": equal, "need": need}

READS_NEEDS: Final = frozenset({"need"})
"""Rules that read `need_bits`, `sinr_per_w`, `fade` and `block_hz`: for others their caller need not compute them."""


def assign_power(
    name: str,
    *,
    user_of_block: Int32[Array, "cells blocks"],
    budget_w: Float32[Array, "cells"],
    blocks: Int32[Array, "cells"],
    need_bits: Float32[Array, "users"] | None = None,
    sinr_per_w: Float32[Array, "users"] | None = None,
    fade: Float32[Array, "users groups"] | None = None,
    blocks_per_group: int = 1,
    block_hz: Float32[Array, "cells"] | None = None,
    law: str = "shannon",
    snr_gap_db: float = 0.0,
) -> Float32[Array, "cells blocks"]:
    """Power of every block in W, 0 where free; a cell's sum is within its budget.

    Args:
        name: a key of `POWER`.
        user_of_block: -1 = free; a user holds blocks of one cell only.
        budget_w: power budget, 0 for cells asleep or off.
        blocks: blocks each cell may use, 0 for cells asleep or off.
        need_bits: bits each user's blocks shall carry in one second; for "need" only, as all below.
        sinr_per_w: expected SINR of each user on a block of its cell that carries 1 W, linear,
            without fading: own gain over expected interference plus noise.
        fade: fading power of the user's own link on each group of blocks; None = 1.
        blocks_per_group: neighbouring blocks that fade alike.
        block_hz: width of a cell's blocks.
        law: one of `mndt.radio.mcs.LAWS`.
        snr_gap_db: the law's SNR gap.

    >>> assign_power(
    ...     "fair", user_of_block=np.int32([[5, 2, 5, -1]]), budget_w=np.float32([1.0]), blocks=np.int32([4])
    ... ).tolist()
    [[0.25, 0.5, 0.25, 0.0]]
    >>> assign_power(  # 200 kbit on one block of 100 kHz take SINR 3, 100 kbit on two take SINR 0.41 each
    ...     "need", user_of_block=np.int32([[0, 1, 1]]), budget_w=np.float32([1.0]), blocks=np.int32([3]),
    ...     need_bits=np.float32([200e3, 100e3]), sinr_per_w=np.float32([10, 10]), block_hz=np.float32([100e3]),
    ... ).round(3).tolist()[0]
    [0.30000001192092896, 0.04100000113248825, 0.04100000113248825]
    """
    if name not in POWER:
        raise unknown_name("power", name, POWER)
    if fade is not None and fade.shape[1] * blocks_per_group < blocks.max(initial=0):
        raise ValueError(f"{fade.shape[1]} groups of {blocks_per_group} blocks do not cover {blocks.max()} blocks")

    def as_f32(values: Array | None) -> Array | None:  # one set of types, so that a kernel compiles once
        return None if values is None else np.ascontiguousarray(values, np.float32)

    request = PowerRequest(
        user_of_block=np.ascontiguousarray(user_of_block, np.int32),
        budget_w=np.ascontiguousarray(budget_w, np.float32),
        blocks=blocks,
        need_bits=as_f32(need_bits),
        sinr_per_w=as_f32(sinr_per_w),
        fade=as_f32(fade),
        blocks_per_group=blocks_per_group,
        block_hz=as_f32(block_hz),
        law=coefficients(law, snr_gap_db),
    )
    return POWER[name](request)
