"""How an emulated network differs from what the twin would compute: the same laws, other constants.

Losses are bent on the gain maps, antennas point a little elsewhere than asked for, there is more noise
and more or less traffic. `impose` is the one place that says what each parameter does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float32, Int16

from mndt.radio.aiming import GainMaps
from mndt.radio.channel import BOTTOM, Channel
from mndt.radio.layers import LARGEST_DB, STEPS_PER_DB
from mndt.radio.shadowing import unit_field
from mndt.state import CellSettings, Demand, Users
from mndt.streams import Streams
from mndt.units import db_to_linear
from mndt.users.demand import DemandSource
from mndt.world import World

Array = np.ndarray

REFERENCE_M: Final = 100.0
"""Distance at which the obstructed slope changes nothing, so that it is told apart from an offset."""

Some = float | tuple[float, ...]
"""One number for all cells (or areas), or one for each."""


@dataclass(frozen=True)
class Hidden:
    """What the twin does not know; the default is a network just as the twin believes it to be."""

    offset_db: Some = 0.0  # gain of each cell beyond the map's: feeders, connectors, a wrong antenna
    obstructed_db_per_decade: float = 0.0  # loss without line of sight, by distance over 100 m
    wall_db: float = 0.0  # loss of links into buildings from stations outside
    shadowing_db: float = 0.0  # standard deviation of what the map does not know, a field for each cell
    shadowing_m: float = 40.0  # its correlation distance
    azimuth_bias_deg: Some = 0.0  # where antennas point, beyond what was asked for
    tilt_bias_deg: Some = 0.0  # mechanical, downwards positive
    demand_scale: Some = 1.0  # factor on what users ask for, of each area and, last, of the way
    noise_rise_db: float = 0.0  # of every cell's noise
    seed: int = 0  # of the shadowing

    def aimed(self, settings: CellSettings) -> CellSettings:
        """Where antennas really point."""
        turned, tilt = (np.asarray(bias, np.float32) for bias in (self.azimuth_bias_deg, self.tilt_bias_deg))
        return replace(
            settings,
            azimuth_deg=np.asarray((settings.azimuth_deg + turned) % np.float32(360.0), np.float32),
            mechanical_tilt_deg=np.asarray(settings.mechanical_tilt_deg + tilt, np.float32),
        )


def draw_hidden(world: World, seed: int, *, strength: float = 1.0) -> Hidden:
    """Parameters drawn for a network: standard deviations are those of `strength` 1, chosen by us.

    >>> draw_hidden.__name__
    'draw_hidden'
    """
    rng = Streams(seed).generator("hidden")
    n_cells, n_areas = len(world.city.cells), len(world.city.areas) + 1

    def normal(deviation: float, n: int) -> tuple[float, ...]:
        return tuple((strength * deviation * rng.standard_normal(n)).tolist())

    (slope,), (wall,), (rise,), (busy,) = normal(6.0, 1), normal(4.0, 1), normal(1.0, 1), normal(0.2, 1)
    return Hidden(
        offset_db=normal(3.0, n_cells),
        obstructed_db_per_decade=slope,
        wall_db=wall,
        shadowing_db=3.0 * strength,
        azimuth_bias_deg=normal(5.0, n_cells),
        tilt_bias_deg=normal(1.0, n_cells),
        demand_scale=tuple(np.exp(busy + np.asarray(normal(0.2, n_areas))).tolist()),
        noise_rise_db=abs(rise),
        seed=seed,
    )


def impose(world: World, hidden: Hidden) -> World:
    """The world as the hidden parameters make it. Biases of antennas act on settings: `Hidden.aimed`."""
    channel = world.channel
    if _bends(hidden):
        channel = BentChannel(**_parts(channel), more=_more(world, hidden))
    if hidden.noise_rise_db:
        rise = np.float32(db_to_linear(hidden.noise_rise_db))
        channel = replace(channel, noise_w=channel.noise_w * rise)
    if channel is not world.channel:
        world = replace(world, channel=channel)
    if np.any(np.asarray(hidden.demand_scale) != 1.0):
        scale = np.broadcast_to(np.asarray(hidden.demand_scale, np.float32), len(world.city.areas) + 1)
        world = replace(world, demand=ScaledDemand(world.demand, scale))
    return world


@dataclass(frozen=True)
class BentChannel(Channel):
    """A channel whose maps, however aimed, have something more or less of gain."""

    more: Int16[Array, "rows cols cells"] | None = None  # in steps of 1/64 dB
    _bent: list[tuple[GainMaps, GainMaps]] = field(default_factory=list, repr=False, compare=False)

    def aimed(self, settings: CellSettings) -> GainMaps:
        """The bent maps with antennas turned to these settings."""
        plain = super().aimed(settings)
        for known, bent in self._bent:
            if known is plain:
                return bent
        bent = self._bend(plain)
        self._bent[:] = [*self._bent[-2:], (plain, bent)]  # a full set of maps is large
        return bent

    def _bend(self, plain: GainMaps) -> GainMaps:
        """Levels keep their lowest bit, which is line of sight; what is out of reach stays so."""
        assert self.more is not None
        level = np.empty_like(plain.level)
        for row in range(len(level)):  # row by row, to stay small beside the maps
            steps = (plain.level[row] >> 1).astype(np.int32)
            moved = np.clip(steps + self.more[row], BOTTOM, -BOTTOM)
            moved = np.where(steps <= BOTTOM, steps, moved)
            level[row] = 2 * moved + (plain.level[row] & 1)
        return GainMaps(plain.cell_m, level)


@dataclass(frozen=True)
class ScaledDemand:
    """Another source's demand, times a factor of the area that users are in."""

    source: DemandSource
    scale: Float32[Array, "areas_plus_1"]

    def start(self, users: Users, time_s: int, streams: Streams) -> Any:
        """The memory of the other source."""
        return self.source.start(users, time_s, streams)

    def step(self, memory: Any, users: Users, time_s: int, streams: Streams) -> tuple[Any, Demand]:
        """What users ask for; area -1, the way, is the last one."""
        memory, demand = self.source.step(memory, users, time_s, streams)
        return memory, replace(demand, bits=(demand.bits * self.scale[users.area]).astype(np.float32))


# Inside -----------------------------------------------------------------------------------------


def _bends(hidden: Hidden) -> bool:
    losses = (hidden.offset_db, hidden.obstructed_db_per_decade, hidden.wall_db, hidden.shadowing_db)
    return any(bool(np.any(np.asarray(loss) != 0.0)) for loss in losses)


def _parts(channel: Channel) -> dict[str, Any]:
    names = ("city", "parameters", "site_maps", "maps", "as_built", "bank", "noise_w")
    return {name: getattr(channel, name) for name in names}


def _more(world: World, hidden: Hidden) -> Int16[Array, "rows cols cells"]:
    """What every pixel gains from every cell, beyond the map."""
    channel, city = world.channel, world.city
    rows, cols, n_cells = channel.maps.level.shape
    cell_m, layers = channel.site_maps.cell_m, channel.site_maps.layers
    inside, streams = _inside(world), Streams(hidden.seed)
    y_m, x_m = ((np.arange(n) + 0.5) * cell_m for n in (rows, cols))
    offset_db = np.broadcast_to(np.asarray(hidden.offset_db, np.float64), n_cells)
    more = np.empty(channel.maps.level.shape, np.int16)
    for cell in range(n_cells):
        layer = layers.of_cell[cell]
        far_m = np.hypot(x_m[None, :] - layers.x_m[layer], y_m[:, None] - layers.y_m[layer])
        decades = np.log10(np.maximum(far_m, 10.0) / REFERENCE_M)
        blocked = (channel.maps.level[:, :, cell] & 1) == 0
        gain_db = offset_db[cell] - hidden.obstructed_db_per_decade * decades * blocked
        if not city.sites.indoor[city.cells.site[cell]]:
            gain_db = gain_db - hidden.wall_db * inside
        if hidden.shadowing_db:
            field_ = unit_field(rows, cols, cell_m, hidden.shadowing_m, streams.generator("hidden-shadows", cell))
            gain_db = gain_db + hidden.shadowing_db * field_
        more[:, :, cell] = np.rint(np.clip(gain_db, -LARGEST_DB, LARGEST_DB) * STEPS_PER_DB)
    return more


def _inside(world: World) -> Bool[Array, "rows cols"]:
    """Pixels inside buildings."""
    from mndt.city.raster import rasterise

    pixels = rasterise(world.city.buildings, world.city.frame, world.channel.site_maps.cell_m)
    rows, cols, _ = world.channel.site_maps.level.shape
    return np.asarray(pixels.building[:rows, :cols] >= 0)
