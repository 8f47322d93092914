"""The work on whole maps in numba: line of sight and large-scale loss.

Plain references: `radio.sight.sees`, `radio.pathloss.LossLaw.loss_db`.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

_jit = nb.njit(cache=True, nogil=True, error_model="numpy")
_F = np.float32
_LARGEST = 255 * 64  # of |gain| in steps of 1/64 dB


@_jit
def mark_sight(
    roof_m: Any,
    roof_building: Any,
    own: Any,
    top_m: Any,
    roof_cell_m: Any,
    x_m: Any,
    y_m: Any,
    height_m: Any,
    user_m: Any,
    pixel_m: Any,
    wanted: Any,
    out: Any,
) -> None:
    """out[row, col] = 1 where the straight line from the user to the antenna is above every roof.

    Visits every raster cell the line crosses (Amanatides and Woo 1987), from the user's end, where
    most lines are blocked. Cells that begin within half a cell of the user do not count: the raster's
    edge of a wall may lie on the pixel. Building `own` is transparent. No roof is above `top_m`.
    Pixels with wanted = 0 are left alone.
    """
    rows, cols = roof_m.shape
    per_cell = 1.0 / roof_cell_m
    rise_m = height_m - user_m
    for row in range(out.shape[0]):
        for col in range(out.shape[1]):
            if wanted[row, col] == 0:
                continue
            x = (col + 0.5) * pixel_m * per_cell
            y = (row + 0.5) * pixel_m * per_cell
            dx = x_m * per_cell - x
            dy = y_m * per_cell - y
            i, j = int(np.floor(x)), int(np.floor(y))
            step_i, step_j = (1 if dx > 0 else -1), (1 if dy > 0 else -1)
            delta_i = abs(1.0 / dx) if dx != 0 else np.inf
            delta_j = abs(1.0 / dy) if dy != 0 else np.inf
            next_i = ((i + 1 - x) if dx > 0 else (x - i)) * delta_i if dx != 0 else np.inf
            next_j = ((j + 1 - y) if dy > 0 else (y - j)) * delta_j if dy != 0 else np.inf
            ignored = 0.5 / max(np.sqrt(dx * dx + dy * dy), 1e-9)
            begin = 0.0  # share of the way to the antenna
            clear = 1
            while begin < 1.0 and 0 <= i < cols and 0 <= j < rows:
                end = min(next_i, next_j, 1.0)
                low_m = user_m + rise_m * (begin if rise_m > 0 else end)
                if rise_m > 0 and low_m > top_m:
                    break
                if roof_m[j, i] > low_m and begin >= ignored and (own < 0 or roof_building[j, i] != own):
                    clear = 0
                    break
                begin = end
                if next_i < next_j:
                    next_i += delta_i
                    i += step_i
                else:
                    next_j += delta_j
                    j += step_j
            out[row, col] = clear


@_jit
def _law_db(law: Any, ground_m: Any, slant_m: Any, los: Any) -> Any:
    """`pathloss.LossLaw.loss_db` on its eight numbers."""
    lg = np.log10(slant_m)
    loss = law[0] + law[1] * lg + law[2] * slant_m if ground_m <= law[7] else law[3] + law[4] * lg
    return loss if los else max(loss, law[5] + law[6] * lg)


@_jit
def write_loss(
    building: Any,
    facade_row: Any,
    facade_col: Any,
    depth_m: Any,
    sight: Any,
    pixel_m: Any,
    x_m: Any,
    y_m: Any,
    rise_m: Any,
    law: Any,
    sigma_db: Any,
    los_field: Any,
    nlos_field: Any,
    wall_field: Any,
    shadowed: Any,
    own: Any,
    exit_db: Any,
    wall_db: Any,
    inside_db_per_m: Any,
    level: Any,
    layer: Any,
) -> None:
    """level[row, col, layer] of every pixel outside the station's own building.

    A pixel in a building takes the state of its facade pixel, the loss over its own distance, the
    wall and the way inside. A link through any wall has the shadowing of that state and no sight.
    """
    for row in range(building.shape[0]):
        for col in range(building.shape[1]):
            inside = building[row, col]
            if own >= 0 and inside == own:
                continue
            dx = (_F(col) + _F(0.5)) * pixel_m - x_m
            dy = (_F(row) + _F(0.5)) * pixel_m - y_m
            ground_m = np.sqrt(dx * dx + dy * dy)
            slant_m = max(np.sqrt(ground_m * ground_m + rise_m * rise_m), _F(1.0))
            los = sight[facade_row[row, col], facade_col[row, col]]
            loss = _law_db(law, ground_m, slant_m, los) + exit_db
            if inside >= 0:
                loss += wall_db[inside] + inside_db_per_m * depth_m[row, col]
            if inside >= 0 or own >= 0:
                los = 0
                if shadowed:
                    loss += sigma_db[3] * wall_field[row, col]
            elif shadowed and los:
                loss += (sigma_db[0] if ground_m <= law[7] else sigma_db[1]) * los_field[row, col]
            elif shadowed:
                loss += sigma_db[2] * nlos_field[row, col]
            steps: Any = min(max(np.int32(np.rint(-loss * _F(64.0))), -_LARGEST), _LARGEST)
            level[row, col, layer] = np.int16(2 * steps + los)
