"""The loops of admission in numba. `association` says what they decide.

Conventions: row u a user, column c a cell, k a block. Every kernel writes only into its `out_` arrays.
A user's preference is a pair of keys: `cost[u, site]` (lower is better; no rows where it plays no part),
then `gain[u, c] * weight[c]` (higher is better), then the row of the cell. Weight 0 marks a cell
that does not serve, gain 0 one out of the user's reach.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, I

NOT_IN_REACH: Final = F(-3e38)
"""Key of a cell that cannot serve: below all others, finite because fast arithmetic knows no infinity."""


@nb.njit(**FAST)
def _list_candidates(u: Any, gain: Any, weight: Any, cost: Any, site_of_cell: Any, key: Any, out: Any) -> None:
    """The most liked cells of user u in sorted order, as many as `out` holds; -1 beyond the last.

    `key` is room for a row of keys. Repeated vectorised maxima beat sorting for a short list.
    """
    row, by_site, n_cells = gain[u], cost.shape[0] > 0, key.shape[0]
    for c in range(n_cells):
        level = row[c] * weight[c]
        key[c] = level if level > F(0.0) else NOT_IN_REACH
    if by_site:
        for c in range(n_cells):
            key[c] = -cost[u, site_of_cell[c]] if key[c] > F(0.0) else NOT_IN_REACH
    for j in range(out.shape[0]):
        top = NOT_IN_REACH
        for c in range(n_cells):
            top = max(top, key[c])
        out[j] = -1
        if top == NOT_IN_REACH:
            continue
        best = 0
        while key[best] != top:
            best += 1
        if by_site:  # among the sectors of one site: by level
            n_equal = I(0)
            for c in range(n_cells):
                n_equal += I(key[c] == top)
            for c in range(best + 1, n_cells if n_equal > 1 else 0):
                if key[c] == top and row[c] * weight[c] > row[best] * weight[best]:
                    best = c
        out[j] = best
        key[best] = NOT_IN_REACH


@nb.njit(**FAST)
def first_choices(gain: Any, weight: Any, cost: Any, site_of_cell: Any, out_cell: Any, out_key: Any) -> None:
    """Every user's most liked cell (-1: none in reach) and how much it likes it, higher is better.

    Maxima and minima are taken first and their places looked up afterwards: a plain extremum
    vectorises, a search for its place does not.
    """
    n_users, n_cells = gain.shape
    n_sites = cost.shape[1]
    cell_at, cell_after = np.full(n_sites, -1, np.int32), np.empty(n_cells, np.int32)
    if cost.shape[0] > 0:
        for c in range(n_cells - 1, -1, -1):  # the cells of each site as a chain, lowest row first
            cell_after[c] = cell_at[site_of_cell[c]]
            cell_at[site_of_cell[c]] = c
    room = np.empty(n_cells, np.float32)
    for u in range(n_users):
        row, best, key = gain[u], I(-1), F(0.0)
        if cost.shape[0] == 0:
            for c in range(n_cells):
                key = max(key, row[c] * weight[c])
            if key > F(0.0):
                best = I(0)
                while row[best] * weight[best] != key:
                    best += I(1)
        else:
            near, n_equal = cost[u, 0], I(0)
            for s in range(n_sites):
                near = min(near, cost[u, s])
            for s in range(n_sites):
                n_equal += I(cost[u, s] == near)
            site = 0
            while cost[u, site] != near:
                site += 1
            c = cell_at[site]
            while c >= 0:
                if row[c] * weight[c] > key:
                    best, key = c, row[c] * weight[c]
                c = cell_after[c]
            if best < 0 or n_equal > 1:  # the nearest site does not serve this user, or is not the only one
                _list_candidates(u, gain, weight, cost, site_of_cell, room, out_cell[u : u + 1])
                best = out_cell[u]
            key = -cost[u, site_of_cell[best]] if best >= 0 else F(0.0)
        out_cell[u], out_key[u] = best, key


@nb.njit(**FAST)
def _need_w(u: Any, c: Any, gain: Any, noise_w: Any, min_snr: Any, min_power_w: Any) -> Any:
    """Power the cell promises this user, W."""
    return max(min_power_w, np.float64(min_snr[u]) * noise_w[c] / gain[u, c])


@nb.njit(**FAST)
def admit(
    gain: Any,
    weight: Any,
    cost: Any,
    site_of_cell: Any,
    order: Any,
    first: Any,
    places: Any,
    limit_w: Any,
    noise_w: Any,
    min_snr: Any,
    min_power_w: float,
    n_candidates: int,
    out_plan: Any,
) -> int:
    """The three phases of admission, repeated until nothing changes; returns the number of rounds.

    `out_plan` comes in as the places held so far (-1: none) of the users in `order`.
    """
    n_cells, n_users = gain.shape[1], len(order)
    load, promised_w = np.zeros(n_cells, np.int32), np.zeros(n_cells, np.float64)
    candidates = np.empty((n_users, n_candidates), np.int32)
    key = np.empty(n_cells, np.float32)
    listed = np.zeros(n_users, np.bool_)  # lists are made for those who do not get their first choice
    left_cell, left_w = np.empty(n_users, np.int32), np.empty(n_users, np.float64)

    for i in range(n_users):  # places held stay held where the cell still has them
        u = order[i]
        c = out_plan[u]
        out_plan[u] = -1
        if c < 0 or load[c] >= places[c] or gain[u, c] * weight[c] <= F(0.0):
            continue
        need = _need_w(u, c, gain, noise_w, min_snr, min_power_w)
        if c != first[u]:
            _list_candidates(u, gain, weight, cost, site_of_cell, key, candidates[i])
            listed[i] = True
            is_candidate = False
            for j in range(n_candidates):
                is_candidate |= candidates[i, j] == c
            if not is_candidate:
                continue
        if promised_w[c] + need <= limit_w[c]:
            out_plan[u] = c
            load[c] += 1
            promised_w[c] += need

    rounds, n_left = 0, 1
    while n_left > 0:  # where nobody left a place, loads have only grown: another round changes nothing
        rounds, n_left = rounds + 1, 0
        for i in range(n_users):
            u = order[i]
            held, c = out_plan[u], first[u]
            for j in range(n_candidates):  # phase (i): cells in sorted order
                if j > 0:
                    if not listed[i]:
                        _list_candidates(u, gain, weight, cost, site_of_cell, key, candidates[i])
                        listed[i] = True
                    c = candidates[i, j]
                if c < 0 or c == held:
                    break
                if load[c] >= places[c]:  # phase (ii): blocks, then power
                    continue
                need = _need_w(u, c, gain, noise_w, min_snr, min_power_w)
                if promised_w[c] + need > limit_w[c]:
                    continue
                load[c] += 1
                promised_w[c] += need
                out_plan[u] = c
                if held >= 0:
                    left_cell[n_left] = held
                    left_w[n_left] = _need_w(u, held, gain, noise_w, min_snr, min_power_w)
                    n_left += 1
                break
        for i in range(n_left):  # phase (iii): the plan is updated, and only now the places left are free
            load[left_cell[i]] -= 1
            promised_w[left_cell[i]] -= left_w[i]
    return rounds
