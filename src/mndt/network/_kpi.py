"""One pass over the users and one over the blocks: the sums behind the KPIs.

Sums are double precision and in the order of the rows, so they do not depend on threads.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, I

# Columns of the sums over users, per cell and per area.
RATE, OFFERED, DELIVERED, WAITING = range(4)
USERS, CONNECTED, SATISFIED, BELOW, REFUSED = range(5)
AREA_OFFERED, AREA_DELIVERED = range(2)
IN_AREA, ACTIVE, ADMITTED, OUTAGE = range(4)


@nb.njit(**FAST)
def sum_users(
    serving: Any, wanted: Any, area: Any, present: Any, active: Any, rate_bps: Any, minimum_bps: Any, backlog: Any,
    offered: Any, delivered: Any, outage: Any, flow: Any, count: Any, area_flow: Any, area_count: Any,
) -> tuple[float, float, int, int]:  # fmt: skip
    """Who is in outage, and the sums per cell and area. The last five arguments are written.

    Args:
        flow: float64[cells, 4], zeros.
        count: int32[cells, 5], zeros.
        area_flow: float64[areas + 1, 2], zeros; the last row is the way.
        area_count: int32[areas + 1, 4], zeros.

    Returns:
        Bits waiting and delivered, users active and in outage.
    """
    waiting_sum, delivered_sum, n_active, n_outage = 0.0, 0.0, 0, 0
    for u in range(len(serving)):
        outage[u] = False
        if not present[u]:
            continue
        c, a = serving[u], area[u] if area[u] >= 0 else len(area_flow) - 1
        area_count[a, IN_AREA] += I(1)
        if c >= 0:
            count[c, USERS] += I(1)
        new, got = offered[u], delivered[u]
        waiting = backlog[u] + new
        waiting_sum += waiting
        delivered_sum += got
        area_flow[a, AREA_OFFERED] += new
        area_flow[a, AREA_DELIVERED] += got
        if not active[u]:
            continue
        # A user whose last few bits all went out is served, however low the rate that took.
        below = c < 0 or rate_bps[u] < min(minimum_bps[u], waiting)
        n_active += 1
        area_count[a, ACTIVE] += I(1)
        if below:
            outage[u] = True
            n_outage += 1
            area_count[a, OUTAGE] += I(1)
        if c >= 0:
            area_count[a, ADMITTED] += I(1)
            count[c, CONNECTED] += I(1)
            count[c, SATISFIED] += I(got >= waiting)
            count[c, BELOW] += I(below)
            flow[c, RATE] += rate_bps[u]
            flow[c, DELIVERED] += got
        else:
            c = wanted[u]
            if c >= 0:
                count[c, REFUSED] += I(1)
        if c >= 0:
            flow[c, OFFERED] += new
            flow[c, WAITING] += waiting
    return waiting_sum, delivered_sum, n_active, n_outage


@nb.njit(**FAST)
def sum_blocks(
    user_of_block: Any, rate_bps: Any, sinr: Any, power_w: Any, sums: Any, held: Any, cell_power_w: Any, used: Any
) -> None:
    """Sums of rate and SINR over each user's blocks, its blocks, and each cell's power and used blocks.

    Args:
        user_of_block: int32[cells, blocks], -1 = free.
        rate_bps, sinr, power_w: float32[cells, blocks].
        sums: float64[users, 2], zeros; gets rate and SINR.
        held: int32[users], zeros; gets the blocks held.
        cell_power_w: float32[cells], written.
        used: int32[cells], written.
    """
    n_cells, n_blocks = user_of_block.shape
    for c in range(n_cells):
        count, power = I(0), 0.0
        for k in range(n_blocks):
            power += power_w[c, k]
            u = user_of_block[c, k]
            if u >= 0:
                count += I(1)
                held[u] += I(1)
                sums[u, 0] += rate_bps[c, k]
                sums[u, 1] += sinr[c, k]
        cell_power_w[c] = F(power)
        used[c] = count


@nb.njit(**FAST)
def mean_and_sum(sums: Any, held: Any, rate_bps: Any, sinr: Any) -> None:
    """Each user's rate and the mean SINR of its blocks, in single precision; 0 without a block."""
    for u in range(len(held)):
        rate_bps[u] = F(sums[u, 0])
        sinr[u] = F(sums[u, 1] / np.float64(max(held[u], I(1))))
