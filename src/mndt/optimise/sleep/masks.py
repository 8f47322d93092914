"""The two masks of the paper: what matters to a cell about all others."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int8

from mndt.optimise.sleep.fleet import Fleet
from mndt.state import Status

Array = np.ndarray


def masks(
    fleet: Fleet, status: Int8[Array, "cells"], demand: Float64[Array, "grids"]
) -> tuple[Bool[Array, "cells"], Bool[Array, "cells"]]:
    """Whether a cell's grid is served without it, and whether its station closes if it does (section IV-B).

    Args:
        fleet: of the problem.
        status: of all cells.
        demand: that is to be served.
    """
    room = np.where(status == Status.ON, fleet.capacity, 0.0)
    others = np.bincount(fleet.grid, room)[fleet.grid] - room
    live = (status != Status.OFF).astype(np.int64)
    beside = np.bincount(fleet.station, live, len(fleet.bbu_w))[fleet.station] - live
    return np.asarray(others >= demand[fleet.grid]), np.asarray(beside == 0)
