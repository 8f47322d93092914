"""A grid of streets with buildings, TR 38.901 UMi through walls: the channel of ``table2-umi``.

The report leaves buildings open. Here they are squares of 60 m with streets of 20 m between, so that
56 % of the ground is built over; a user's line leads him in and out. Indoor cells stand in buildings of
their own, 3 m high, outdoor ones in streets, 10 m high. A link has

- the loss of UMi over its whole length, in a state drawn in space (clause 7.6.3.3, 50 m);
- the wall of each building it enters or leaves, of low or high loss with its spread from building to
  building, and 0.5 dB a metre inside (clause 7.4.3); shadowing of that state, correlated in space (7.4.4);
- in the station's own building the loss, state and shadowing of the indoor office.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from jaxtyping import Float32, Int8, Int32

from mndt.errors import InputError
from mndt.parallel import by_rows
from mndt.radio import pathloss
from mndt.radio.shadowing import unit_field
from mndt.streams import Streams

if TYPE_CHECKING:
    from mndt.radio.pathloss import LossLaw

Array = np.ndarray
F = np.float32

CARRIER_GHZ: Final = 3.5
"""As in the twin's generated cities."""

PITCH_M: Final = 80.0
STREET_M: Final = 20.0
HIGH_LOSS_SHARE: Final = 0.5
"""Buildings whose glass is coated; the others' is plain (table 7.4.3-2). Assumed: half of each."""

USER_HEIGHT_M: Final = 1.5
HEIGHT_M: Final = {"indoor": 3.0, "outdoor": 10.0}
"""Ceiling of an office and lamp post of UMi, tables 7.2-1 and 7.2-2."""

PIXEL_M: Final = 4.0
SIGHT_CORRELATION_M: Final = {"UMi": 50.0, "InH": 10.0}
"""Correlation distance of the state of line of sight, table 7.6.3.1-2."""

_WINDOW_STEP_M: Final = 140.0  # between the windows of two cells: exp(-140 / 50) is 6 %, exp(-140 / 13) nothing
_STEPS: Final = 24  # of a deviation in which fields are kept, a byte each: memory is what their look-up waits for


@dataclass(frozen=True)
class StreetGrid:
    """Loss over streets and through walls."""

    power_w: Float32[Array, "cells"]
    x_m: Float32[Array, "cells"]
    y_m: Float32[Array, "cells"]
    building: Int32[Array, "cells"]  # -1 outdoors
    height_m: Float32[Array, "cells"]
    wall_db: Float32[Array, "buildings"]
    per_row: int  # buildings
    outside: Int8[Array, "rows cols 4"]  # unit fields in steps: state, shadowing seen, hidden, through a wall
    inside: Int8[Array, "rows cols 4"]
    shift: Int32[Array, "cells 2"]  # of each cell's window into the fields, in pixels

    def gain(self, x_m: Float32[Array, "users"], y_m: Float32[Array, "users"]) -> Float32[Array, "users cells"]:
        """Linear gain of every link."""
        from mndt.optimise.allocation import _gain_kernels

        building = building_at(x_m, y_m, self.per_row)
        out = np.empty((len(x_m), len(self.x_m)), F)
        by_rows(
            _gain_kernels.street_grid, len(x_m), x_m, y_m, building, self.entry_db(x_m, y_m, building), self.x_m,
            self.y_m, self.building, self.entry_db(self.x_m, self.y_m, self.building), self.laws(), _inside_law(),
            seen_below("UMi"), seen_below("InH"), _sigmas_db("UMi"), _sigmas_db("InH"), self.outside, self.inside,
            self.shift, F(1.0 / PIXEL_M), out,
        )  # fmt: skip
        return out

    def entry_db(
        self, x_m: Float32[Array, "n"], y_m: Float32[Array, "n"], building: Int32[Array, "n"]
    ) -> Float32[Array, "n"]:
        """Loss between a place and the street: wall and way inside; 0 outdoors."""
        within = np.array([x_m, y_m]) % PITCH_M - STREET_M / 2.0
        depth_m = np.minimum(within, PITCH_M - STREET_M - within).min(axis=0)
        through_db = self.wall_db[building] + pathloss.INSIDE_DB_PER_M * depth_m
        return np.where(building >= 0, through_db, 0.0).astype(F)

    def laws(self) -> Float32[Array, "8 cells"]:
        """UMi of every cell at its height, in the rows of the kernel."""
        kinds = {height: _law_at(height) for height in np.unique(self.height_m).tolist()}
        return np.stack([kinds[height] for height in self.height_m.tolist()], axis=1)


def building_at(x_m: Float32[Array, "n"], y_m: Float32[Array, "n"], per_row: int) -> Int32[Array, "n"]:
    """Number of the building at a place, row by row from the south-west; -1 in the street.

    >>> building_at(np.array([5.0, 40.0, 130.0]), np.array([40.0, 40.0, 100.0]), 25).tolist()
    [-1, 0, 26]
    """
    col, row = (np.floor(np.asarray(v) / PITCH_M).astype(np.int32) for v in (x_m, y_m))
    street = [np.abs(np.asarray(v) % PITCH_M - PITCH_M / 2.0) > (PITCH_M - STREET_M) / 2.0 for v in (x_m, y_m)]
    beyond = (col >= per_row) | (row >= per_row)  # half a block at the edge of a map that pitches do not fill
    return np.where(street[0] | street[1] | beyond, -1, row * per_row + col).astype(np.int32)


def street_grid(seed: int, power_w: Float32[Array, "cells"], n_indoor: int, side_m: float) -> StreetGrid:
    """Buildings, cells and shadowing of one seed.

    Args:
        seed: of all of it.
        power_w: largest power of every cell, indoor ones first.
        n_indoor: how many cells are indoors.
        side_m: of the square.

    Raises:
        InputError: more indoor cells than buildings.
    """
    per_row, n_cells = max(int(side_m // PITCH_M), 1), len(power_w)
    if n_indoor > per_row**2:
        allowed = f"a side that has room for {n_indoor} buildings of {PITCH_M:g} m"
        raise InputError("side_m", side_m, allowed=allowed, fix="widen it or ask for fewer cells")
    streams = Streams(seed)
    rng = streams.generator("allocation cells")
    building = np.full(n_cells, -1, np.int32)
    building[:n_indoor] = rng.choice(per_row**2, n_indoor, replace=False)
    within_m = rng.uniform(STREET_M / 2.0, PITCH_M - STREET_M / 2.0, (2, n_indoor))
    place_m = np.concatenate(
        [np.array([building[:n_indoor] % per_row, building[:n_indoor] // per_row]) * PITCH_M + within_m,
         _in_streets(n_cells - n_indoor, side_m, per_row, rng)], axis=1,
    )  # fmt: skip
    heights = np.where(building >= 0, HEIGHT_M["indoor"], HEIGHT_M["outdoor"])
    outside, inside, shift = _fields(n_cells, side_m, streams.generator("allocation shadowing"))
    x_m, y_m = place_m.astype(F)
    walls_db = _walls_db(per_row**2, streams)
    return StreetGrid(
        power_w, x_m, y_m, building, heights.astype(F), walls_db, per_row, outside, inside, shift
    )  # fmt: skip


def _walls_db(n_buildings: int, streams: Streams) -> Float32[Array, "buildings"]:
    """Entry loss of every building, never below 0 dB."""
    rng = streams.generator("allocation walls")
    high, spread = rng.random(n_buildings) < HIGH_LOSS_SHARE, rng.standard_normal(n_buildings)
    low_db, high_db = (
        float(pathloss.wall_loss_db(kind, CARRIER_GHZ)) + pathloss.WALL_SIGMA_DB[kind] * spread
        for kind in ("low", "high")
    )
    return np.maximum(np.where(high, high_db, low_db), 0.0).astype(F)


def _in_streets(count: int, side_m: float, per_row: int, rng: np.random.Generator) -> Array:
    """Random places that are not built over."""
    found: Array = np.empty((2, 0))
    while found.shape[1] < count:
        drawn: Array = rng.uniform(0.0, side_m, (2, 4 * count))
        found = np.concatenate([found, drawn[:, building_at(drawn[0], drawn[1], per_row) < 0]], axis=1)
    return found[:, :count]


def _fields(n_cells: int, side_m: float, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Unit fields of states and shadowing, and each cell's window into them.

    One large set for all cells: far-apart windows of a field are as good as fields of their own, and a
    hundred times faster to draw.
    """
    span = int(np.ceil(side_m / PIXEL_M)) + 1
    per_side, step = int(np.ceil(np.sqrt(n_cells))), round(_WINDOW_STEP_M / PIXEL_M)
    size = span + (per_side - 1) * step
    lengths = [
        [SIGHT_CORRELATION_M[name], *(state.correlation_m for state in pathloss.SHADOWING[name].values())]
        for name in ("UMi", "InH")
    ]
    outside, inside = np.zeros((2, size, size, 4), np.int8)
    for fields, distances_m in zip((outside, inside), lengths, strict=True):
        for layer, distance_m in enumerate(distances_m):
            field = unit_field(size, size, PIXEL_M, distance_m, rng)
            fields[:, :, layer] = np.clip(np.rint(_STEPS * field), -127, 127)
    places = rng.permutation(per_side**2)[:n_cells]
    return outside, inside, (step * np.stack(divmod(places, per_side), axis=1)).astype(np.int32)


def seen_below(scenario: str, reach_m: int = 4000) -> Float32[Array, "metres"]:
    """Below which step a field means line of sight, by whole metres: quantiles of table 7.4.2-1's probability."""
    from scipy.special import ndtri

    probability = pathloss.los_probability(scenario, np.arange(reach_m) + 0.5)
    return np.clip(_STEPS * ndtri(probability), -1e3, 1e3).astype(F)


def _sigmas_db(scenario: str) -> Float32[Array, "4"]:
    """What a step is worth by layer of the fields; the first, the state's, is no loss."""
    states = pathloss.SHADOWING[scenario]
    wall_db = states["o2i"].sigma_db if "o2i" in states else 0.0
    return np.array([0.0, states["los"].sigma_db, states["nlos"].sigma_db, wall_db], F) / F(_STEPS)


def _law_at(height_m: float) -> Float32[Array, "8"]:
    """UMi from one height, in the order of the kernel."""
    law: LossLaw = pathloss.loss_law("UMi", CARRIER_GHZ, height_m, USER_HEIGHT_M)
    rise2_m2 = (height_m - USER_HEIGHT_M) ** 2
    return np.array(
        [law.near_db, law.near_slope, law.far_db, law.far_slope, law.nlos_db, law.nlos_slope, law.break_m, rise2_m2], F
    )


def _inside_law() -> Float32[Array, "4"]:
    """InH, in the order of the kernel."""
    law = pathloss.loss_law("InH", CARRIER_GHZ, HEIGHT_M["indoor"], USER_HEIGHT_M)
    return np.array([law.near_db, law.near_slope, law.nlos_db, law.nlos_slope], F)
