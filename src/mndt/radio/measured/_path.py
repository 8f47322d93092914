"""What stands along the straight line from an antenna to a user, in numba."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from mndt.radio._simd import FAST

NEAR_M = 60.0  # the last metres before the user, whose clutter counts most


@nb.njit(**FAST)
def walk(
    low: Any, high: Any, roof: Any, ground: Any, cell_m: Any, from_m: Any, to_m: Any, spacing_m: Any, out: Any
) -> None:
    """Rows low to high of out: built share of the line, share below the roofs, highest roof above the line
    in metres, built share of its last `NEAR_M`.

    from_m, to_m [rows, 3]: ends as x, y from the raster's corner and height above the common level.
    """
    rows, cols = roof.shape
    for i in range(low, high):
        dx, dy, dz = to_m[i, 0] - from_m[i, 0], to_m[i, 1] - from_m[i, 1], to_m[i, 2] - from_m[i, 2]
        length = np.sqrt(dx * dx + dy * dy)
        n = int(length / spacing_m) + 1
        built = blocked = close = near = 0.0
        above = 0.0
        for k in range(1, n):
            part = k / n
            col, row = int((from_m[i, 0] + dx * part) / cell_m), int((from_m[i, 1] + dy * part) / cell_m)
            is_near = (1.0 - part) * length < NEAR_M
            close += is_near
            if row < 0 or col < 0 or row >= rows or col >= cols or roof[row, col] <= 0.0:
                continue
            built += 1.0
            near += is_near
            rise = roof[row, col] + ground[row, col] - (from_m[i, 2] + dz * part)
            if rise > 0.0:
                blocked += 1.0
                above = max(above, rise)
        out[i, 0], out[i, 1] = built / max(n - 1, 1), blocked / max(n - 1, 1)
        out[i, 2], out[i, 3] = above, near / max(close, 1.0)
