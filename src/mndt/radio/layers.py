"""Places of transmission, and how a gain is packed on a map.

A layer is a site, carrier and antenna height; the cells that share them share its loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int16, Int32

from mndt.city.model import City

Array = np.ndarray

STEPS_PER_DB: Final = 64
LARGEST_DB: Final = 255.0


def encode(gain_db: Array, line_of_sight: Array) -> Int16[Array, "..."]:
    """Pack gains in steps of 1/64 dB, limited to +-255 dB, with line of sight in the lowest bit."""
    steps = np.rint(np.clip(gain_db, -LARGEST_DB, LARGEST_DB) * STEPS_PER_DB).astype(np.int16)
    return np.asarray(2 * steps + np.asarray(line_of_sight, np.int16), dtype=np.int16)


@dataclass(frozen=True)
class Layers:
    """Places of transmission: unique (site, carrier, height), in order of their first cell."""

    site: Int32[Array, "layers"]
    carrier_ghz: Float64[Array, "layers"]
    height_m: Float64[Array, "layers"]
    x_m: Float64[Array, "layers"]
    y_m: Float64[Array, "layers"]
    of_cell: Int32[Array, "cells"]

    def __len__(self) -> int:
        return len(self.site)


def layers_of(city: City) -> Layers:
    """Group the cells of a city by site, carrier and antenna height."""
    cells, sites = city.cells, city.sites
    columns = (cells.site, np.asarray(cells.carrier_hz) / 1e9, cells.height_m)
    places = np.column_stack([np.asarray(column, np.float64) for column in columns]).reshape(-1, 3)
    unique, first, inverse = np.unique(places, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    unique, of_cell = unique[order], np.argsort(order)[inverse.ravel()]
    site = unique[:, 0].astype(np.int32)
    x_m, y_m = (np.asarray(column, np.float64)[site] for column in (sites.x_m, sites.y_m))
    return Layers(site, unique[:, 1], unique[:, 2], x_m, y_m, of_cell.astype(np.int32))
