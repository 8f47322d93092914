"""Gains of all links where users stand, in fused numba: the channels of `mndt.optimise.allocation.channels`.

Conventions: row u a user, column c a cell. Every kernel works on the rows `low` to `high` and writes only
into `out`.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, exp2f, log2f

LOG2_PER_DB: Final = F(np.log2(10.0) / 10.0)
LG_PER_LOG2: Final = F(np.log10(2.0))

SIGHT, LOS, NLOS, WALL = 0, 1, 2, 3
"""Layers of the fields `outside`: state of line of sight, shadowing with, without, and through a wall."""

NEAR, NEAR_SLOPE, FAR, FAR_SLOPE, HIDDEN, HIDDEN_SLOPE, BREAK_M, RISE2_M2 = 0, 1, 2, 3, 4, 5, 6, 7
"""Rows of `law`: dB at 1 m and dB a decade of the slant distance, see `pathloss.LossLaw`."""

INSIDE_SEEN, INSIDE_SEEN_SLOPE, INSIDE_HIDDEN, INSIDE_HIDDEN_SLOPE = 0, 1, 2, 3
"""The law inside a station's own building, dB at 1 m and dB a decade."""


@nb.njit(**FAST)
def log_distance(
    low: int, high: int, x_m: Any, y_m: Any, cell_x_m: Any, cell_y_m: Any, rise2_m2: Any, at_1_m: Any, slope: Any,
    out: Any,
) -> None:  # fmt: skip
    """``2^(at_1_m + slope log2(d^2))`` with d the straight distance in metres."""
    for u in range(low, high):
        row = out[u]
        for c in range(cell_x_m.size):
            dx, dy = x_m[u] - cell_x_m[c], y_m[u] - cell_y_m[c]
            row[c] = exp2f(at_1_m + slope * log2f(dx * dx + dy * dy + rise2_m2))


@nb.njit(**FAST)
def street_grid(
    low: int, high: int, x_m: Any, y_m: Any, building: Any, inside_db: Any, cell_x_m: Any, cell_y_m: Any,
    cell_building: Any, exit_db: Any, law: Any, inside_law: Any, seen_below: Any, inside_seen_below: Any, sigma_db: Any,
    inside_sigma_db: Any, outside: Any, inside: Any, shift: Any, per_pixel: Any, out: Any,
) -> None:  # fmt: skip
    """Loss over the street, walls and shadowing; inside a station's own building the law of rooms.

    A link is in sight where its field of states lies below `seen_below` at its whole metres of distance.
    Fields are in steps, a byte each; so are thresholds, and deviations are dB a step.
    Each cell looks at the fields through a window of its own, moved by `shift`.
    """
    last, n_cells = seen_below.size - 1, cell_x_m.size
    ground_m, loss_db = np.empty(n_cells, np.float32), np.empty(n_cells, np.float32)
    near_db, hidden_db = np.empty(n_cells, np.float32), np.empty(n_cells, np.float32)
    for u in range(low, high):
        own_row, own_col = int(y_m[u] * per_pixel), int(x_m[u] * per_pixel)
        for c in range(n_cells):  # a loop without look-ups, which the compiler vectorises
            dx, dy = x_m[u] - cell_x_m[c], y_m[u] - cell_y_m[c]
            flat_m2 = dx * dx + dy * dy
            lg = F(0.5) * LG_PER_LOG2 * log2f(flat_m2 + law[RISE2_M2, c])
            ground_m[c] = np.sqrt(flat_m2)
            near = law[NEAR, c] + law[NEAR_SLOPE, c] * lg
            near = near if ground_m[c] <= law[BREAK_M, c] else law[FAR, c] + law[FAR_SLOPE, c] * lg
            near_db[c] = near
            hidden_db[c] = max(near, law[HIDDEN, c] + law[HIDDEN_SLOPE, c] * lg)
        for c in range(n_cells):
            field = outside[own_row + shift[c, 0], own_col + shift[c, 1]]
            seen = field[SIGHT] < seen_below[min(int(ground_m[c]), last)]
            through = cell_building[c] >= 0 or building[u] >= 0
            shadow_db = sigma_db[LOS] * field[LOS] if seen else sigma_db[NLOS] * field[NLOS]
            shadow_db = sigma_db[WALL] * field[WALL] if through else shadow_db
            loss_db[c] = (near_db[c] if seen else hidden_db[c]) + shadow_db + exit_db[c] + inside_db[u]
        if building[u] >= 0:
            for c in range(n_cells):
                if cell_building[c] == building[u]:
                    dx, dy = x_m[u] - cell_x_m[c], y_m[u] - cell_y_m[c]
                    lg = F(0.5) * LG_PER_LOG2 * log2f(max(dx * dx + dy * dy + law[RISE2_M2, c], F(1.0)))
                    field = inside[own_row + shift[c, 0], own_col + shift[c, 1]]
                    loss = inside_law[INSIDE_SEEN] + inside_law[INSIDE_SEEN_SLOPE] * lg
                    if field[SIGHT] < inside_seen_below[min(int(ground_m[c]), last)]:
                        loss_db[c] = loss + inside_sigma_db[LOS] * field[LOS]
                    else:
                        loss = max(loss, inside_law[INSIDE_HIDDEN] + inside_law[INSIDE_HIDDEN_SLOPE] * lg)
                        loss_db[c] = loss + inside_sigma_db[NLOS] * field[NLOS]
        row = out[u]
        for c in range(n_cells):
            row[c] = exp2f(-loss_db[c] * LOG2_PER_DB)
