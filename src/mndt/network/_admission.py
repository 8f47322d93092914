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
from mndt.radio.channel import LOWEST_RANK, OFF_WEIGHT, RANK_CELLS

LOWEST: Final = I(LOWEST_RANK)
ABOVE_ALL: Final = I(2**31 - 1)
FULL: Final = I(OFF_WEIGHT)
FEW: Final = 24
"""Up to so many cells are quicker to look through one by one than all of them at once."""

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
def _least_above(level: Any, weight: Any, distance: Any, beyond: Any) -> Any:
    """The least distance of a serving cell beyond a given one."""
    near = FAR
    for c in range(level.shape[0]):
        mine = distance[c]
        near = min(near, mine if (mine > beyond) & (_rank(level[c], weight[c]) > LOWEST) else FAR)
    return near


@nb.njit(inline="always", **FAST)
def _take_distances(x_m: Any, y_m: Any, cell_x_m: Any, cell_y_m: Any, out: Any) -> None:
    """Distances of one user, taken once: two roundings of one distance must not meet."""
    for c in range(cell_x_m.shape[0]):
        dx, dy = x_m - cell_x_m[c], y_m - cell_y_m[c]
        out[c] = bits_of_float(dx * dx + dy * dy)


@nb.njit(**FAST)
def _next_choice(level: Any, weight: Any, distance: Any, by_site: bool, before: int) -> int:
    """The cell a user likes most after `before` (-1: of all); -1 when there is none.

    Ranks differ, so going on from one means to look below it: passes that vectorise, and no lists.
    """
    limit = _rank(level[before], weight[before]) if before >= 0 else ABOVE_ALL
    if not by_site:
        top = _best_between(level, weight, limit)
        return RANK_CELLS - (top & RANK_CELLS) if top > LOWEST else -1
    top, beyond = LOWEST, I(-1)
    if before >= 0:
        beyond = distance[before]
        top = _best_at(level, weight, distance, beyond, limit)
    if top == LOWEST:
        near = _least_above(level, weight, distance, beyond)
        if near < FAR:
            top = _best_at(level, weight, distance, near, ABOVE_ALL)
    return RANK_CELLS - (top & RANK_CELLS) if top > LOWEST else -1


@nb.njit(**FAST)
def _best_of_few(level: Any, weight: Any, x_m: Any, y_m: Any, cell_x_m: Any, cell_y_m: Any, few: Any) -> int:
    """The cell a user likes most among a few; -1 when none of them serves it."""
    best, top, near = -1, LOWEST, FAR
    for c in few:
        rank, distance = _rank(level[c], weight[c]), I(0)
        if cell_x_m.shape[0] > 0:
            dx, dy = x_m - cell_x_m[c], y_m - cell_y_m[c]
            distance = bits_of_float(dx * dx + dy * dy)
        if rank > LOWEST and (distance < near or (distance == near and rank > top)):
            best, top, near = c, rank, distance
    return best


@nb.njit(inline="always", **FAST)
def _is_better(level: Any, weight: Any, distance: Any, by_site: bool, b: Any, c: Any) -> Any:
    """Whether a user likes serving cell b better than cell c."""
    rank, mine = _rank(level[b], weight[b]), _rank(level[c], weight[c])
    if by_site and distance[b] != distance[c]:
        return rank > LOWEST and distance[b] < distance[c]
    return rank > mine


@nb.njit(**FAST)
def _is_among_first(n: int, level: Any, weight: Any, distance: Any, by_site: bool, c: int) -> bool:
    """Whether fewer than n cells are better. Where c is far down the list, a few looks tell."""
    for b in range(level.shape[0]):
        n -= _is_better(level, weight, distance, by_site, b, c)
        if n <= 0:
            return False
    return True


@nb.njit(**FAST)
def nearest_cells(
    low: int, high: int, level: Any, weight: Any, x_m: Any, y_m: Any, cell_x_m: Any, cell_y_m: Any, out_cell: Any,
    out_order: Any,
) -> None:  # fmt: skip
    """Every user's nearest cell that serves it, the strongest of those at one place; -1: none in reach.

    `out_order` grows with the distance.
    """
    distance = np.empty(level.shape[1], np.int32)
    for u in range(low, high):
        _take_distances(x_m[u], y_m[u], cell_x_m, cell_y_m, distance)
        best = _next_choice(level[u], weight, distance, True, -1)
        out_cell[u], out_order[u] = best, distance[max(best, 0)]


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
    n_cells, n_users, by_site = level.shape[1], len(order), cell_x_m.shape[0] > 0
    load, promised_w = taken.copy(), np.zeros(n_cells, np.float64)
    distance = np.zeros(n_cells, np.int32)
    left_cell, left_w = np.empty(n_users, np.int32), np.empty(n_users, np.float64)

    for i in range(n_users):  # places held stay held where the cell still has them
        u = order[i]
        held = out_plan[u]
        out_plan[u] = -1
        if held < 0 or load[held] >= places[held] or _rank(level[u, held], weight[held]) <= LOWEST:
            continue
        if not sticky and held != first[u]:
            _take_distances(x_m[u], y_m[u], cell_x_m, cell_y_m, distance)
            if not _is_among_first(n_candidates, level[u], weight, distance, by_site, held):
                continue
        need = _need_w(level[u, held], noise_w[held], min_snr[u], min_power_w)
        if promised_w[held] + need <= limit_w[held]:
            out_plan[u] = held
            load[held] += 1
            promised_w[held] += need

    free = weight.copy()  # weights of the cells with a place left: users look among these only
    few = np.empty(FEW, np.int32)
    rounds, n_left = 0, 1
    while n_left > 0:  # where nobody left a place, loads have only grown: another round changes nothing
        rounds, n_left, n_free = rounds + 1, 0, 0
        for c in range(n_cells):
            free[c] = weight[c] if load[c] < places[c] else FULL
            if load[c] < places[c]:
                few[min(n_free, FEW - 1)] = c
                n_free += 1
        n_few = n_free if n_free <= FEW else 0  # `few` lists them all, those that fill up meanwhile included
        for i in range(n_users):
            if n_free == 0:
                break
            u = order[i]
            held, c, is_near = out_plan[u], first[u], False
            while c >= 0 and c != held:  # phase (i): cells in sorted order
                if load[c] < places[c]:  # phase (ii): blocks, then power
                    need = _need_w(level[u, c], noise_w[c], min_snr[u], min_power_w)
                    if promised_w[c] + need <= limit_w[c]:
                        break
                if sticky and held >= 0:
                    c = -1
                    break
                if not is_near:
                    _take_distances(x_m[u], y_m[u], cell_x_m, cell_y_m, distance)
                if n_free <= n_few and not is_near:
                    c = _best_of_few(level[u], free, x_m[u], y_m[u], cell_x_m, cell_y_m, few[:n_few])
                else:
                    c = _next_choice(level[u], free, distance, by_site, c if is_near else -1)
                is_near = True
                if c < 0 or c == held:
                    break
                if (held >= 0 and _is_better(level[u], weight, distance, by_site, held, c)) or not _is_among_first(
                    n_candidates, level[u], weight, distance, by_site, c
                ):
                    c = -1
            if c < 0 or c == held:
                continue
            load[c] += 1
            promised_w[c] += need
            if load[c] == places[c]:
                free[c] = FULL
                n_free -= 1
            out_plan[u] = c
            if held >= 0:
                left_cell[n_left] = held
                left_w[n_left] = _need_w(level[u, held], noise_w[held], min_snr[u], min_power_w)
                n_left += 1
        for i in range(n_left):  # phase (iii): the plan is updated, and only now the places left are free
            load[left_cell[i]] -= 1
            promised_w[left_cell[i]] -= left_w[i]
    return rounds
