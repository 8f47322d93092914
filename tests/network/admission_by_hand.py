"""Admission as the paper tells it, in plain Python: slow, and written to be compared with."""

from __future__ import annotations

from itertools import product

import numpy as np


def steps(gain, budget_w, blocks):
    """Received power per block in whole steps of 1/64 dB, gain and power rounded each on its own."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.rint(640 * np.log10(gain)) + np.rint(640 * np.log10(budget_w / blocks))


def wishes(u, *, gain, budget_w, blocks, site_of_cell, squared_m2, nearest):
    """Cells in reach of user u, most liked first."""
    level = {
        c: int(steps(np.float64(gain[u, c]), budget_w[c], blocks[c]))
        for c in range(gain.shape[1])
        if blocks[c] > 0 and budget_w[c] > 0 and gain[u, c] > 0
    }
    if nearest:
        return sorted(level, key=lambda c: (squared_m2[u, site_of_cell[c]], -level[c], c))
    return sorted(level, key=lambda c: (-level[c], c))


def score(u, liked, *, gain, budget_w, blocks, site_of_cell, squared_m2, nearest):
    """Lower comes first in the queue."""
    c = liked[0]
    return squared_m2[u, site_of_cell[c]] if nearest else -int(steps(np.float64(gain[u, c]), budget_w[c], blocks[c]))


def admission(nearest, *, noise_w, active, serving, places, min_power_w, min_snr, n_candidates, **radio):
    """Serving cell of every user by the three phases, repeated until nothing changes."""
    gain, budget_w = radio["gain"], radio["budget_w"]
    users = range(len(gain))
    liked = {u: wishes(u, nearest=nearest, **radio) for u in users}
    plan = dict.fromkeys(users, -1)
    queue = sorted(
        (u for u in users if active[u] and liked[u]), key=lambda u: (score(u, liked[u], nearest=nearest, **radio), u)
    )
    load = [[] for _ in budget_w]  # what each cell promised, one entry a user

    def need(u, c):
        return max(
            min_power_w,
            float(min_snr[u]) * float(noise_w[c]) / 10 ** (round(640 * float(np.log10(float(gain[u, c])))) / 640),
        )

    def eligible(u, c):
        return len(load[c]) < places[c] and sum(load[c]) + need(u, c) <= budget_w[c] * (1 + 1e-6)

    for u in queue:
        if serving[u] in liked[u][:n_candidates] and eligible(u, serving[u]):
            plan[u] = serving[u]
            load[serving[u]].append(need(u, serving[u]))
    changed = True
    while changed:
        changed, left = False, []
        for u in queue:
            for c in liked[u][:n_candidates]:
                if c == plan[u]:
                    break
                if eligible(u, c):
                    load[c].append(need(u, c))
                    if plan[u] >= 0:
                        left.append((plan[u], need(u, plan[u])))
                    plan[u], changed = c, True
                    break
        for c, power_w in left:
            load[c].remove(power_w)
    return [plan[u] if active[u] else (liked[u] or [-1])[0] for u in users]


def best_assignment(queue, liked, places):
    """Of all assignments within the places, the one that is best for the first of the queue, then
    for the second, and so on: found by trying every one."""
    best = None
    for cells in product(*[[*liked[u], -1] for u in queue]):
        if all(cells.count(c) <= places[c] for c in set(cells) - {-1}):
            ranks = [liked[u].index(c) if c >= 0 else len(liked[u]) for u, c in zip(queue, cells, strict=True)]
            if best is None or ranks < best[0]:
                best = (ranks, cells)
    return dict(zip(queue, best[1], strict=True))
