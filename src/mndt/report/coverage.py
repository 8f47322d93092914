"""Coverage as built: the best cell's power at every spot, from the gain maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, Int32

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.radio.parameters import RadioParameters

Array = np.ndarray


@dataclass(frozen=True)
class Coverage:
    """Power of the best cell on one resource block, without fading; row 0 is the south."""

    rsrp_dbm: Float32[Array, "rows cols"]  # -inf where no cell transmits
    best_cell: Int32[Array, "rows cols"]  # -1 there
    indoor: Bool[Array, "rows cols"]
    cell_m: float

    def share_above(self, level_dbm: float, where: Bool[Array, "rows cols"] | None = None) -> float:
        """Share of the area, or of a part of it, with at least this power; nan of no area."""
        values = self.rsrp_dbm if where is None else self.rsrp_dbm[where]
        return float(np.mean(values >= level_dbm)) if values.size else float("nan")


def coverage_of(city: City, radio: RadioParameters, seed: int) -> Coverage:
    """Coverage of a network as built: full power, as installed, every cell on.

    Gain maps come from the cache; without them they are built anew, which takes its time.
    """
    from mndt.city.raster import rasterise
    from mndt.radio.maps import aim, build_maps, coverage_dbm
    from mndt.world import as_built

    site_maps = build_maps(city, radio, seed=seed)
    settings = as_built(city)
    maps = aim(site_maps, city, settings)
    rsrp_dbm, best_cell = coverage_dbm(maps, settings.power_w / city.cells.blocks)
    rows, cols = rsrp_dbm.shape
    indoor = rasterise(city.buildings, city.frame, maps.cell_m).building[:rows, :cols] >= 0
    return Coverage(rsrp_dbm, best_cell, indoor, maps.cell_m)
