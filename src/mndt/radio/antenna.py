"""Antenna patterns: power gain in dBi over direction, plain functions on arrays.

Directions are compass azimuths (clockwise from north) and zenith angles (0 up, 90 horizontal), in
degrees. In an antenna's own frame `phi_deg` is the angle from boresight in the horizontal plane and
`theta_deg` the zenith angle. Tilts are positive downwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mndt.errors import unknown_name
from mndt.units import linear_to_db

Db = NDArray[np.float64]
Pattern = Callable[[ArrayLike, ArrayLike, ArrayLike], Db]
"""(phi_deg, theta_deg, electrical_tilt_deg) -> gain in dBi, in the antenna's own frame."""

ELEMENT_GAIN_DBI: Final = 8.0
BEAMWIDTH_DEG: Final = 65.0  # both cuts, half power
FRONT_TO_BACK_DB: Final = 30.0  # and side lobe limit
COLUMN_ELEMENTS: Final = 10
NULL_DB: Final = -120.0


def horizontal_cut_db(phi_deg: ArrayLike) -> Db:
    """A_H = -min(12 (phi / 65)^2, 30), TR 38.901 table 7.3-1. `phi_deg` in (-180, 180].

    >>> horizontal_cut_db([0.0, 32.5, 180.0]).tolist()
    [-0.0, -3.0, -30.0]
    """
    return -np.minimum(12.0 * np.square(np.asarray(phi_deg, float) / BEAMWIDTH_DEG), FRONT_TO_BACK_DB)


def vertical_cut_db(theta_deg: ArrayLike) -> Db:
    """A_V = -min(12 ((theta - 90) / 65)^2, 30), TR 38.901 table 7.3-1."""
    return -np.minimum(12.0 * np.square((np.asarray(theta_deg, float) - 90.0) / BEAMWIDTH_DEG), FRONT_TO_BACK_DB)


def column_factor_db(theta_deg: ArrayLike, electrical_tilt_deg: ArrayLike, elements: int = COLUMN_ELEMENTS) -> Db:
    """Array factor of a vertical column at half a wavelength, steered to zenith 90 + tilt.

    10 lg(|sum_m exp(j m psi)|^2 / M) with psi = pi (cos theta - cos theta_t), TR 36.897 clause 5.2.2.

    >>> float(column_factor_db(96.0, 6.0))
    10.0
    """
    steer = np.cos(np.radians(90.0 + np.asarray(electrical_tilt_deg, float)))
    psi = np.pi * (np.cos(np.radians(np.asarray(theta_deg, float))) - steer)
    total = np.abs(np.exp(1j * psi[..., None] * np.arange(elements)).sum(axis=-1)) ** 2
    return np.maximum(linear_to_db(total / elements), NULL_DB)


def omni_db(phi_deg: ArrayLike, theta_deg: ArrayLike, electrical_tilt_deg: ArrayLike = 0.0) -> Db:
    """0 dBi in every direction."""
    return np.zeros(np.broadcast_shapes(np.shape(phi_deg), np.shape(theta_deg), np.shape(electrical_tilt_deg)))


def sector_db(phi_deg: ArrayLike, theta_deg: ArrayLike, electrical_tilt_deg: ArrayLike = 0.0) -> Db:
    """One element of TR 38.901 table 7.3-1: 8 dBi, 65 x 65 degrees, 30 dB front to back.

    8 - min(-(A_V + A_H), 30). Electrical tilt has no effect on a single element.

    >>> float(sector_db(0.0, 90.0)), float(sector_db(180.0, 90.0))
    (8.0, -22.0)
    """
    del electrical_tilt_deg
    attenuation_db = -(horizontal_cut_db(phi_deg) + vertical_cut_db(theta_deg))
    return ELEMENT_GAIN_DBI - np.minimum(attenuation_db, FRONT_TO_BACK_DB)


def panel_db(phi_deg: ArrayLike, theta_deg: ArrayLike, electrical_tilt_deg: ArrayLike = 0.0) -> Db:
    """The element times a vertical column of ten: 18 dBi, about 10 degrees high, electrical tilt.

    >>> float(panel_db(0.0, 90.0, 0.0))
    18.0
    """
    return sector_db(phi_deg, theta_deg) + column_factor_db(theta_deg, electrical_tilt_deg)


PATTERNS: Final[dict[str, Pattern]] = {"omni": omni_db, "sector": sector_db, "panel": panel_db}
"""Patterns by name, the names of `mndt.city.schema.PATTERNS`."""


def own_frame_deg(
    azimuth_deg: ArrayLike, zenith_deg: ArrayLike, boresight_deg: ArrayLike, mechanical_tilt_deg: ArrayLike
) -> tuple[Db, Db]:
    """Directions in the frame of an antenna turned to a bearing and then tilted down.

    Returns:
        phi_deg in (-180, 180] and theta_deg in [0, 180], TR 38.901 clause 7.1.3 with
        bearing and downtilt only.
    """
    azimuth, zenith = np.radians(azimuth_deg), np.radians(zenith_deg)
    boresight, tilt = np.radians(boresight_deg), np.radians(mechanical_tilt_deg)
    level, up = np.sin(zenith), np.cos(zenith)
    ahead, right = level * np.cos(azimuth - boresight), level * np.sin(azimuth - boresight)
    forward = ahead * np.cos(tilt) - up * np.sin(tilt)
    upward = ahead * np.sin(tilt) + up * np.cos(tilt)
    theta = np.degrees(np.arccos(np.clip(upward, -1.0, 1.0)))
    return np.asarray(np.degrees(np.arctan2(right, forward))), np.asarray(theta)


def gain_db(
    pattern: str,
    azimuth_deg: ArrayLike,
    zenith_deg: ArrayLike,
    *,
    boresight_deg: ArrayLike = 0.0,
    mechanical_tilt_deg: ArrayLike = 0.0,
    electrical_tilt_deg: ArrayLike = 0.0,
) -> Db:
    """Gain in dBi of a mounted antenna towards compass directions; all arguments broadcast.

    Raises:
        InputError: an unknown pattern.

    >>> float(gain_db("sector", 120.0, 90.0, boresight_deg=120.0))
    8.0
    """
    if pattern not in PATTERNS:
        raise unknown_name("pattern", pattern, PATTERNS)
    phi, theta = own_frame_deg(azimuth_deg, zenith_deg, boresight_deg, mechanical_tilt_deg)
    return PATTERNS[pattern](phi, theta, electrical_tilt_deg)
