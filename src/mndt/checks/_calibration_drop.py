"""Drops of 3GPP's large-scale calibration: 19 sites of three sectors, users, links, and what they measure.

Assumptions are those of TR 38.901 clause 7.8.1, table 7.8-1, with the scenarios of table 7.2-1. Where the table is
silent the reason is given:

- hexagonal grid, 19 sites of 3 sectors, distances wrapped around; 10 users a sector on average, uniform, at
  least 35 m (UMa) or 10 m (UMi) from every site;
- boresights at 30, 150 and 270 degrees, and the grid such that they point *at neighbouring sites*: the three
  hexagonal cells of a site meet at its mast, and the far corner of each lies on the line to a neighbour. With the
  grid turned by 30 degrees, beams pointing between neighbours, the median SIR falls by 0.6 dB;
- a sector is one column of ten elements, half a wavelength apart, fed as one port and steered to 102 degrees of
  zenith; the user's antenna is isotropic; both are vertically polarised, so no power is lost between them;
- 49 dBm (UMa) and 44 dBm (UMi) in 20 MHz at 6 GHz, 35 dBm in 100 MHz at 30 and 70 GHz, noise figure 9 dB;
- 80 % of the users indoors, half of them behind low, half behind high loss facades; building of 4 to 8 floors,
  user on any of them, 3 m a floor; depth of two uniform draws up to 25 m the smaller (clause 7.4.3.1);
- entry loss with its deviation is the user's own, the same towards all sites (clause 7.4.3.1);
- line of sight and shadowing are those of a user and a site, shared by its sectors and independent between sites
  (clause 7.5 step 4); indoors the shadowing is that of the column O2I of table 7.5-6;
- no fast fading; the user is served by the sector of the largest coupling gain, without margin.

The companies' curves (R1-165974, August 2016) are older than TR 38.901: they follow TR 38.900 V14.0.0. `EDITION_2016`
has what differed in UMa, to see how much of a difference the edition makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from mndt.radio import antenna, pathloss
from mndt.units import db_to_linear, linear_to_db, noise_w, w_to_dbm

Array = np.ndarray

BORESIGHTS_DEG: Final = np.array([60.0, 300.0, 180.0])  # bearings of the angles 30, 150 and 270 from the x axis
TILT_DEG: Final = 12.0  # zenith 102
SECTORS: Final = 57
USERS: Final = 10 * SECTORS
INDOOR_SHARE: Final = 0.8
HIGH_LOSS_SHARE: Final = 0.5
NOISE_FIGURE_DB: Final = 9.0
OUTDOOR_HEIGHT_M: Final = 1.5
FLOOR_M: Final = 3.0
DEEPEST_M: Final = 25.0


class Layout(NamedTuple):
    """Geometry of a scenario, table 7.2-1."""

    spacing_m: float
    site_height_m: float
    least_m: float


LAYOUTS: Final = {"UMa": Layout(500.0, 25.0, 35.0), "UMi": Layout(200.0, 10.0, 10.0)}


class Carrier(NamedTuple):
    """Radio of a scenario, table 7.8-1."""

    ghz: float
    power_dbm: float
    bandwidth_hz: float


CARRIERS: Final = {
    "UMa": (Carrier(6.0, 49.0, 20e6), Carrier(30.0, 35.0, 100e6), Carrier(70.0, 35.0, 100e6)),
    "UMi": (Carrier(6.0, 44.0, 20e6), Carrier(30.0, 35.0, 100e6), Carrier(70.0, 35.0, 100e6)),
}


class Edition(NamedTuple):
    """The two laws of UMa that the editions of the report do not share."""

    uma_los_db: Callable[..., pathloss.Db]
    uma_sight: Callable[[Array, Array], pathloss.Db]


def _uma_los_2016_db(
    ground_m: Array, slant_m: Array, carrier_ghz: float, site_height_m: float, user_height_m: Array, clutter_m: Array
) -> pathloss.Db:
    """32.4 + 20 lg d + 20 lg f, and 32.4 + 40 lg d + 20 lg f - 10 lg(d'_BP^2 + (h_BS - h_UT)^2) beyond d'_BP."""
    break_m = pathloss.break_point_m(carrier_ghz, site_height_m, user_height_m, clutter_m)
    lg_slant, constant_db = np.log10(slant_m), 32.4 + 20.0 * np.log10(carrier_ghz)
    far_db = constant_db + 40.0 * lg_slant - 10.0 * np.log10(break_m**2 + (site_height_m - user_height_m) ** 2)
    return np.asarray(np.where(ground_m <= break_m, constant_db + 20.0 * lg_slant, far_db))


def _uma_sight_2016(outdoor_m: Array, height_m: Array) -> pathloss.Db:
    """min(18/d, 1) (1 - exp(-d/63)) + exp(-d/63) (1 + C): the height term C on the second part alone.

    Assumed: so read in a public implementation of V14.0.0; the text of that version was not at hand.
    """
    d = np.maximum(outdoor_m, 1e-3)
    tall = np.where(d > 18.0, 1.25 * (d / 100.0) ** 3 * np.exp(-d / 150.0), 0.0)
    c = tall * (np.maximum(height_m - 13.0, 0.0) / 10.0) ** 1.5
    return np.asarray(np.minimum(18.0 / d, 1.0) * -np.expm1(-d / 63.0) + np.exp(-d / 63.0) * (1.0 + c))


def _uma_sight(outdoor_m: Array, height_m: Array) -> pathloss.Db:
    return pathloss.los_probability("UMa", outdoor_m, height_m)


TR_38901: Final = Edition(pathloss.uma_los_db, _uma_sight)
EDITION_2016: Final = Edition(_uma_los_2016_db, _uma_sight_2016)


@dataclass(frozen=True)
class Users:
    """Users of one drop: what is theirs towards every site and at every carrier."""

    x_m: Float64[Array, "users"]
    y_m: Float64[Array, "users"]
    height_m: Float64[Array, "users"]
    indoor: Bool[Array, "users"]
    inside_m: Float64[Array, "users"]  # d_2D-in, 0 outdoors
    high_loss: Bool[Array, "users"]
    wall_normal: Float64[Array, "users"]  # of the entry loss, standard normal


@dataclass(frozen=True)
class Links:
    """Geometry and state of the links of one drop, the same at every carrier."""

    ground_m: Float64[Array, "users sites"]
    slant_m: Float64[Array, "users sites"]
    clutter_m: Float64[Array, "users sites"]  # effective environment height
    sight: Bool[Array, "users sites"]
    shadow_normal: Float64[Array, "users sites"]
    antenna_db: Float64[Array, "users sites 3"]


class Measured(NamedTuple):
    """What every user measures of its serving sector, in dB."""

    coupling_loss: Float64[Array, "users"]  # as a gain: negative
    geometry_sinr: Float64[Array, "users"]
    wideband_sir: Float64[Array, "users"]


def lattice_m(q: Array, r: Array, spacing_m: float) -> Float64[Array, "points 2"]:
    """Points of the hexagonal grid: neighbours in the directions 30, 90, ... degrees from the x axis.

    >>> lattice_m(np.array([0]), np.array([1]), 500.0).tolist()
    [[0.0, 500.0]]
    """
    return np.stack((spacing_m * np.sqrt(0.75) * q, spacing_m * (0.5 * q + r)), axis=-1)


def sites_m(spacing_m: float) -> Float64[Array, "19 2"]:
    """A site, its 6 neighbours and their 12."""
    q, r = (axis.ravel() for axis in np.meshgrid(np.arange(-2, 3), np.arange(-2, 3)))
    near = np.abs(q + r) <= 2
    return lattice_m(q[near], r[near], spacing_m)


def wraps_m(spacing_m: float) -> Float64[Array, "7 2"]:
    """Translations that lay the cluster of 19 sites beside itself in six directions, and none."""
    steps = [(0, 0), (5, -2)]
    for _ in range(5):
        q, r = steps[-1]
        steps.append((-r, q + r))  # turned by 60 degrees
    q, r = np.array(steps).T
    return lattice_m(q, r, spacing_m)


def users_of(layout: Layout, rng: np.random.Generator, n: int = USERS) -> Users:
    """Drop users uniformly over the hexagons of the sites, as many in each.

    The shares of the table are met exactly: left to chance, they would move the flat middle of the coupling loss by
    a decibel from drop to drop.
    """
    sites, apothem_m = sites_m(layout.spacing_m), layout.spacing_m / 2
    near = _in_hexagon(apothem_m, layout.least_m, n, rng)
    at_m = near + sites[np.arange(n) % len(sites)]
    order, n_indoor = rng.permutation(n), round(INDOOR_SHARE * n)
    indoor = order < n_indoor
    floor = np.floor(rng.random(n) * rng.integers(4, 9, n))  # from 0
    inside_m = rng.uniform(0.0, DEEPEST_M, (2, n)).min(axis=0)
    return Users(
        x_m=at_m[:, 0],
        y_m=at_m[:, 1],
        height_m=OUTDOOR_HEIGHT_M + np.where(indoor, FLOOR_M * floor, 0.0),
        indoor=indoor,
        inside_m=np.where(indoor, inside_m, 0.0),
        high_loss=order < round(HIGH_LOSS_SHARE * n_indoor),
        wall_normal=rng.standard_normal(n),
    )


def _in_hexagon(apothem_m: float, least_m: float, n: int, rng: np.random.Generator) -> Float64[Array, "n 2"]:
    """Uniform in the hexagon whose sides face the neighbouring sites, not nearer than `least_m` to its middle."""
    normals = np.stack((np.cos(np.pi / 6 + np.arange(3) * np.pi / 3), np.sin(np.pi / 6 + np.arange(3) * np.pi / 3)))
    tried = rng.uniform(-1.0, 1.0, (3 * n, 2)) * apothem_m * 2 / np.sqrt(3.0)
    fits = (np.abs(tried @ normals) <= apothem_m).all(axis=1) & (np.hypot(*tried.T) >= least_m)
    found: Array = tried[fits][:n]
    if len(found) == n:
        return found
    return np.concatenate((found, _in_hexagon(apothem_m, least_m, n - len(found), rng)))


def links_of(scenario: str, users: Users, rng: np.random.Generator, edition: Edition = TR_38901) -> Links:
    """Every user's links to the nearest image of every site."""
    layout = LAYOUTS[scenario]
    east_m, north_m = nearest_images_m(users, layout)
    ground_m = np.hypot(east_m, north_m)
    height_m = np.broadcast_to(users.height_m[:, None], ground_m.shape)
    slant_m = pathloss.slant_distance_m(ground_m, layout.site_height_m, height_m)
    outdoor_m = np.maximum(ground_m - users.inside_m[:, None], 0.0)
    if scenario == "UMa":
        clutter_m, sight = pathloss.uma_clutter_m(ground_m, height_m, rng), edition.uma_sight(outdoor_m, height_m)
    else:
        clutter_m, sight = np.ones_like(ground_m), pathloss.los_probability(scenario, outdoor_m)
    zenith_deg = np.degrees(np.arccos((height_m - layout.site_height_m) / slant_m))
    bearing_deg = np.degrees(np.arctan2(east_m, north_m))
    return Links(
        ground_m=ground_m,
        slant_m=slant_m,
        clutter_m=clutter_m,
        sight=rng.random(ground_m.shape) < sight,
        shadow_normal=rng.standard_normal(ground_m.shape),
        antenna_db=sectors_db(bearing_deg, zenith_deg),
    )


def nearest_images_m(
    users: Users, layout: Layout
) -> tuple[Float64[Array, "users sites"], Float64[Array, "users sites"]]:
    """East and north offsets of users from the nearest of the seven images of each site."""
    images_m = sites_m(layout.spacing_m)[:, None] + wraps_m(layout.spacing_m)
    east_m = users.x_m[:, None, None] - images_m[None, ..., 0]
    north_m = users.y_m[:, None, None] - images_m[None, ..., 1]
    nearest: Int64[Array, "users sites 1"] = (east_m**2 + north_m**2).argmin(axis=2)[..., None]
    east, north = (np.take_along_axis(offset, nearest, 2)[..., 0] for offset in (east_m, north_m))
    return east, north


def sectors_db(bearing_deg: Array, zenith_deg: Array) -> Float64[Array, "users sites 3"]:
    """Antenna gain of the three sectors of a site towards a user, TR 38.901 clause 7.3."""
    phi_deg = (bearing_deg[..., None] - BORESIGHTS_DEG + 180.0) % 360.0 - 180.0
    column_db = antenna.column_factor_db(zenith_deg, TILT_DEG)
    return antenna.sector_db(phi_deg, zenith_deg[..., None]) + column_db[..., None]


def loss_db(
    scenario: str, carrier_ghz: float, users: Users, links: Links, edition: Edition = TR_38901
) -> Float64[Array, "users sites"]:
    """Path, shadowing and building entry loss."""
    heights = LAYOUTS[scenario].site_height_m, users.height_m[:, None]
    at = (links.ground_m, links.slant_m, carrier_ghz, *heights)
    if scenario == "UMa":
        clear_db = edition.uma_los_db(*at, links.clutter_m)
        blocked_db = pathloss.uma_nlos_db(*at, links.clutter_m)
    else:
        clear_db, blocked_db = pathloss.umi_los_db(*at), pathloss.umi_nlos_db(*at)
    states = pathloss.SHADOWING[scenario]
    sigma_db = np.where(links.sight, states["los"].sigma_db, states["nlos"].sigma_db)
    sigma_db = np.where(users.indoor[:, None], states["o2i"].sigma_db, sigma_db)
    path_db = np.where(links.sight, clear_db, blocked_db)
    return np.asarray(path_db + sigma_db * links.shadow_normal + entry_db(carrier_ghz, users)[:, None])


def entry_db(carrier_ghz: float, users: Users) -> Float64[Array, "users"]:
    """Building entry loss of each user, clause 7.4.3.1; 0 outdoors."""
    wall_db = np.where(users.high_loss, *(pathloss.wall_loss_db(kind, carrier_ghz) for kind in ("high", "low")))
    sigma_db = np.where(users.high_loss, pathloss.WALL_SIGMA_DB["high"], pathloss.WALL_SIGMA_DB["low"])
    inside_db = pathloss.INSIDE_DB_PER_M * users.inside_m
    return np.where(users.indoor, wall_db + inside_db + sigma_db * users.wall_normal, 0.0)


def measured(gain_db: Float64[Array, "users sectors"], carrier: Carrier) -> Measured:
    """Coupling gain, SINR and SIR of the strongest sector, all sectors transmitting at full power."""
    gain, best_db = db_to_linear(gain_db), gain_db.max(axis=1)
    others = gain.sum(axis=1) - gain.max(axis=1)
    noise_db = w_to_dbm(noise_w(carrier.bandwidth_hz, NOISE_FIGURE_DB)) - carrier.power_dbm
    sinr_db = best_db - linear_to_db(others + db_to_linear(noise_db))
    return Measured(best_db, sinr_db, best_db - linear_to_db(others))


def drop(scenario: str, rng: np.random.Generator, edition: Edition = TR_38901) -> Iterator[tuple[Carrier, Measured]]:
    """One drop of a scenario, measured at its three carriers: the same users and states at all of them."""
    users = users_of(LAYOUTS[scenario], rng)
    links = links_of(scenario, users, rng, edition)
    for carrier in CARRIERS[scenario]:
        gain_db = links.antenna_db - loss_db(scenario, carrier.ghz, users, links, edition)[..., None]
        yield carrier, measured(gain_db.reshape(len(gain_db), -1), carrier)
