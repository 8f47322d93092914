"""Who is served by which cell: preferences by name, and the paper's three-phase admission."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from mndt.errors import InputError, unknown_name

Array = np.ndarray


@dataclass(frozen=True)
class Preference:
    """How users rank cells: by `site_cost` first (lower is better; None: not at all), then by
    ``gain * cell_weight`` (higher is better), then by row. Weight 0: the cell does not serve."""

    cell_weight: Float32[Array, "cells"]
    site_cost: Float[Array, "users sites"] | None = None


Ranking = Callable[[Float32[Array, "cells"], Float[Array, "users sites"] | None], Preference]
"""What `ASSOCIATION` holds: from each cell's power per block and the distances (None where the
caller has none) to the users' preference."""


def nearest(power_per_block_w: Float32[Array, "cells"], distance_m: Float[Array, "users sites"] | None) -> Preference:
    """The nearest station, and within it the sector received strongest (the paper's fundamentals)."""
    if distance_m is None:
        raise InputError(
            "distance_m", "missing", allowed="an array (users, sites)", fix="association 'nearest' needs it"
        )
    return Preference(power_per_block_w, distance_m)


def strongest(power_per_block_w: Float32[Array, "cells"], distance_m: Float[Array, "users sites"] | None) -> Preference:
    """The cell received strongest: RSRP, here gain times power per block."""
    return Preference(power_per_block_w)


ASSOCIATION: Final[dict[str, Ranking]] = {"nearest": nearest, "strongest": strongest}


def power_per_block_w(budget_w: Float32[Array, "cells"], blocks: Int32[Array, "cells"]) -> Float32[Array, "cells"]:
    """A cell's budget spread over all its blocks, W: the power of its reference signal per block.

    0 for a cell without blocks or budget (asleep, off).

    >>> power_per_block_w(np.float32([1.0, 0.0]), np.int32([4, 0])).tolist()
    [0.25, 0.0]
    """
    return np.where(blocks > 0, budget_w / np.maximum(blocks, 1), 0.0).astype(np.float32)


def associate(
    name: str,
    *,
    gain: Float32[Array, "users cells"],
    budget_w: Float32[Array, "cells"],
    blocks: Int32[Array, "cells"],
    noise_w: Float32[Array, "cells"],
    active: Bool[Array, "users"],
    site_of_cell: Int[Array, "cells"],
    distance_m: Float[Array, "users sites"] | None = None,
    serving: Int32[Array, "users"] | None = None,
    users_per_block: int = 1,
    max_users: Int32[Array, "cells"] | None = None,
    min_power_w: float = 0.0,
    min_snr: Float32[Array, "users"] | None = None,
    n_candidates: int = 8,
) -> Int32[Array, "users"]:
    """Serving cell of every user, -1 where every cell it tried refused it.

    Three phases (paper, Fig. 3a), repeated until nothing changes, users in order of their best
    score (ties by row):

    1. A user tries its `n_candidates` most liked cells in sorted order, up to the one it holds.
    2. A cell is eligible while it has a place left and its power allows it. Places are
       `max_users`, by default ``users_per_block * blocks``: with one user per block each admitted
       user can have a block of its own at ``budget / blocks``; more users share blocks over time.
       Power: each admitted user is promised `min_power_w`, or what the SNR `min_snr` (linear)
       takes without interference, ``min_snr * noise / gain``, if that is more; the sum of
       promises stays within the budget. Both default to 0: then the places alone decide.
    3. After all users the plan is updated, and the places they left become free.

    A user keeps the place it holds unless a cell it likes better takes it: admission never throws
    out a connected user for a newcomer. Idle users camp on their first choice and take no place.

    Args:
        name: a key of `ASSOCIATION`.
        gain: linear large-scale gain, 0 = out of reach.
        budget_w: power budget, 0 for cells asleep or off.
        blocks: blocks the cell may use, 0 for cells asleep or off.
        noise_w: noise power in one block.
        active: users with bits waiting.
        site_of_cell: row of the site each cell stands on.
        distance_m: user to site; needed by "nearest".
        serving: cell in which an active user held a place in the last second, -1 for none.
            Pass -1 for users that were idle: camping is not a place. None: nobody held one.

    >>> serving = associate(
    ...     "strongest",
    ...     gain=np.float32([[4e-9, 1e-9], [5e-9, 0], [3e-9, 2e-9]]), budget_w=np.float32([1, 1]),
    ...     blocks=np.int32([1, 1]), noise_w=np.float32([1e-15, 1e-15]),
    ...     active=np.array([True, True, False]), site_of_cell=np.int32([0, 1]),
    ... )
    >>> serving.tolist()  # user 1 comes first and fills cell 0; user 0 goes to cell 1; user 2 camps
    [1, 0, 0]
    """
    from mndt.network import _admission  # numba is heavy: imported when needed

    if name not in ASSOCIATION:
        raise unknown_name("association", name, ASSOCIATION)
    wish = ASSOCIATION[name](power_per_block_w(budget_w, blocks), distance_m)
    n_users = len(gain)

    def as_f32(values: Array) -> Array:  # one set of types, so that a kernel compiles once
        return np.ascontiguousarray(values, np.float32)

    cost = np.empty((0, 1), np.float32) if wish.site_cost is None else as_f32(wish.site_cost)
    ranking = (as_f32(gain), as_f32(wish.cell_weight), cost, site_of_cell.astype(np.int32, copy=False))
    first, score = np.empty(n_users, np.int32), np.empty(n_users, np.float32)
    _admission.first_choices(*ranking, first, score)
    rows = np.flatnonzero(active & (first >= 0))
    order = rows[np.argsort(-score[rows], kind="stable")]
    places = blocks * users_per_block if max_users is None else max_users
    plan = np.where(active, -1 if serving is None else serving, first).astype(np.int32)
    plan[first < 0] = -1
    _admission.admit(
        *ranking,
        order,
        first,
        places.astype(np.int32, copy=False),
        budget_w * np.float64(1.0 + 1e-6),
        as_f32(noise_w),
        np.zeros(n_users, np.float32) if min_snr is None else as_f32(min_snr),
        float(min_power_w),
        int(n_candidates),
        plan,
    )
    return plan
