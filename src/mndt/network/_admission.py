"""The loops of admission in numba. `association` says what they decide.

Conventions: row u a user, column c a cell. Every kernel writes only into its `out_` arrays.
A user likes cells by a rank, higher is better, then by row: see `radio.channel.rank_weights`; by
"nearest" the squared distance goes before it. Ranks up to `LOWEST` mark cells off or out of reach.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.radio._kernels import RANK_BITS
from mndt.radio._simd import FAST, F, I, bits_of_float
from mndt.radio.channel import LOWEST_RANK, RANK_CELLS

LOWEST: Final = I(LOWEST_RANK)
ABOVE_ALL: Final = I(2**31 - 1)
FAR: Final = ABOVE_ALL
"""Farther than any cell. Squared distances are compared by their bit patterns, which order as the
numbers do where these are not negative: least integers vectorise, least floats do not."""


@nb.njit(inline="always", **FAST)
def _rank(q: Any, weight: Any) -> Any:
    return I(I(I(I(q) >> I(1)) << I(RANK_BITS)) + weight)


@nb.njit(inline="always", **FAST)
def _best_between(level: Any, weight: Any, limit: Any) -> Any:
    """Highest rank below a limit."""
    top = LOWEST
    for c in range(level.shape[0]):
        rank = _rank(level[c], weight[c])
        top = max(top, rank if rank < limit else LOWEST)
    return top


@nb.njit(inline="always", **FAST)
def _best_at(level: Any, weight: Any, distance: Any, at: Any, limit: Any) -> Any:
    """Highest rank below a limit among the cells at one distance."""
    top = LOWEST
    for c in range(level.shape[0]):
        rank = _rank(level[c], weight[c])
        top = max(top, rank if (rank < limit) & (distance[c] == at) else LOWEST)
    return top


@nb.njit(inline="always", **FAST)
def _least_above(distance: Any, beyond: Any) -> Any:
    """The least of the squared distances beyond a given one."""
    near = FAR
    for c in range(distance.shape[0]):
        mine = distance[c]
        near = min(near, mine if mine > beyond else FAR)
    return near


@nb.njit(**FAST)
def _next_choice(
    level: Any, weight: Any, x_m: Any, y_m: Any, cell_x_m: Any, cell_y_m: Any, room: Any, before: int
) -> int:
    """The cell a user likes most after `before` (-1: of all); -1 when there is none.

    Ranks differ, so going on from one means to look below it: passes that vectorise, and no lists.
    Distances are taken once, into `room`: two roundings of one distance must not meet.
    """
    limit = _rank(level[before], weight[before]) if before >= 0 else ABOVE_ALL
    if cell_x_m.shape[0] == 0:
        top = _best_between(level, weight, limit)
        return RANK_CELLS - (top & RANK_CELLS) if top > LOWEST else -1
    for c in range(cell_x_m.shape[0]):
        dx, dy = x_m - cell_x_m[c], y_m - cell_y_m[c]
        room[c] = bits_of_float(dx * dx + dy * dy) if _rank(level[c], weight[c]) > LOWEST else FAR
    top, beyond = LOWEST, I(-1)
    if before >= 0:
        beyond = room[before]
        top = _best_at(level, weight, room, beyond, limit)
    if top == LOWEST:
        near = _least_above(room, beyond)
        if near < FAR:
            top = _best_at(level, weight, room, near, ABOVE_ALL)
    return RANK_CELLS - (top & RANK_CELLS) if top > LOWEST else -1


@nb.njit(**FAST)
def nearest_cells(
    low: int, high: int, level: Any, weight: Any, x_m: Any, y_m: Any, cell_x_m: Any, cell_y_m: Any, out_cell: Any,
    out_order: Any,
) -> None:  # fmt: skip
    """Every user's nearest cell that serves it, the strongest of those at one place; -1: none in reach.

    `out_order` grows with the distance.
    """
    room = np.empty(level.shape[1], np.int32)
    for u in range(low, high):
        best = _next_choice(level[u], weight, x_m[u], y_m[u], cell_x_m, cell_y_m, room, -1)
        out_cell[u], out_order[u] = best, room[max(best, 0)]


@nb.njit(**FAST)
def _need_w(level: Any, noise_w: Any, min_snr: Any, min_power_w: Any) -> Any:
    """Power the cell promises a user on a link of this level, W."""
    if min_snr == F(0.0):
        return np.float64(min_power_w)
    gain = 10.0 ** (np.float64(I(level) >> I(1)) / 640.0)
    return max(min_power_w, np.float64(min_snr) * noise_w / gain)


@nb.njit(**FAST)
def admit(
    level: Any, weight: Any, x_m: Any, y_m: Any, cell_x_m: Any, cell_y_m: Any,
    order: Any, first: Any, taken: Any, places: Any, limit_w: Any, noise_w: Any, min_snr: Any, min_power_w: float,
    n_candidates: int, sticky: bool, out_plan: Any,
) -> int:  # fmt: skip
    """The three phases of admission, repeated until nothing changes; returns the number of rounds.

    `out_plan` comes in as the places held so far (-1: none) of the users in `order`; `taken` counts
    those of users that stay and are not in it. `sticky` users that hold a place leave it for their first choice only.
    """
    n_cells, n_users = level.shape[1], len(order)
    load, promised_w = taken.copy(), np.zeros(n_cells, np.float64)
    room = np.empty(n_cells, np.int32)
    left_cell, left_w = np.empty(n_users, np.int32), np.empty(n_users, np.float64)

    for i in range(n_users):  # places held stay held where the cell still has them
        u = order[i]
        held = out_plan[u]
        out_plan[u] = -1
        if held < 0 or load[held] >= places[held] or _rank(level[u, held], weight[held]) <= LOWEST:
            continue
        if not sticky:
            c = first[u]
            for _ in range(n_candidates - 1):
                if c == held or c < 0:
                    break
                c = _next_choice(level[u], weight, x_m[u], y_m[u], cell_x_m, cell_y_m, room, c)
            if c != held:
                continue
        need = _need_w(level[u, held], noise_w[held], min_snr[u], min_power_w)
        if promised_w[held] + need <= limit_w[held]:
            out_plan[u] = held
            load[held] += 1
            promised_w[held] += need

    rounds, n_left = 0, 1
    while n_left > 0:  # where nobody left a place, loads have only grown: another round changes nothing
        rounds, n_left = rounds + 1, 0
        for i in range(n_users):
            u = order[i]
            held, c = out_plan[u], first[u]
            for j in range(1 if sticky and held >= 0 else n_candidates):  # phase (i): cells in sorted order
                if j > 0:
                    c = _next_choice(level[u], weight, x_m[u], y_m[u], cell_x_m, cell_y_m, room, c)
                if c < 0 or c == held:
                    break
                if load[c] >= places[c]:  # phase (ii): blocks, then power
                    continue
                need = _need_w(level[u, c], noise_w[c], min_snr[u], min_power_w)
                if promised_w[c] + need > limit_w[c]:
                    continue
                load[c] += 1
                promised_w[c] += need
                out_plan[u] = c
                if held >= 0:
                    left_cell[n_left] = held
                    left_w[n_left] = _need_w(level[u, held], noise_w[held], min_snr[u], min_power_w)
                    n_left += 1
                break
        for i in range(n_left):  # phase (iii): the plan is updated, and only now the places left are free
            load[left_cell[i]] -= 1
            promised_w[left_cell[i]] -= left_w[i]
    return rounds
