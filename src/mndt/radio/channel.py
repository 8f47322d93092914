"""The radio channel between all users and all cells, second by second.

`Channel` is built once (gain maps, fading law, noise). `Channel.links` looks up where the users
stand now; the `Links` it returns answer everything the network asks within that second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from mndt.city.model import City
from mndt.radio.maps import GainMaps, RadioParameters, SiteMaps, aim, build_maps
from mndt.state import CellSettings, Status, Users
from mndt.units import noise_w

Array = np.ndarray


@dataclass(frozen=True)
class Links:
    """The links of one second.

    Methods import the kernels when called: numba takes a second to load, and settings are read without it.
    """

    gain: Float32[Array, "users cells"]  # large-scale, linear, antenna included
    sight: UInt8[Array, "users cells"]  # 1 = line of sight
    budget_w: Float32[Array, "cells"]  # power a cell may spend, 0 when asleep or off
    blocks: Int32[Array, "cells"]  # usable blocks, 0 when asleep or off
    block_hz: Float32[Array, "cells"]
    noise_w: Float32[Array, "cells"]  # in one block
    key: np.int32  # of this second's fading
    law: Float32[Array, "2 3"]
    table: Float32[Array, "2 nodes"] | None

    def even_power_w(self) -> Float32[Array, "cells"]:
        """Power per block when a cell spreads its budget evenly: what a pilot measures (RSRP)."""
        return np.asarray(self.budget_w / np.maximum(self.blocks, 1), dtype=np.float32)

    def wideband_sinr(self, serving: Int32[Array, "users"]) -> Float32[Array, "users"]:
        """SINR from the serving cell if every cell transmitted evenly, without fading; 0 unserved."""
        from mndt.radio import _kernels

        out = np.empty(len(self.gain), np.float32)
        _kernels.wideband_sinr(self.gain, self.even_power_w(), self.noise_w, serving, out)
        return out

    def own_fading(self, serving: Int32[Array, "users"]) -> Float32[Array, "users blocks"]:
        """Fading power on each block of a user's own link: exactly what `transmit` will apply."""
        from mndt.radio import _kernels

        n_blocks = int(self.blocks.max(initial=0))
        out = np.empty((len(self.gain), n_blocks), np.float32)
        _kernels.own_fading(self.key, serving, self.sight, self.law, self.table, n_blocks, out)
        return out

    def rsrp_w(self, serving: Int32[Array, "users"]) -> Float32[Array, "users"]:
        """Power received from the serving cell in one block when it transmits evenly; 0 unserved."""
        cell = np.maximum(serving, 0)
        received_w = self.gain[np.arange(len(serving)), cell] * self.even_power_w()[cell]
        return np.where(serving >= 0, received_w, np.float32(0.0))

    def transmit(
        self, user_of_block: Int32[Array, "cells blocks"], power_w: Float32[Array, "cells blocks"]
    ) -> tuple[Float32[Array, "cells blocks"], Float32[Array, "cells blocks"]]:
        """SINR and Shannon rate (bit/s) of every block; interference is counted block by block."""
        from mndt.radio import _kernels

        shape = user_of_block.shape
        sinr, rate_bps = np.empty(shape, np.float32), np.empty(shape, np.float32)
        _kernels.block_rates(
            self.gain, self.sight, user_of_block, power_w, np.ascontiguousarray(power_w.T),
            self.noise_w, self.block_hz, self.key, self.law, self.table, sinr, rate_bps,
        )  # fmt: skip
        return sinr, rate_bps


@dataclass(frozen=True)
class Channel:
    """Gain maps of a city with its fading and noise: the part of the world that radio needs."""

    city: City
    parameters: RadioParameters
    site_maps: SiteMaps
    maps: GainMaps  # aimed as built
    as_built: CellSettings
    law: Float32[Array, "2 3"]
    table: Float32[Array, "2 nodes"] | None
    noise_w: Float32[Array, "cells"]
    _aimed: dict[bytes, GainMaps] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def build(
        cls,
        city: City,
        parameters: RadioParameters,
        as_built: CellSettings,
        *,
        seed: int = 0,
        cache_dir: Path | None = None,
        n_jobs: int | None = None,
    ) -> Channel:
        """Trace or load the maps of a city and aim the antennas as built."""
        site_maps = build_maps(city, parameters, seed=seed, cache_dir=cache_dir, n_jobs=n_jobs)
        law = parameters.fading.coefficients()
        noise = [noise_w(hz, parameters.noise_figure_db) for hz in city.cells.block_hz]
        return cls(
            city=city,
            parameters=parameters,
            site_maps=site_maps,
            maps=aim(site_maps, city, as_built),
            as_built=as_built,
            law=np.zeros((2, 3), np.float32) if law is None else law,
            table=parameters.fading.tables() if law is None else None,
            noise_w=np.asarray(noise, dtype=np.float32),
        )

    def aimed(self, settings: CellSettings) -> GainMaps:
        """The maps with antennas turned to these settings; the last few turns are remembered."""
        pointing = _pointing(settings)
        if pointing == _pointing(self.as_built):
            return self.maps
        if pointing not in self._aimed:
            if len(self._aimed) >= 2:  # a full set of maps is large
                self._aimed.pop(next(iter(self._aimed)))
            self._aimed[pointing] = aim(self.site_maps, self.city, settings)
        return self._aimed[pointing]

    def links(self, users: Users, settings: CellSettings, key: np.uint32) -> Links:
        """Look up the gain of every (user, cell) where the users stand now."""
        from mndt.radio import _kernels

        maps, cells = self.aimed(settings), self.city.cells
        shape = (len(users), len(cells))
        gain, sight = np.empty(shape, np.float32), np.empty(shape, np.uint8)
        _kernels.look_up(maps.level, maps.cell_m, users.x_m, users.y_m, gain, sight)
        on = settings.status == Status.ON
        return Links(
            gain=gain,
            sight=sight,
            budget_w=np.where(on, settings.power_w, 0.0).astype(np.float32),
            blocks=np.where(on, cells.blocks, 0).astype(np.int32),
            block_hz=cells.block_hz.astype(np.float32),
            noise_w=self.noise_w,
            key=np.uint32(key).view(np.int32),
            law=self.law,
            table=self.table,
        )

    def distance_m(self, users: Users) -> Float32[Array, "users sites"]:
        """Plane distance of every user to every site."""
        from mndt.radio import _kernels

        sites = self.city.sites
        out = np.empty((len(users), len(sites)), np.float32)
        _kernels.distances(users.x_m, users.y_m, sites.x_m.astype(np.float32), sites.y_m.astype(np.float32), out)
        return out


def _pointing(settings: CellSettings) -> bytes:
    angles = (settings.azimuth_deg, settings.mechanical_tilt_deg, settings.electrical_tilt_deg)
    return b"".join(angle.tobytes() for angle in angles)
