"""L_d of PL = L_d + L_s + L_f: the mean loss over distance, plain functions on arrays.

Free space, log-distance, and the outdoor and indoor scenarios of 3GPP TR 38.901 V17 clause 7.4.
Arguments broadcast. `ground_m` is the distance on the map (d_2D of the report), `slant_m` the
straight line between the antennas (d_3D), heights are above ground, carriers are in GHz as in the
report, losses are positive dB. TR 38.901 losses already contain the clutter of their scenario.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mndt.units import LIGHT_MPS, db_to_linear, linear_to_db

Db = NDArray[np.float64]

_C_MPS = 3.0e8  # TR 38.901 rounds the speed of light in its break points
_LEAST_EFFECTIVE_HEIGHT_M = 0.1  # keeps the break point positive for antennas at the height of the clutter

SCENARIOS: Final = ("UMi", "UMa", "RMa", "InH")


def slant_distance_m(ground_m: ArrayLike, site_height_m: ArrayLike, user_height_m: ArrayLike) -> Db:
    """Straight distance d_3D = sqrt(d_2D^2 + (h_BS - h_UT)^2) in metres.

    >>> float(slant_distance_m(4.0, 4.5, 1.5))
    5.0
    """
    return np.asarray(np.hypot(ground_m, np.subtract(site_height_m, user_height_m)), dtype=np.float64)


def free_space_db(slant_m: ArrayLike, carrier_ghz: ArrayLike) -> Db:
    """Free-space loss 20 lg(4 pi d f / c), Rec. ITU-R P.525-4 eq. (3).

    >>> float(free_space_db(100.0, 3.5).round(2))
    83.33
    """
    wavelength_m = LIGHT_MPS / (np.asarray(carrier_ghz, dtype=np.float64) * 1e9)
    return np.asarray(20.0 * np.log10(4.0 * np.pi * np.asarray(slant_m, dtype=np.float64) / wavelength_m))


def log_distance_db(slant_m: ArrayLike, carrier_ghz: ArrayLike, exponent: ArrayLike, reference_m: float = 1.0) -> Db:
    """Log-distance loss: free space up to `reference_m`, then 10 n lg(d / d_0) with exponent n.

    >>> bool(np.isclose(log_distance_db(250.0, 3.5, 2.0), free_space_db(250.0, 3.5)))
    True
    """
    beyond_db = 10.0 * np.asarray(exponent) * np.log10(np.asarray(slant_m, dtype=np.float64) / reference_m)
    return np.asarray(free_space_db(reference_m, carrier_ghz) + beyond_db)


def break_point_m(
    carrier_ghz: ArrayLike, site_height_m: ArrayLike, user_height_m: ArrayLike, clutter_m: ArrayLike = 1.0
) -> Db:
    """Break point d'_BP = 4 (h_BS - h_E)(h_UT - h_E) f / c of UMi and UMa, table 7.4.1-1 note 1.

    `clutter_m` is the effective environment height h_E: 1 m in UMi, and in UMa for users below 13 m.

    >>> float(break_point_m(3.5, 10.0, 1.5))
    210.0
    """
    site_m = np.maximum(np.subtract(site_height_m, clutter_m), _LEAST_EFFECTIVE_HEIGHT_M)
    user_m = np.maximum(np.subtract(user_height_m, clutter_m), _LEAST_EFFECTIVE_HEIGHT_M)
    return np.asarray(4.0 * site_m * user_m * np.asarray(carrier_ghz) * 1e9 / _C_MPS)


def _two_slopes_db(
    intercept_db: float,
    slope: float,
    correction: float,
    ground_m: ArrayLike,
    slant_m: ArrayLike,
    carrier_ghz: ArrayLike,
    rise_m: ArrayLike,
    break_m: ArrayLike,
) -> Db:
    lg_slant, frequency_db = np.log10(slant_m), 20.0 * np.log10(carrier_ghz)
    near_db = intercept_db + slope * lg_slant + frequency_db
    bend_m2 = np.square(break_m) + np.square(rise_m)
    far_db = intercept_db + 40.0 * lg_slant + frequency_db - correction * np.log10(bend_m2)
    return np.asarray(np.where(np.less_equal(ground_m, break_m), near_db, far_db))


def umi_los_db(
    ground_m: ArrayLike, slant_m: ArrayLike, carrier_ghz: ArrayLike, site_height_m: ArrayLike, user_height_m: ArrayLike
) -> Db:
    """UMi street canyon with line of sight, table 7.4.1-1; 10 m to 5 km, sigma 4 dB."""
    break_m = break_point_m(carrier_ghz, site_height_m, user_height_m)
    rise_m = np.subtract(site_height_m, user_height_m)
    return _two_slopes_db(32.4, 21.0, 9.5, ground_m, slant_m, carrier_ghz, rise_m, break_m)


def umi_nlos_db(
    ground_m: ArrayLike, slant_m: ArrayLike, carrier_ghz: ArrayLike, site_height_m: ArrayLike, user_height_m: ArrayLike
) -> Db:
    """UMi street canyon without line of sight, table 7.4.1-1: never below `umi_los_db`."""
    frequency_db = 21.3 * np.log10(carrier_ghz)
    own_db = 35.3 * np.log10(slant_m) + 22.4 + frequency_db - 0.3 * np.subtract(user_height_m, 1.5)
    return np.maximum(umi_los_db(ground_m, slant_m, carrier_ghz, site_height_m, user_height_m), own_db)


def uma_los_db(
    ground_m: ArrayLike,
    slant_m: ArrayLike,
    carrier_ghz: ArrayLike,
    site_height_m: ArrayLike,
    user_height_m: ArrayLike,
    clutter_m: ArrayLike = 1.0,
) -> Db:
    """UMa with line of sight, table 7.4.1-1; 10 m to 5 km. `clutter_m`: see `uma_clutter_m`."""
    break_m = break_point_m(carrier_ghz, site_height_m, user_height_m, clutter_m)
    rise_m = np.subtract(site_height_m, user_height_m)
    return _two_slopes_db(28.0, 22.0, 9.0, ground_m, slant_m, carrier_ghz, rise_m, break_m)


def uma_nlos_db(
    ground_m: ArrayLike,
    slant_m: ArrayLike,
    carrier_ghz: ArrayLike,
    site_height_m: ArrayLike,
    user_height_m: ArrayLike,
    clutter_m: ArrayLike = 1.0,
) -> Db:
    """UMa without line of sight, table 7.4.1-1: never below `uma_los_db`."""
    frequency_db = 20.0 * np.log10(carrier_ghz)
    own_db = 13.54 + 39.08 * np.log10(slant_m) + frequency_db - 0.6 * np.subtract(user_height_m, 1.5)
    los_db = uma_los_db(ground_m, slant_m, carrier_ghz, site_height_m, user_height_m, clutter_m)
    return np.maximum(los_db, own_db)


def uma_clutter_m(ground_m: ArrayLike, user_height_m: ArrayLike, rng: np.random.Generator) -> Db:
    """Draw the effective environment height h_E of UMa links in metres, table 7.4.1-1 note 1.

    1 m with probability 1 / (1 + C), else uniform on 12, 15, ..., h_UT - 1.5; C is 0 below 13 m.
    """
    ground, height = np.broadcast_arrays(np.asarray(ground_m, float), np.asarray(user_height_m, float))
    above = np.maximum(height - 13.0, 0.0) / 10.0
    bump = np.where(ground > 18.0, 1.25 * (ground / 100.0) ** 3 * np.exp(-ground / 150.0), 0.0)
    is_low = rng.random(ground.shape) <= 1.0 / (1.0 + bump * above**1.5)
    steps = np.maximum(np.floor((height - 1.5 - 12.0) / 3.0) + 1.0, 1.0)
    high_m = 12.0 + 3.0 * np.floor(rng.random(ground.shape) * steps)
    return np.where(is_low, 1.0, high_m)


def _rma_pl1_db(slant_m: ArrayLike, carrier_ghz: ArrayLike, roof_m: float) -> Db:
    slope = 20.0 + min(0.03 * roof_m**1.72, 10.0)
    constant_db = 20.0 * np.log10(40.0 * np.pi * np.asarray(carrier_ghz) / 3.0) - min(0.044 * roof_m**1.72, 14.77)
    return np.asarray(constant_db + slope * np.log10(slant_m) + 0.002 * np.log10(roof_m) * np.asarray(slant_m))


def rma_break_point_m(carrier_ghz: ArrayLike, site_height_m: ArrayLike, user_height_m: ArrayLike) -> Db:
    """Break point d_BP = 2 pi h_BS h_UT f / c of RMa, table 7.4.1-1 note 5."""
    heights_m2 = np.multiply(site_height_m, user_height_m)
    return np.asarray(2.0 * np.pi * heights_m2 * np.asarray(carrier_ghz) * 1e9 / _C_MPS)


def rma_los_db(
    ground_m: ArrayLike,
    slant_m: ArrayLike,
    carrier_ghz: ArrayLike,
    site_height_m: ArrayLike,
    user_height_m: ArrayLike,
    roof_m: float = 5.0,
) -> Db:
    """RMa with line of sight, table 7.4.1-1; `roof_m` is the mean building height h."""
    break_m = rma_break_point_m(carrier_ghz, site_height_m, user_height_m)
    near_db = _rma_pl1_db(slant_m, carrier_ghz, roof_m)
    far_db = _rma_pl1_db(break_m, carrier_ghz, roof_m) + 40.0 * np.log10(np.asarray(slant_m) / break_m)
    return np.asarray(np.where(np.less_equal(ground_m, break_m), near_db, far_db))


def rma_nlos_db(
    ground_m: ArrayLike,
    slant_m: ArrayLike,
    carrier_ghz: ArrayLike,
    site_height_m: ArrayLike,
    user_height_m: ArrayLike,
    roof_m: float = 5.0,
    street_m: float = 20.0,
) -> Db:
    """RMa without line of sight, table 7.4.1-1; `street_m` is the mean street width W."""
    site, lg_site = np.asarray(site_height_m, float), np.log10(site_height_m)
    own_db = (
        161.04
        - 7.1 * np.log10(street_m)
        + 7.5 * np.log10(roof_m)
        - (24.37 - 3.7 * (roof_m / site) ** 2) * lg_site
        + (43.42 - 3.1 * lg_site) * (np.log10(slant_m) - 3.0)
        + 20.0 * np.log10(carrier_ghz)
        - (3.2 * np.square(np.log10(11.75 * np.asarray(user_height_m))) - 4.97)
    )
    los_db = rma_los_db(ground_m, slant_m, carrier_ghz, site_height_m, user_height_m, roof_m)
    return np.asarray(np.maximum(los_db, own_db), dtype=np.float64)


def inh_los_db(slant_m: ArrayLike, carrier_ghz: ArrayLike) -> Db:
    """InH office with line of sight, table 7.4.1-1; 1 to 150 m.

    >>> float(inh_los_db(10.0, 1.0).round(1))
    49.7
    """
    return np.asarray(32.4 + 17.3 * np.log10(slant_m) + 20.0 * np.log10(carrier_ghz))


def inh_nlos_db(slant_m: ArrayLike, carrier_ghz: ArrayLike) -> Db:
    """InH office without line of sight, table 7.4.1-1: never below `inh_los_db`."""
    own_db = 38.3 * np.log10(slant_m) + 17.3 + 24.9 * np.log10(carrier_ghz)
    return np.maximum(inh_los_db(slant_m, carrier_ghz), own_db)


def loss_db(
    scenario: str,
    line_of_sight: ArrayLike,
    ground_m: ArrayLike,
    slant_m: ArrayLike,
    carrier_ghz: ArrayLike,
    site_height_m: ArrayLike,
    user_height_m: ArrayLike,
) -> Db:
    """Mean loss of a scenario ("UMi", "UMa", "RMa", "InH") with the state chosen per link.

    >>> float(loss_db("UMi", True, 100.0, 100.36, 3.5, 10.0, 1.5).round(2))
    85.31
    """
    if scenario == "InH":
        clear_db, blocked_db = inh_los_db(slant_m, carrier_ghz), inh_nlos_db(slant_m, carrier_ghz)
    else:
        clear, blocked = {
            "UMi": (umi_los_db, umi_nlos_db),
            "UMa": (uma_los_db, uma_nlos_db),
            "RMa": (rma_los_db, rma_nlos_db),
        }[scenario]
        clear_db = clear(ground_m, slant_m, carrier_ghz, site_height_m, user_height_m)
        blocked_db = blocked(ground_m, slant_m, carrier_ghz, site_height_m, user_height_m)
    return np.asarray(np.where(line_of_sight, clear_db, blocked_db))


def los_probability(scenario: str, ground_m: ArrayLike, user_height_m: ArrayLike = 1.5) -> Db:
    """Probability of line of sight over the outdoor ground distance, table 7.4.2-1.

    Scenarios: "UMi", "UMa", "RMa", "InH" (mixed office) and "InH-open" (open office).

    >>> los_probability("UMi", [10.0, 100.0]).round(4).tolist()
    [1.0, 0.231]
    """
    d = np.asarray(ground_m, dtype=np.float64)
    if scenario == "RMa":
        return np.asarray(np.exp(-np.maximum(d - 10.0, 0.0) / 1000.0))
    if scenario == "InH":
        far = 0.32 * np.exp(-(d - 6.5) / 32.6)
        return np.where(d < 6.5, np.exp(-np.maximum(d - 1.2, 0.0) / 4.7), far)
    if scenario == "InH-open":
        far = 0.54 * np.exp(-(d - 49.0) / 211.7)
        return np.where(d <= 49.0, np.exp(-np.maximum(d - 5.0, 0.0) / 70.8), far)
    reach_m = {"UMi": 36.0, "UMa": 63.0}[scenario]
    beyond = np.maximum(d, 18.0)
    p = 18.0 / beyond + np.exp(-beyond / reach_m) * (1.0 - 18.0 / beyond)
    if scenario == "UMa":
        tall = (np.maximum(np.subtract(user_height_m, 13.0), 0.0) / 10.0) ** 1.5
        p = np.where(d <= 18.0, 1.0, p * (1.0 + tall * 1.25 * (beyond / 100.0) ** 3 * np.exp(-beyond / 150.0)))
    return np.minimum(p, 1.0)


INSIDE_DB_PER_M: Final = 0.5
"""Loss per metre of path inside a building, PL_in = 0.5 d_2D-in, table 7.4.3-2."""

WALL_SIGMA_DB: Final = {"low": 4.4, "high": 6.5}
"""Standard deviation sigma_P of the wall loss from building to building, table 7.4.3-2."""


def wall_loss_db(kind: str, carrier_ghz: ArrayLike) -> Db:
    """Building entry loss PL_tw of a "low" or "high" loss facade, tables 7.4.3-1 and 7.4.3-2.

    Low: 30 % plain glass and 70 % concrete; high: 70 % infra-red reflecting glass, 30 % concrete.

    >>> [float(wall_loss_db(kind, 3.5).round(2)) for kind in ("low", "high")]
    [12.7, 26.85]
    """
    f = np.asarray(carrier_ghz, dtype=np.float64)
    concrete_db = 5.0 + 4.0 * f
    glass_db, glass_share = {"low": (2.0 + 0.2 * f, 0.3), "high": (23.0 + 0.3 * f, 0.7)}[kind]
    through = glass_share * db_to_linear(-glass_db) + (1.0 - glass_share) * db_to_linear(-concrete_db)
    return 5.0 - linear_to_db(through)


class ShadowState(NamedTuple):
    """Shadowing of one state: standard deviation and correlation distance, tables 7.4.1-1, 7.5-6."""

    sigma_db: float
    correlation_m: float


SHADOWING: Final[dict[str, dict[str, ShadowState]]] = {
    "UMi": {"los": ShadowState(4.0, 10.0), "nlos": ShadowState(7.82, 13.0), "o2i": ShadowState(7.0, 7.0)},
    "UMa": {"los": ShadowState(4.0, 37.0), "nlos": ShadowState(6.0, 50.0), "o2i": ShadowState(7.0, 7.0)},
    "RMa": {"los": ShadowState(4.0, 37.0), "nlos": ShadowState(8.0, 120.0), "o2i": ShadowState(8.0, 120.0)},
    "InH": {"los": ShadowState(3.0, 10.0), "nlos": ShadowState(8.03, 6.0)},
}
"""Shadowing per scenario and state, drawn per site and shared by its sectors (clause 7.5 step 4).

"o2i": from outdoors to a user indoors, on top of the wall loss and its deviation; InH has no such column. The values
were compared with two public implementations of the report; see docs/propagation.md.
"""

RMA_FAR_SIGMA_DB: Final = 6.0
"""RMa with line of sight beyond the break point, table 7.4.1-1."""


@dataclass(frozen=True)
class LossLaw:
    """A scenario folded for one carrier and one pair of heights, so that a kernel needs one logarithm.

    With L = lg(slant_m), loss with line of sight is ``near_db + near_slope L + near_db_per_m slant_m``
    up to `break_m` (ground distance) and ``far_db + far_slope L`` beyond; without line of sight the
    larger of that and ``nlos_db + nlos_slope L``.
    """

    near_db: float
    near_slope: float
    near_db_per_m: float
    far_db: float
    far_slope: float
    nlos_db: float
    nlos_slope: float
    break_m: float

    def loss_db(self, line_of_sight: ArrayLike, ground_m: ArrayLike, slant_m: ArrayLike) -> Db:
        """Loss in dB; equals the scenario's own functions."""
        lg, slant = np.log10(slant_m), np.asarray(slant_m)
        near_db = self.near_db + self.near_slope * lg + self.near_db_per_m * slant
        clear_db = np.where(np.less_equal(ground_m, self.break_m), near_db, self.far_db + self.far_slope * lg)
        return np.where(line_of_sight, clear_db, np.maximum(clear_db, self.nlos_db + self.nlos_slope * lg))


def loss_law(scenario: str, carrier_ghz: float, site_height_m: float, user_height_m: float) -> LossLaw:
    """Fold "UMi", "UMa" (users below 13 m), "RMa" or "InH" for one carrier and one pair of heights."""
    at_1_m = (carrier_ghz, site_height_m, user_height_m)
    if scenario == "InH":
        near, beyond = float(inh_los_db(1.0, carrier_ghz)), np.inf
        return LossLaw(near, 17.3, 0.0, near, 17.3, 17.3 + 24.9 * float(np.log10(carrier_ghz)), 38.3, beyond)
    if scenario == "RMa":
        per_m = 0.002 * float(np.log10(5.0))
        near = float(_rma_pl1_db(1.0, carrier_ghz, 5.0)) - per_m
        far = float(rma_los_db(np.inf, 1.0, *at_1_m))
        slope = 43.42 - 3.1 * float(np.log10(site_height_m))
        # 1 mm of slant distance would let the LoS law win: read the NLoS line far out and walk it back
        nlos = float(rma_nlos_db(0.0, 1e3, *at_1_m)) - 3.0 * slope
        return LossLaw(near, 20.0 + 0.03 * 5.0**1.72, per_m, far, 40.0, nlos, slope, float(rma_break_point_m(*at_1_m)))
    los, slope, nlos_slope = {"UMi": (umi_los_db, 21.0, 35.3), "UMa": (uma_los_db, 22.0, 39.08)}[scenario]
    near, far = float(los(0.0, 1.0, *at_1_m)), float(los(np.inf, 1.0, *at_1_m))
    lg_f = float(np.log10(carrier_ghz))
    if scenario == "UMi":
        nlos = 22.4 + 21.3 * lg_f - 0.3 * (user_height_m - 1.5)
    else:
        nlos = 13.54 + 20.0 * lg_f - 0.6 * (user_height_m - 1.5)
    return LossLaw(near, slope, 0.0, far, 40.0, nlos, nlos_slope, float(break_point_m(*at_1_m)))
