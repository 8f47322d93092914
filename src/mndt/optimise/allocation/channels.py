"""Channels of the allocation scenarios: from where users stand to the gain of every link.

Large-scale gains only: a step of an episode lasts many seconds, over which fading averages out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import Float32

from mndt.parallel import by_rows
from mndt.radio import pathloss

if TYPE_CHECKING:
    from mndt.radio.aiming import GainMaps

Array = np.ndarray
F = np.float32


class Channel(Protocol):
    """What an episode needs of a channel."""

    @property
    def power_w(self) -> Float32[Array, "cells"]:
        """Largest power of every cell."""

    def gain(self, x_m: Float32[Array, "users"], y_m: Float32[Array, "users"]) -> Float32[Array, "users cells"]:
        """Linear gain of every link, C-contiguous."""


@dataclass(frozen=True)
class LogDistance:
    """Free space for the first metre, then 10 n lg(d): `pathloss.log_distance_db`."""

    power_w: Float32[Array, "cells"]
    x_m: Float32[Array, "cells"]
    y_m: Float32[Array, "cells"]
    exponent: float = 2.68
    carrier_ghz: float = 2.6  # 40.75 dB over the first metre
    rise_m: float = 5.0  # antenna above the users

    def gain(self, x_m: Float32[Array, "users"], y_m: Float32[Array, "users"]) -> Float32[Array, "users cells"]:
        """Linear gain of every link."""
        from mndt.optimise.allocation import _gain_kernels

        out = np.empty((len(x_m), len(self.x_m)), F)
        at_1_m = -float(pathloss.free_space_db(1.0, self.carrier_ghz)) * float(_gain_kernels.LOG2_PER_DB)
        by_rows(
            _gain_kernels.log_distance, len(x_m), x_m, y_m, self.x_m, self.y_m, F(self.rise_m**2), F(at_1_m),
            F(-0.5 * self.exponent), out,
        )  # fmt: skip
        return out


@dataclass(frozen=True)
class TracedCity:
    """Gain maps of a city: users are anywhere on the map, in streets and in buildings."""

    power_w: Float32[Array, "cells"]
    maps: GainMaps

    def gain(self, x_m: Float32[Array, "users"], y_m: Float32[Array, "users"]) -> Float32[Array, "users cells"]:
        """Linear gain of every link, of the pixel a user stands in."""
        from mndt.radio import _kernels

        level, n_cells = self.maps.level, self.maps.level.shape[2]
        found, rank = np.empty((len(x_m), n_cells), np.int16), np.empty(len(x_m), np.int32)
        out, no_rank = np.empty((len(x_m), n_cells), F), np.zeros(n_cells, np.int32)
        by_rows(_kernels.look_up, len(x_m), level, 1.0 / self.maps.cell_m, x_m, y_m, no_rank, found, rank)
        by_rows(_kernels.gains, len(x_m), found, out)
        return out


def traced_city(seed: int = 0) -> TracedCity:
    """The generated city of the paper's Table I with rays traced from its outdoor stations; kept in the map cache.

    Raises:
        InputError: the ray tracer is not installed.
    """
    from mndt.city.mending import mend
    from mndt.city.synthetic import synthetic_city
    from mndt.radio.maps import GainMaps, RadioParameters, build_maps

    city = mend(synthetic_city(seed=seed))
    maps = build_maps(city, RadioParameters(engine="fused"), seed=seed)
    level = np.ascontiguousarray(maps.level[:, :, maps.layers.of_cell])  # all its antennas are omnidirectional
    return TracedCity(city.cells.max_power_w.astype(F), GainMaps(maps.cell_m, level))
