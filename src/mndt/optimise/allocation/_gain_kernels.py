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
"""Columns of `law`: dB at 1 m and dB a decade of the slant distance, see `pathloss.LossLaw`."""

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
    Each cell looks at the fields through a window of its own, moved by `shift`.
    """
    last = seen_below.size - 1
    for u in range(low, high):
        own_row, own_col = int(y_m[u] * per_pixel), int(x_m[u] * per_pixel)
        for c in range(cell_x_m.size):
            dx, dy = x_m[u] - cell_x_m[c], y_m[u] - cell_y_m[c]
            flat_m2 = dx * dx + dy * dy
            lg = F(0.5) * LG_PER_LOG2 * log2f(max(flat_m2 + law[c, RISE2_M2], F(1.0)))
            ground_m = np.sqrt(flat_m2)
            metre = min(int(ground_m), last)
            row, col = own_row + shift[c, 0], own_col + shift[c, 1]
            if cell_building[c] >= 0 and cell_building[c] == building[u]:
                field = inside[row, col]
                if field[SIGHT] < inside_seen_below[metre]:
                    loss = inside_law[INSIDE_SEEN] + inside_law[INSIDE_SEEN_SLOPE] * lg
                    loss += inside_sigma_db[LOS] * field[LOS]
                else:
                    loss = inside_law[INSIDE_HIDDEN] + inside_law[INSIDE_HIDDEN_SLOPE] * lg
                    loss = max(loss, inside_law[INSIDE_SEEN] + inside_law[INSIDE_SEEN_SLOPE] * lg)
                    loss += inside_sigma_db[NLOS] * field[NLOS]
            else:
                field = outside[row, col]
                near = ground_m <= law[c, BREAK_M]
                loss = law[c, NEAR] + law[c, NEAR_SLOPE] * lg if near else law[c, FAR] + law[c, FAR_SLOPE] * lg
                state = LOS
                if field[SIGHT] >= seen_below[metre]:
                    loss = max(loss, law[c, HIDDEN] + law[c, HIDDEN_SLOPE] * lg)
                    state = NLOS
                if cell_building[c] >= 0 or building[u] >= 0:
                    state = WALL
                loss += exit_db[c] + inside_db[u] + sigma_db[state] * field[state]
            out[u, c] = exp2f(-loss * LOG2_PER_DB)
