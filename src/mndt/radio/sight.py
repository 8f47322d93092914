"""Line of sight over the real footprints: is the straight line from antenna to user above every roof?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

Array = np.ndarray


def sight_map(
    roof_m: Float32[Array, "roof_rows roof_cols"],
    roof_building: Int32[Array, "roof_rows roof_cols"],
    roof_cell_m: float,
    x_m: float,
    y_m: float,
    height_m: float,
    *,
    own: int,
    user_height_m: float,
    pixel_m: float,
    wanted: Bool[Array, "rows cols"],
) -> UInt8[Array, "rows cols"]:
    """Which pixels a station sees.

    Args:
        roof_m: building heights on a fine raster, 0 outdoors; row 0 is the south.
        roof_building: the building of each of its cells, -1 outdoors.
        roof_cell_m: edge of its cells.
        x_m, y_m, height_m: the antenna.
        own: a transparent building, -1 for none. An antenna on a roof stands at its edge, and the
            walls around an indoor station are counted as entry loss.
        user_height_m: height of the other end.
        pixel_m: edge of a map pixel.
        wanted: pixels to decide; the others are 0.
    """
    from mndt.radio import _map_kernels

    out = np.zeros(wanted.shape, np.uint8)
    _map_kernels.mark_sight(
        roof_m, roof_building, np.int32(own), float(roof_m.max(initial=0.0)), float(roof_cell_m),
        float(x_m), float(y_m), float(height_m),
        float(user_height_m), float(pixel_m), wanted.view(np.uint8), out,
    )  # fmt: skip
    return out


def sees(
    roof_m: Float32[Array, "rows cols"],
    roof_cell_m: float,
    user_m: tuple[float, float, float],
    antenna_m: tuple[float, float, float],
    spacing_m: float = 0.05,
) -> bool:
    """The slow plain reference of one link: sample the line every few centimetres.

    Both ends are (x, y, height). The first half cell from the user does not count.
    """
    start, end = np.asarray(user_m, float), np.asarray(antenna_m, float)
    ground_m = float(np.hypot(*(end - start)[:2]))
    share = np.linspace(0.0, 1.0, int(ground_m / spacing_m) + 2)
    x, y, z = (start + share[:, None] * (end - start)).T
    col, row = (np.floor(v / roof_cell_m).astype(int) for v in (x, y))
    inside = (col >= 0) & (row >= 0) & (col < roof_m.shape[1]) & (row < roof_m.shape[0])
    inside &= share * ground_m > 0.5 * roof_cell_m
    return not bool(np.any(roof_m[row[inside], col[inside]] > z[inside]))
