"""The radio channel between all users and all cells, second by second.

`Channel` is built once (gain maps, fading law, noise). `Channel.links` looks up where the users
stand now; the `Links` it returns answer everything the network asks within that second.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, Float32, Int, Int16, Int32
from numpy.typing import ArrayLike

from mndt.city.model import City
from mndt.errors import InputError
from mndt.parallel import by_rows
from mndt.radio.doppler import fading_keys
from mndt.radio.fading import BANK_SIZE, FadingLaw
from mndt.radio.maps import GainMaps, RadioParameters, SiteMaps, aim, build_maps
from mndt.state import CellSettings, Status, Users
from mndt.units import linear_to_db, noise_w, w_to_dbm

Array = np.ndarray


BOTTOM: Final = -255 * 64
"""Gain in steps of 1/64 dB at the end of a map's scale: no link."""

LOWEST_RANK: Final = (-230 * 64) << 15
"""A cell received with less than -230 dBW a block, or not transmitting, is out of reach."""

OFF_WEIGHT: Final = -1_500_000_000

RANK_CELLS: Final = 2**15 - 1
"""The most cells that ranks can tell apart."""


def rank_weights(power_per_block_w: Float32[Array, "cells"]) -> Int32[Array, "cells"]:
    """What the kernels add to a link's gain, in steps of 1/64 dB, to rank cells by received power.

    The low bits count cells backwards, so that among equals the first row ranks highest.
    """
    on = power_per_block_w > 0
    steps = np.rint(64.0 * linear_to_db(np.where(on, power_per_block_w, 1.0))).astype(np.int64)
    rows = RANK_CELLS - np.arange(len(on))
    return np.where(on, (steps << 15) + rows, OFF_WEIGHT).astype(np.int32)


@dataclass(frozen=True)
class Received:
    """Power in one block at every user; 0 for users without a serving cell."""

    serving: Int32[Array, "users"]
    own_w: Float32[Array, "users"]  # from the serving cell, spreading its budget evenly (RSRP)
    others_w: Float32[Array, "users"]  # from all other cells together


@dataclass(frozen=True)
class Links:
    """The links of one second.

    Methods import the kernels when called: numba takes a second to load, and settings are read without it.
    """

    level: Int16[Array, "users cells"]  # large-scale gain, antenna included, as in `GainMaps.level`
    rank: Int32[Array, "users"]  # of the strongest cell
    budget_w: Float32[Array, "cells"]  # power a cell may spend, 0 when asleep or off
    blocks: Int32[Array, "cells"]  # usable blocks, 0 when asleep or off
    block_hz: Float32[Array, "cells"]
    noise_w: Float32[Array, "cells"]  # in one block
    key: Int32[Array, "users"]  # of fading, see `doppler.fading_keys`
    bank: Float32[Array, "2 draws"]  # of fading, see `FadingLaw.bank`
    blocks_per_group: int = 1  # neighbouring blocks that fade alike

    @classmethod
    def of_gain(
        cls,
        gain: ArrayLike,
        *,
        budget_w: Float32[Array, "cells"],
        blocks: Int32[Array, "cells"],
        noise_w: Float32[Array, "cells"],
        block_hz: float = 180e3,
        sight: ArrayLike | None = None,
        fading: FadingLaw | None = None,
        key: int = 0,
        blocks_per_group: int = 1,
    ) -> Links:
        """Links from linear gains, for studies without a map; gains are kept to 1/64 dB, 0 is out of reach.

        Raises:
            InputError: a gain that is not a number, negative or above 255 dB.

        >>> links = Links.of_gain(
        ...     [[1e-9, 0.0]], budget_w=np.float32([1, 1]), blocks=np.int32([10, 10]), noise_w=np.float32([1e-15] * 2)
        ... )
        >>> links.strongest().tolist(), links.gain[0].round(12).tolist()
        ([0], [1.000000000139778e-09, 0.0])
        """
        gain = np.atleast_2d(np.asarray(gain, np.float64))
        broken = ~((gain >= 0) & (gain < 1e25))  # written so that NaN is broken
        if broken.any():
            row, cell = (int(at[0]) for at in np.nonzero(broken))
            raise InputError(
                "gain",
                gain[row, cell],
                allowed="linear gains of 0 or more",
                fix="mend the map or model behind it",
                where=f"user {row}, cell {cell}",
            )
        steps = np.maximum(np.rint(64.0 * linear_to_db(np.maximum(gain, 1e-30))), BOTTOM).astype(np.int16)
        level = (2 * steps + (0 if sight is None else np.asarray(sight, np.int16))).astype(np.int16)
        law = fading or FadingLaw("none", "none")
        links = cls(
            level, np.empty(len(level), np.int32), budget_w, blocks, np.full(len(blocks), block_hz, np.float32),
            noise_w, np.full(len(level), key, np.int32), law.bank(margin=len(blocks)), blocks_per_group,
        )  # fmt: skip
        ranks = (steps.astype(np.int64) << 15) + rank_weights(links.even_power_w())
        return replace(links, rank=ranks.max(axis=1, initial=-(2**31)).astype(np.int32))

    def __len__(self) -> int:
        return len(self.level)

    @cached_property
    def gain(self) -> Float32[Array, "users cells"]:
        """Linear large-scale gain, 0 out of reach. Made when asked for: the kernels work on levels."""
        from mndt.radio import _kernels

        out = np.empty(self.level.shape, np.float32)
        by_rows(_kernels.gains, len(self), self.level, out)
        out[(self.level >> 1) <= BOTTOM] = 0.0
        return out

    def even_power_w(self) -> Float32[Array, "cells"]:
        """Power per block when a cell spreads its budget evenly: what a pilot measures (RSRP)."""
        return np.where(self.blocks > 0, self.budget_w / np.maximum(self.blocks, 1), 0.0).astype(np.float32)

    def strongest(self) -> Int32[Array, "users"]:
        """The cell received strongest (RSRP), in steps of 1/64 dB; the first among equals, -1 for none."""
        cell = RANK_CELLS - (self.rank & RANK_CELLS)
        return np.where(self.rank > LOWEST_RANK, cell, -1).astype(np.int32)

    def measured(
        self, serving: Int32[Array, "users"], slots: int = 8, window_db: float = 6.0,
        alone: Bool[Array, "users"] | None = None,
    ) -> tuple[Int32[Array, "users slots"], Float32[Array, "users slots"]]:  # fmt: skip
        """What users report: cell and RSRP in dBm of the serving cell, then of the strongest others.

        Args:
            serving: cell of each user, -1 = none: those report nothing.
            slots: cells a user reports at most.
            window_db: others weaker than the serving cell by more than this are left out.
            alone: users that measure their serving cell only; None = nobody.

        Returns:
            Cells, -1 where none, and their power per block without fading.
        """
        from mndt.radio import _kernels

        cell, rank = np.empty((len(self), slots), np.int32), np.empty((len(self), slots), np.int32)
        weight = rank_weights(self.even_power_w())
        alone = np.zeros(len(self), np.bool_) if alone is None else alone
        by_rows(_kernels.report, len(self), self.level, weight, serving, alone, round(64 * window_db), cell, rank)
        return cell, (rank >> 15).astype(np.float32) / np.float32(64.0) + np.float32(30.0)

    def rsrp_dbm(self, serving: Int32[Array, "users"], received: Received) -> Float32[Array, "users"]:
        """Power per block received from the serving cell, in dBm, without fading; -inf unserved.

        Args:
            serving: cell of each user, camping ones included.
            received: what is known of some of them, so that only the others are looked up.
        """
        rsrp_dbm = np.full(len(self), -np.inf, np.float32)
        np.log10(received.own_w, out=rsrp_dbm, where=received.own_w > 0)
        rsrp_dbm = np.float32(10.0) * rsrp_dbm + np.float32(30.0)
        rows = np.flatnonzero((serving >= 0) & (received.serving < 0))
        power_dbm = w_to_dbm(self.even_power_w()).astype(np.float32)
        rsrp_dbm[rows] = (self.level[rows, serving[rows]] >> 1) / np.float32(64.0) + power_dbm[serving[rows]]
        return np.asarray(rsrp_dbm, dtype=np.float32)

    def received_w(
        self,
        serving: Int32[Array, "users"],
        load_w: Float32[Array, "cells"] | None = None,
        known: Received | None = None,
    ) -> Received:
        """What each user receives from its serving cell and from all others, without fading.

        Args:
            serving: cell of each user, -1 = none.
            load_w: mean power per block that each cell transmits; None: all cells transmit evenly.
            known: what was found for another choice of serving cells, under the same load: only
                users that changed are looked at again.
        """
        from mndt.radio import _kernels

        pilot_w = self.even_power_w()
        load_w = pilot_w if load_w is None else load_w
        if known is None:
            own, others = np.empty(len(self), np.float32), np.empty(len(self), np.float32)
            by_rows(_kernels.received, len(self), self.level, pilot_w, load_w, serving, own, others)
            return Received(serving, own, others)
        rows = np.flatnonzero(serving != known.serving)
        own, others = np.empty(len(rows), np.float32), np.empty(len(rows), np.float32)
        by_rows(_kernels.received, len(rows), self.level[rows], pilot_w, load_w, serving[rows], own, others)
        found = Received(serving, known.own_w.copy(), known.others_w.copy())
        found.own_w[rows], found.others_w[rows] = own, others
        return found

    def own_fading(self, serving: Int32[Array, "users"]) -> Float32[Array, "users groups"]:
        """Fading power on each group of blocks of a user's own link: exactly what `block_sinr` will apply."""
        from mndt.radio import _kernels

        n_groups = -(-int(self.blocks.max(initial=0)) // self.blocks_per_group)
        out = np.empty((len(self), n_groups), np.float32)
        by_rows(
            _kernels.own_fading, len(self), self.key, serving, self.level, self.bank, self._mask, n_groups, out
        )  # fmt: skip
        return out

    def block_sinr(
        self, user_of_block: Int32[Array, "cells blocks"], power_w: Float32[Array, "cells blocks"]
    ) -> Float32[Array, "cells blocks"]:
        """SINR of every block; interference is counted block by block. 0 where a block is free."""
        from mndt.radio import _kernels

        start, place = np.zeros(len(self) + 2, np.int32), np.empty(user_of_block.size, np.int32)
        _kernels.sort_blocks(user_of_block, power_w, start, place)
        out = np.zeros(user_of_block.size, np.float32)
        by_rows(
            _kernels.block_sinr, len(self), self.level, start, place, np.ascontiguousarray(power_w.T), self.noise_w,
            self.key, self.bank, self._mask, self.blocks_per_group, out,
        )  # fmt: skip
        return out.reshape(user_of_block.shape)

    def block_sinr_again(
        self,
        before: Float32[Array, "cells blocks"],
        changed: Bool[Array, "users"],
        user_of_block: Int32[Array, "cells blocks"],
        power_w: Float32[Array, "cells blocks"],
    ) -> Float32[Array, "cells blocks"]:
        """`block_sinr` where only some users' links have changed since `before` was computed.

        Exact: the SINR of a block depends on nobody's links but its user's. Allocation, powers and
        fading must be those of `before`.
        """
        renewed = (user_of_block >= 0) & changed[np.maximum(user_of_block, 0)]
        again = self.block_sinr(np.where(renewed, user_of_block, -1).astype(np.int32), power_w)
        return np.where(renewed, again, before)

    @property
    def _mask(self) -> np.int32:
        return np.int32(BANK_SIZE - 1)


@dataclass(frozen=True)
class Expected:
    """What a cell knows of its users before it gives out blocks and power; computed when asked for."""

    links: Links
    received: Received

    @cached_property
    def sinr(self) -> Float32[Array, "users"]:
        """On the serving cell's blocks, were its power spread evenly, without fading; 0 unserved."""
        noise_w = self.links.noise_w[np.maximum(self.received.serving, 0)]
        return np.asarray(self.received.own_w / (self.received.others_w + noise_w), dtype=np.float32)

    @cached_property
    def sinr_per_w(self) -> Float32[Array, "users"]:
        """The same on a block that carries 1 W."""
        power_w = self.links.even_power_w()[np.maximum(self.received.serving, 0)]
        per_w = np.divide(self.sinr, power_w, out=np.zeros_like(self.sinr), where=power_w > 0)
        return np.asarray(per_w, dtype=np.float32)

    @cached_property
    def fade(self) -> Float32[Array, "users groups"]:
        """Fading power of the own link on each group of blocks: an ideal channel report."""
        return self.links.own_fading(self.received.serving)


@dataclass(frozen=True)
class Channel:
    """Gain maps of a city with its fading and noise: the part of the world that radio needs."""

    city: City
    parameters: RadioParameters
    site_maps: SiteMaps
    maps: GainMaps  # aimed as built
    as_built: CellSettings
    bank: Float32[Array, "2 draws"]
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
        noise = [noise_w(hz, parameters.noise_figure_db) for hz in city.cells.block_hz]
        return cls(
            city=city,
            parameters=parameters,
            site_maps=site_maps,
            maps=aim(site_maps, city, as_built),
            as_built=as_built,
            bank=parameters.fading.bank(margin=len(city.cells)),
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

    def links(self, users: Users, settings: CellSettings, key: np.uint32, second: int = 0) -> Links:
        """Look up the gain of every (user, cell) where the users stand now.

        Args:
            users: where they are.
            settings: of the cells.
            key: of the run's fading, the same in every second.
            second: now, for the surroundings of those who keep still.
        """
        from mndt.radio import _kernels

        maps, cells = self.aimed(settings), self.city.cells
        on = settings.status == Status.ON
        links = Links(
            level=np.empty((len(users), len(cells)), np.int16),
            rank=np.empty(len(users), np.int32),
            budget_w=np.where(on, settings.power_w, 0.0).astype(np.float32),
            blocks=np.where(on, cells.blocks, 0).astype(np.int32),
            block_hz=cells.block_hz.astype(np.float32),
            noise_w=self.noise_w,
            key=self.fading_keys(users.x_m, users.y_m, key, second),
            bank=self.bank,
            blocks_per_group=max(1, round(self.parameters.coherence_mhz * 1e6 / float(np.median(cells.block_hz)))),
        )
        by_rows(
            _kernels.look_up, len(users), maps.level, 1.0 / maps.cell_m, users.x_m, users.y_m,
            rank_weights(links.even_power_w()), links.level, links.rank,
        )  # fmt: skip
        return links

    def fading_keys(
        self, x_m: Array, y_m: Array, key: np.uint32, second: int, user: Int[Array, "users"] | None = None
    ) -> Int32[Array, "users"]:
        """Fading stays while a user keeps still: see `doppler.fading_keys`."""
        ghz = float(np.median(self.city.cells.carrier_hz)) / 1e9
        return fading_keys(int(key), x_m, y_m, ghz, second=second, still_s=self.parameters.still_s, user=user)

    def follow(
        self, links: Links, users: Users, settings: CellSettings, moved: Int[Array, "some"], key: np.uint32
    ) -> Links:
        """The links after a few users have moved: only theirs are looked up anew, only their fading changes.

        Args:
            links: of the second before.
            users: where everyone is now.
            settings: as they were for `links`.
            moved: rows of those who are elsewhere than before.
            key: as it was for `links`; the surroundings stand still meanwhile.
        """
        from mndt.radio import _kernels

        maps = self.aimed(settings)
        level, rank = np.empty((len(moved), links.level.shape[1]), np.int16), np.empty(len(moved), np.int32)
        by_rows(
            _kernels.look_up, len(moved), maps.level, 1.0 / maps.cell_m, users.x_m[moved], users.y_m[moved],
            rank_weights(links.even_power_w()), level, rank,
        )  # fmt: skip
        everyone = replace(links, level=links.level.copy(), rank=links.rank.copy(), key=links.key.copy())
        everyone.level[moved], everyone.rank[moved] = level, rank
        everyone.key[moved] = self.fading_keys(users.x_m[moved], users.y_m[moved], key, 0, moved)
        return everyone


def _pointing(settings: CellSettings) -> bytes:
    angles = (settings.azimuth_deg, settings.mechanical_tilt_deg, settings.electrical_tilt_deg)
    return b"".join(angle.tobytes() for angle in angles)
