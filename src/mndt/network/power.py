"""How a cell's power budget is spread over its blocks: rules by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float32, Int32

from mndt.errors import unknown_name

Array = np.ndarray

PowerRule = Callable[
    [Int32[Array, "cells blocks"], Float32[Array, "cells"], Int32[Array, "cells"]], Float32[Array, "cells blocks"]
]
"""What `POWER` holds: (user of block, budget in W, blocks of each cell) -> power in W."""


def fair(
    user_of_block: Int32[Array, "cells blocks"], budget_w: Float32[Array, "cells"], blocks: Int32[Array, "cells"]
) -> Float32[Array, "cells blocks"]:
    """The budget divided equally among the users holding blocks, a user's share among its blocks.

    The paper's fundamentals. A cell with any user at all transmits its whole budget.
    """
    used = user_of_block >= 0
    held = np.bincount(user_of_block[used], minlength=1)
    share = np.where(used, 1.0 / np.maximum(held, 1)[np.maximum(user_of_block, 0)], 0.0)
    # The shares of a user's blocks add up to one, so their sum counts the users of the cell.
    n_users = np.maximum(np.ceil(share.sum(axis=1) - 1e-6), 1.0)
    power_w: Array = share * (budget_w / n_users)[:, None]
    return power_w.astype(np.float32)


def equal(
    user_of_block: Int32[Array, "cells blocks"], budget_w: Float32[Array, "cells"], blocks: Int32[Array, "cells"]
) -> Float32[Array, "cells blocks"]:
    """Budget divided by the cell's number of blocks, on every used block: free blocks save power."""
    per_block = np.where(blocks > 0, budget_w / np.maximum(blocks, 1), 0.0)
    return np.where(user_of_block >= 0, per_block[:, None], 0.0).astype(np.float32)


POWER: Final[dict[str, PowerRule]] = {"fair": fair, "equal": equal}


def assign_power(
    name: str,
    *,
    user_of_block: Int32[Array, "cells blocks"],
    budget_w: Float32[Array, "cells"],
    blocks: Int32[Array, "cells"],
) -> Float32[Array, "cells blocks"]:
    """Power of every block in W, 0 where free; a cell's sum is within its budget.

    Args:
        name: a key of `POWER`.
        user_of_block: -1 = free; a user holds blocks of one cell only.
        budget_w: power budget, 0 for cells asleep or off.
        blocks: blocks each cell may use, 0 for cells asleep or off.

    >>> assign_power(
    ...     "fair", user_of_block=np.int32([[5, 2, 5, -1]]), budget_w=np.float32([1.0]), blocks=np.int32([4])
    ... ).tolist()
    [[0.25, 0.5, 0.25, 0.0]]
    """
    if name not in POWER:
        raise unknown_name("power", name, POWER)
    return POWER[name](user_of_block, budget_w, blocks)
