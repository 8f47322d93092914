"""The three tables that a fit starts from: what was measured, the cells, the ground they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

Array = np.ndarray

BUILT_M = 2.0
"""Height above the ground from which a raster value counts as a building."""


@dataclass(frozen=True)
class Samples:
    """Measured levels, one row for each report (or mean of reports) of a cell at a place."""

    cell: Int32[Array, "rows"]  # row of MeasuredCells
    x_m: Float64[Array, "rows"]
    y_m: Float64[Array, "rows"]
    rsrp_dbm: Float64[Array, "rows"]

    def __len__(self) -> int:
        return len(self.cell)

    def at(self, rows: Bool[Array, "rows"] | Int64[Array, "chosen"]) -> Samples:
        """Some of the rows."""
        return Samples(self.cell[rows], self.x_m[rows], self.y_m[rows], self.rsrp_dbm[rows])


@dataclass(frozen=True)
class MeasuredCells:
    """Cells as the inventory has them, in the frame of the samples."""

    name: tuple[str, ...]
    site: Int32[Array, "cells"]  # cells of one place share it
    x_m: Float64[Array, "cells"]
    y_m: Float64[Array, "cells"]
    height_m: Float64[Array, "cells"]  # above ground
    azimuth_deg: Float64[Array, "cells"]
    mechanical_tilt_deg: Float64[Array, "cells"]
    electrical_tilt_deg: Float64[Array, "cells"]
    power_dbm: Float64[Array, "cells"]
    carrier_ghz: Float64[Array, "cells"]
    omni: Bool[Array, "cells"]

    def __len__(self) -> int:
        return len(self.site)


class Pixels(NamedTuple):
    """Where places lie on a raster."""

    row: Int64[Array, "places"]
    col: Int64[Array, "places"]
    inside: Bool[Array, "places"]  # False: beyond the raster; row and col are the nearest pixel's


@dataclass(frozen=True)
class Ground:
    """Ground and buildings as a raster; row 0 is the south, pixel (0, 0) has its corner at (west_m, south_m)."""

    cell_m: float
    west_m: float
    south_m: float
    roof_m: Float32[Array, "rows cols"]  # above the ground, 0 outdoors
    ground_m: Float32[Array, "rows cols"]  # above any common level
    building: Int32[Array, "rows cols"]  # -1 outdoors

    def pixels(self, x_m: Float64[Array, "places"], y_m: Float64[Array, "places"]) -> Pixels:
        """The pixel of each place, or the nearest where it lies beyond."""
        rows, cols = self.roof_m.shape
        col = np.floor((np.asarray(x_m) - self.west_m) / self.cell_m)
        row = np.floor((np.asarray(y_m) - self.south_m) / self.cell_m)
        inside = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
        return Pixels(np.clip(row, 0, rows - 1).astype(np.int64), np.clip(col, 0, cols - 1).astype(np.int64), inside)

    @cached_property
    def is_bare(self) -> bool:
        """Whether it knows of no building at all."""
        return not bool((self.building >= 0).any())


def ground_of(
    cell_m: float,
    west_m: float,
    south_m: float,
    roof_m: Float32[Array, "rows cols"],
    ground_m: Float32[Array, "rows cols"] | None = None,
    building: Int32[Array, "rows cols"] | None = None,
) -> Ground:
    """A `Ground` of rasters; pixels of one height above `BUILT_M` that touch are one building if none are given.

    Where a value is not finite the ground is the mean of the others and there is no building.
    """
    from scipy.ndimage import label

    roof = np.where(np.isfinite(roof_m) & (roof_m >= BUILT_M), roof_m, 0.0).astype(np.float32)
    level = np.zeros_like(roof) if ground_m is None else np.asarray(ground_m, np.float32)
    known = np.isfinite(level)
    level = np.where(known, level, level[known].mean() if known.any() else 0.0).astype(np.float32)
    if building is None:
        building = (label(roof > 0)[0] - 1).astype(np.int32)
    return Ground(float(cell_m), float(west_m), float(south_m), roof, level, np.where(roof > 0, building, np.int32(-1)))


def bare_ground(samples: Samples, cells: MeasuredCells, cell_m: float = 10.0) -> Ground:
    """Flat ground without buildings around all samples and cells: for operators without terrain data."""
    x, y = np.concatenate((samples.x_m, cells.x_m)), np.concatenate((samples.y_m, cells.y_m))
    west, south = x.min() - cell_m, y.min() - cell_m
    longest = max(float(np.ptp(x)), float(np.ptp(y)))
    cell_m = max(cell_m, longest / 2000.0)
    shape = int((y.max() - south) / cell_m) + 2, int((x.max() - west) / cell_m) + 2
    return ground_of(cell_m, west, south, np.zeros(shape, np.float32))
