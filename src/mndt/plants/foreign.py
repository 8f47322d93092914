"""An emulated network of another structure: other laws of path loss, fading and traffic than the twin's.

No setting of the twin reproduces it, which is what a twin meets in reality. Loss goes by distance in two slopes and by
metres of building on the way in, with lognormal shadows that no building explains; every link fades by Nakagami's law;
users fetch at a constant rate for times with a heavy tail. All constants are drawn by the seed around assumed values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int8

from mndt.city.schema import SERVICES
from mndt.radio.aiming import aim
from mndt.radio.fading import FadingLaw
from mndt.radio.ground import Ground, lay_ground
from mndt.radio.layers import encode
from mndt.radio.maps import SiteMaps
from mndt.radio.shadowing import unit_field
from mndt.state import Demand, Mode, Users
from mndt.streams import Streams
from mndt.users.population import DAY_S
from mndt.world import World

Array = np.ndarray


@dataclass(frozen=True)
class ForeignLaws:
    """The constants of the other laws."""

    near_exponent: float = 2.1
    far_exponent: float = 3.6
    break_m: float = 60.0  # where the slope changes
    extra_db: float = 4.0  # beyond free space at 1 m
    wall_db: float = 14.0  # into a building
    inside_db_per_m: float = 0.5
    shadowing_db: float = 6.0
    shadowing_m: float = 25.0
    nakagami_m: float = 1.6
    active_share: float = 0.2  # of users that fetch, in the mean over the day
    tail: float = 1.5  # Pareto's exponent of how long; the mean is finite, the variance is not
    shortest_s: float = 8.0
    evening: float = 0.3  # swing of the day around its mean, highest at 20 h


def draw_laws(seed: int, *, strength: float = 1.0) -> ForeignLaws:
    """Laws drawn around the assumed ones.

    >>> draw_laws(3) == draw_laws(3), draw_laws(3) == draw_laws(4)
    (True, False)
    """
    base = ForeignLaws()
    a = strength * np.clip(Streams(seed).generator("foreign").standard_normal(8), -2.5, 2.5)
    return replace(
        base,
        far_exponent=float(base.far_exponent + 0.2 * a[0]),
        break_m=float(base.break_m * np.exp(0.2 * a[1])),
        extra_db=float(base.extra_db + 2.0 * a[2]),
        wall_db=float(base.wall_db + 3.0 * a[3]),
        shadowing_db=float(base.shadowing_db + 0.7 * a[4]),
        nakagami_m=float(max(0.6, base.nakagami_m + 0.3 * a[5])),
        active_share=float(base.active_share * np.exp(0.2 * a[6])),
        evening=float(np.clip(base.evening + 0.1 * a[7], 0.0, 0.9)),
    )


def foreign(world: World, seed: int = 0, laws: ForeignLaws | None = None) -> World:
    """The same city, stations and people under other laws.

    Args:
        world: the twin's.
        seed: draws the laws and the shadows.
        laws: None = drawn.
    """
    laws, channel = laws or draw_laws(seed), world.channel
    ground = lay_ground(world.city, channel.parameters, seed)
    level = np.empty_like(channel.site_maps.level)
    for layer in range(level.shape[2]):
        loss_db, near = _loss_db(world, ground, laws, layer, Streams(seed))
        level[:, :, layer] = encode(-loss_db, near)
    site_maps = replace(channel.site_maps, level=level, departures=None)
    fading = FadingLaw("nakagami", "nakagami", nakagami_m=laws.nakagami_m)
    channel = replace(
        channel,
        site_maps=site_maps,
        maps=aim(site_maps, world.city, channel.as_built),
        bank=fading.bank(margin=len(world.city.cells)),
        _aimed={},
    )
    return replace(world, channel=channel, demand=LongTails(laws))


def _loss_db(
    world: World, ground: Ground, laws: ForeignLaws, layer: int, streams: Streams
) -> tuple[Float32[Array, "rows cols"], Array]:
    """Loss from one place of transmission to every pixel, and where it counts as seen."""
    maps: SiteMaps = world.channel.site_maps
    rows, cols, _ = maps.level.shape
    layers, cell_m = maps.layers, maps.cell_m
    y_m, x_m = ((np.arange(n) + 0.5) * cell_m for n in (rows, cols))
    ground_m = np.hypot(x_m[None, :] - layers.x_m[layer], y_m[:, None] - layers.y_m[layer])
    far_m = np.maximum(np.hypot(ground_m, layers.height_m[layer] - maps.user_height_m), 1.0)
    one_metre_db = 32.45 + 20.0 * np.log10(layers.carrier_ghz[layer])  # free space, d = 1 m
    slopes_db = 10.0 * laws.near_exponent * np.log10(np.minimum(far_m, laws.break_m))
    slopes_db += 10.0 * laws.far_exponent * np.log10(np.maximum(far_m / laws.break_m, 1.0))
    site = layers.site[layer]
    other = ground.building[:rows, :cols] != world.city.sites.building[site]
    depth_m = ground.depth_m[:rows, :cols]
    indoors = ground.building[:rows, :cols] >= 0
    # an indoor station pays the wall on the way out, too
    walls = (indoors & other).astype(np.float64) + (bool(world.city.sites.indoor[site]) & other)
    field = unit_field(rows, cols, cell_m, laws.shadowing_m, streams.generator("foreign-shadows", layer))
    loss_db = one_metre_db + laws.extra_db + slopes_db + laws.wall_db * walls + laws.inside_db_per_m * depth_m * other
    return (loss_db + laws.shadowing_db * field).astype(np.float32), ground_m < laws.break_m


@dataclass(frozen=True)
class Fetching:
    """Memory of `LongTails`."""

    service: Int8[Array, "users"]  # row of SERVICES, -1 idle
    left_s: Float32[Array, "users"]


@dataclass(frozen=True)
class LongTails:
    """Users fetch at their service's constant rate, for times by Pareto's law; they begin by Poisson's."""

    laws: ForeignLaws

    def start(self, users: Users, time_s: int, streams: Streams) -> Fetching:
        """Who is at it, with what is left of it."""
        rng, n = streams.generator("foreign-start", time_s), len(users)
        active = (rng.random(n) < self._share(time_s)) & (users.mode != Mode.ABSENT)
        left_s = self._lengths_s(rng, n) * rng.random(n)
        return Fetching(
            np.where(active, self._services(rng, n), -1).astype(np.int8),
            np.where(active, np.ceil(left_s), 0.0).astype(np.float32),
        )

    def step(self, memory: Fetching, users: Users, time_s: int, streams: Streams) -> tuple[Fetching, Demand]:
        """End, begin, and ask for this second's bits."""
        rng, n = streams.generator("foreign-demand", time_s), len(users)
        share, mean_s = self._share(time_s), self.laws.shortest_s * self.laws.tail / (self.laws.tail - 1.0)
        begin_hz = share / ((1.0 - share) * mean_s)
        present = users.mode != Mode.ABSENT
        goes_on = present & (memory.left_s > 0)
        begins = present & ~goes_on & (rng.random(n) < begin_hz)
        kept = np.where(goes_on, memory.service, np.where(begins, self._services(rng, n), -1))
        left_s = np.where(goes_on, memory.left_s - 1.0, np.where(begins, np.ceil(self._lengths_s(rng, n)) - 1.0, 0.0))
        bits = np.append(_RATE_BPS, 0.0)[kept]
        service = kept.astype(np.int8)
        return Fetching(service, left_s.astype(np.float32)), Demand(service, bits.astype(np.float32))

    def _share(self, time_s: float) -> float:
        """Expected share of users that fetch at a time of day."""
        swing = np.cos(2.0 * np.pi * (time_s % DAY_S - 20 * 3600) / DAY_S)
        return float(np.clip(self.laws.active_share * (1.0 + self.laws.evening * swing), 0.0, 0.9))

    def _lengths_s(self, rng: np.random.Generator, n: int) -> Array:
        return np.minimum(self.laws.shortest_s * (1.0 + rng.pareto(self.laws.tail, n)), 7200.0)

    def _services(self, rng: np.random.Generator, n: int) -> Array:
        return rng.choice(len(SERVICES), size=n, p=_SHARES)


_RATE_BPS = np.array([service.rate_bps for service in SERVICES])
_SHARES = np.array([service.share for service in SERVICES]) / sum(service.share for service in SERVICES)
