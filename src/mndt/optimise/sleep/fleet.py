"""Cells, grids and stations of a sleep problem, and what their states and switches cost.

A grid is an area whose cells can stand in for one another: its load is shared by those that are on in proportion
to capacity (paper, section IV-B). A station is off when all its cells are; it may have cells in two grids.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64, Shaped

Array = np.ndarray

CYCLE_H: Final = 0.5
"""Hours of idle power that an off-on cycle costs at `switching` 1: wear and risk, not energy. Assumed."""
SLEEP_CYCLE: Final = 0.2
"""Cost of waking up from sleep by that of starting. Assumed."""
BOOT_H: Final = 5 / 60
"""Hours at idle power that a start takes and consumes before the cell serves. Assumed."""
WAKE_H: Final = 1 / 60
"""Hours until a cell that sleeps serves when it is woken within a slot. Assumed."""


@dataclass(frozen=True)
class Fleet:
    """What does not change. Cells of a grid are neighbours in all arrays, grids in order.

    Watts are of the equipment; `cooling` W come on top of each of them (paper: air conditioner).
    """

    grid: Int64[Array, "cells"]  # 0 to grids - 1, ascending; every grid has cells
    station: Int64[Array, "cells"]
    kind: Shaped[Array, "cells"]  # name of the type of device
    capacity: Float64[Array, "cells"]  # units of traffic in a slot
    idle_w: Float64[Array, "cells"]  # on, without load
    load_w: Float64[Array, "cells"]  # more at full load
    sleep_w: Float64[Array, "cells"]
    bbu_w: Float64[Array, "stations"]  # of a station that is not off
    slot_s: int = 1800
    cooling: float = 0.21
    switching: float = 1.0  # scale of switching costs

    @property
    def n_grids(self) -> int:
        """Number of grids."""
        return int(self.grid[-1]) + 1

    @property
    def slot_h(self) -> float:
        """Length of a slot in hours."""
        return self.slot_s / 3600.0

    @cached_property
    def first(self) -> Int64[Array, "grids+1"]:
        """First cell of each grid, and one past the last."""
        return np.searchsorted(self.grid, np.arange(self.n_grids + 1)).astype(np.int64)

    @cached_property
    def idle_wh(self) -> Float64[Array, "cells"]:
        """Energy of a slot with cooling, on without load."""
        return (1.0 + self.cooling) * self.slot_h * self.idle_w

    @cached_property
    def load_wh(self) -> Float64[Array, "cells"]:
        """More at full load."""
        return (1.0 + self.cooling) * self.slot_h * self.load_w

    @cached_property
    def sleep_wh(self) -> Float64[Array, "cells"]:
        """Asleep."""
        return (1.0 + self.cooling) * self.slot_h * self.sleep_w

    @cached_property
    def bbu_wh(self) -> Float64[Array, "stations"]:
        """Of a station that is not off."""
        return (1.0 + self.cooling) * self.slot_h * self.bbu_w

    @cached_property
    def boot_wh(self) -> Float64[Array, "cells"]:
        """Energy of a start from off."""
        return (1.0 + self.cooling) * BOOT_H * self.idle_w

    @cached_property
    def start_wh(self) -> Float64[Array, "cells"]:
        """Switching cost of a way from off to on; to sleep it is less by `wake_wh`."""
        return self.switching * CYCLE_H * self.idle_w

    @cached_property
    def wake_wh(self) -> Float64[Array, "cells"]:
        """Switching cost of a way from sleep to on."""
        return SLEEP_CYCLE * self.start_wh

    @cached_property
    def station_wh(self) -> Float64[Array, "stations"]:
        """Switching cost of a station that starts."""
        return self.switching * CYCLE_H * self.bbu_w

    @cached_property
    def boot_loss(self) -> float:
        """Share of its first slot that a cell started within the slot does not serve."""
        return min(BOOT_H / self.slot_h, 1.0)

    @cached_property
    def wake_loss(self) -> float:
        """Share of the slot that a cell woken within it does not serve."""
        return min(WAKE_H / self.slot_h, 1.0)

    @cached_property
    def base_share(self) -> Float64[Array, "cells"]:
        """Share of a station's baseband that falls to each cell when all are on."""
        return np.asarray(1.0 / np.bincount(self.station, minlength=len(self.bbu_w))[self.station])

    @cached_property
    def grid_capacity(self) -> Float64[Array, "grids"]:
        """Of all its cells."""
        return np.bincount(self.grid, self.capacity)
