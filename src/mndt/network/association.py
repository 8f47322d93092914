"""Who is served by which cell: preferences by name, and the paper's three-phase admission."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32

from mndt.city.model import Sites
from mndt.errors import InputError, unknown_name
from mndt.parallel import by_rows
from mndt.radio.channel import Links, rank_weights
from mndt.state import Users

Array = np.ndarray

ASSOCIATION: Final[dict[str, str]] = {
    "nearest": "the nearest site, and on it the cell received strongest (the paper's fundamentals)",
    "strongest": "the cell received strongest (RSRP, in steps of 1/64 dB), every second anew",
    "a3": "the strongest cell at first, then the serving cell until event A3 hands over",
    "exact": "the least total path loss under the cells' places, solved exactly",
}
"""How users come to cells. All but "exact" then pass the three phases of admission."""


def associate(
    name: str,
    *,
    links: Links,
    active: Bool[Array, "users"],
    site_of_cell: Int[Array, "cells"],
    users: Users | None = None,
    sites: Sites | None = None,
    serving: Int32[Array, "users"] | None = None,
    wanted: Int32[Array, "users"] | None = None,
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
    By "a3" a user that holds a place leaves it for `wanted` only.

    Args:
        name: a key of `ASSOCIATION`.
        links: this second's links.
        active: users with bits waiting.
        site_of_cell: row of the site each cell stands on.
        users, sites: where they are; needed by "nearest".
        serving: cell in which an active user held a place in the last second, -1 for none.
            Pass -1 for users that were idle: camping is not a place. None: nobody held one.
        wanted: by "a3", the cell that each connected user's handover asks for
            (`handover.hand_over`), -1 for users that have none.

    >>> links = Links.of_gain(
    ...     [[4e-9, 1e-9], [5e-9, 0], [3e-9, 2e-9]],
    ...     budget_w=np.float32([1, 1]), blocks=np.int32([1, 1]), noise_w=np.float32([1e-15, 1e-15]),
    ... )
    >>> active = np.array([True, True, False])
    >>> associate("strongest", links=links, active=active, site_of_cell=np.int32([0, 1])).tolist()
    [1, 0, 0]

    User 1 comes first and fills cell 0, user 0 goes to cell 1, and user 2 camps.
    """
    if name not in ASSOCIATION:
        raise unknown_name("association", name, ASSOCIATION)
    places = links.blocks * users_per_block if max_users is None else max_users
    if name == "exact":
        return _exact(links, active, places)
    by_site = name == "nearest"
    if by_site and (users is None or sites is None):
        raise InputError(
            "users", "missing", allowed="positions of users and sites", fix="association 'nearest' needs them"
        )
    where = _where(users, sites if by_site else None, len(links), site_of_cell)
    weight = rank_weights(links.even_power_w())
    first, score = _first_choices(links, weight, where)
    if name == "a3" and wanted is not None:
        first = np.where((wanted >= 0) & active, wanted, first).astype(np.int32)
    plan = np.where(active, -1 if serving is None else serving, first).astype(np.int32)
    plan[first < 0] = -1
    asks = active & (first >= 0)
    places = places.astype(np.int32, copy=False)
    by_place = min_snr is None and min_power_w == 0.0
    if by_place and (np.bincount(first[asks], minlength=len(places)) <= places).all():
        return np.where(asks, first, plan).astype(np.int32)  # there is a place for every first choice
    taken = np.zeros(len(places), np.int32)
    if by_place and (np.bincount(plan[asks & (plan >= 0)], minlength=len(places)) <= places).all():
        stays = asks & (plan == first)  # who holds its first choice keeps it, whatever the others do
        taken, asks = np.bincount(first[stays], minlength=len(places)).astype(np.int32), asks & ~stays
    from mndt.network import _admission  # numba is heavy: imported when needed

    rows = np.flatnonzero(asks)
    _admission.admit(
        links.level, weight, *where, rows[np.argsort(score[rows], kind="stable")], first, taken,
        places, links.budget_w * np.float64(1.0 + 1e-6), np.ascontiguousarray(links.noise_w, np.float32),
        np.zeros(len(links), np.float32) if min_snr is None else np.ascontiguousarray(min_snr, np.float32),
        float(min_power_w), int(n_candidates), name == "a3", plan,
    )  # fmt: skip
    return plan


Where = tuple[Array, Array, Array, Array]
"""Users' x and y, cells' x and y (empty where they play no part), in metres."""


def _where(users: Users | None, sites: Sites | None, n_users: int, site_of_cell: Int[Array, "cells"]) -> Where:
    """One set of types, so that a kernel compiles once."""
    nowhere, no_cell = np.zeros(n_users, np.float32), np.zeros(0, np.float32)
    x_m, y_m = (nowhere, nowhere) if users is None else (users.x_m, users.y_m)
    to_x_m, to_y_m = (no_cell, no_cell) if sites is None else (sites.x_m[site_of_cell], sites.y_m[site_of_cell])
    as_f32 = [np.ascontiguousarray(values, np.float32) for values in (x_m, y_m, to_x_m, to_y_m)]
    return as_f32[0], as_f32[1], as_f32[2], as_f32[3]


def _first_choices(
    links: Links, weight: Int32[Array, "cells"], where: Where
) -> tuple[Int32[Array, "users"], Int[Array, "users"]]:
    """Every user's most liked cell, -1: none in reach, and a score by which users queue, least first."""
    if len(where[2]) == 0:
        return links.strongest(), -(links.rank >> 15).astype(np.int16)  # NumPy sorts 16 bits fastest
    from mndt.network import _admission

    cell, order = np.empty(len(links), np.int32), np.empty(len(links), np.int32)
    by_rows(_admission.nearest_cells, len(links), links.level, weight, *where, cell, order)
    return cell, order


def _exact(links: Links, active: Bool[Array, "users"], places: Int32[Array, "cells"]) -> Int32[Array, "users"]:
    """The assignment of least total path loss (in dB, minus power) among those that serve the most users.

    Exact capacitated assignment (`assignment.assign`); idle users camp on the strongest cell.
    """
    from mndt.network.assignment import assign

    plan = links.strongest()
    rows = np.flatnonzero(active & (plan >= 0))
    on = links.blocks > 0
    loss_db = -(links.level[rows] >> 1) / 64.0 - (rank_weights(links.even_power_w()) >> 15) / 64.0
    plan[active] = -1
    if len(rows):
        places = np.where(on, places, 0).astype(np.int32)
        left = max(0, len(rows) - int(places.sum(dtype=np.int64)))  # users for whom there is no place anywhere
        cost = np.column_stack((np.where(on, loss_db, 1e6), np.zeros(len(rows))))
        cell = assign(cost, np.append(places, np.int32(left))).cell
        plan[rows] = np.where(cell < len(places), cell, -1)
    return plan
