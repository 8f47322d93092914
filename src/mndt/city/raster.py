"""Buildings as pixels: which building and which height at each place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, Int64

from mndt.city.model import Buildings, Frame
from mndt.errors import InputError

Array = np.ndarray


@dataclass(frozen=True)
class Raster:
    """Row 0 lies at y = 0, in the south; the centre of a pixel is ((col + 0.5) cell_m, (row + 0.5) cell_m)."""

    cell_m: float
    height_m: Float32[Array, "rows cols"]  # 0 outdoors
    building: Int32[Array, "rows cols"]  # row of Buildings, -1 outdoors

    def at(self, x_m: Float[Array, "points"], y_m: Float[Array, "points"]) -> Int32[Array, "points"]:
        """Building at each place, -1 outdoors and beyond the city."""
        rows, cols = self.building.shape
        with np.errstate(invalid="ignore"):
            col, row = np.floor(np.asarray(x_m) / self.cell_m), np.floor(np.asarray(y_m) / self.cell_m)
        inside = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
        found = self.building[np.where(inside, row, 0).astype(np.int64), np.where(inside, col, 0).astype(np.int64)]
        return np.where(inside, found, np.int32(-1))


class Facade(NamedTuple):
    """The nearest outdoor pixel of every indoor pixel, through which radio waves come in.

    Entry i belongs to the i-th indoor pixel in the order of ``np.nonzero(raster.building >= 0)``.
    """

    row: Int32[Array, "indoor"]  # of the outdoor pixel
    col: Int32[Array, "indoor"]
    depth_m: Float32[Array, "indoor"]  # from the indoor pixel's centre to the wall


def rasterise(buildings: Buildings, frame: Frame, cell_m: float) -> Raster:
    """Fill footprints into a grid that covers the frame.

    A pixel is indoors if its centre lies within a building by the even-odd rule, so courtyards stay
    open. Where buildings overlap the highest counts.

    Args:
        buildings: footprints and heights.
        frame: extent of the city.
        cell_m: edge of a pixel, above 0.

    Raises:
        InputError: `cell_m` is not a positive number.
    """
    if not 0 < cell_m < np.inf:
        raise InputError("cell_m", cell_m, allowed="above 0 m", fix="2 m resolves streets")
    shape = (max(1, int(np.ceil(frame.depth_m / cell_m))), max(1, int(np.ceil(frame.width_m / cell_m))))
    height, building = np.zeros(shape, np.float32), np.full(shape, -1, np.int32)
    _fill(
        buildings.point_x_m.astype(np.float64) / cell_m - 0.5,
        buildings.point_y_m.astype(np.float64) / cell_m - 0.5,
        buildings.point_start.astype(np.int64),
        buildings.ring_start.astype(np.int64),
        buildings.height_m.astype(np.float32),
        height,
        building,
    )
    return Raster(float(cell_m), height, building)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    x: Float[Array, "points"],
    y: Float[Array, "points"],
    point_start: Int64[Array, "rings_plus_1"],
    ring_start: Int64[Array, "buildings_plus_1"],
    height_m: Float32[Array, "buildings"],
    height: Float32[Array, "rows cols"],
    building: Int32[Array, "rows cols"],
) -> None:
    """Scan lines through pixel centres; coordinates in pixels, centres at whole numbers."""
    rows, cols = height.shape
    crossing = np.empty(len(x) + 1, np.float64)
    for b in range(len(height_m)):
        first, last = point_start[ring_start[b]], point_start[ring_start[b + 1]]
        if first == last:
            continue
        bottom = max(0, int(np.ceil(y[first:last].min())))
        top = min(rows - 1, int(np.floor(y[first:last].max())))
        for row in range(bottom, top + 1):
            n = 0
            for ring in range(ring_start[b], ring_start[b + 1]):
                j = point_start[ring + 1] - 1
                for i in range(point_start[ring], point_start[ring + 1]):
                    if (y[i] > row) != (y[j] > row):
                        crossing[n] = x[i] + (row - y[i]) / (y[j] - y[i]) * (x[j] - x[i])
                        n += 1
                    j = i
            ordered = np.sort(crossing[:n])
            for k in range(0, n - 1, 2):
                for col in range(max(0, int(np.ceil(ordered[k]))), min(cols - 1, int(np.floor(ordered[k + 1]))) + 1):
                    if building[row, col] < 0 or height_m[b] > height[row, col]:
                        height[row, col] = height_m[b]
                        building[row, col] = b


def facade(raster: Raster) -> Facade:
    """For every indoor pixel the nearest outdoor pixel and how deep inside it lies.

    The wall runs between the last indoor and the first outdoor centre, hence half a pixel is taken
    off their distance. In a city built over without a gap there is none: depth is infinite and the
    outdoor pixel is the indoor one itself.
    """
    from scipy.ndimage import distance_transform_edt

    indoor: Bool[Array, "rows cols"] = raster.building >= 0
    row, col = np.nonzero(indoor)
    if indoor.all():
        return Facade(row.astype(np.int32), col.astype(np.int32), np.full(len(row), np.inf, np.float32))
    distance, nearest = distance_transform_edt(indoor, return_indices=True)
    depth = np.maximum((distance[row, col] - 0.5) * raster.cell_m, 0.0).astype(np.float32)
    return Facade(nearest[0, row, col].astype(np.int32), nearest[1, row, col].astype(np.int32), depth)
