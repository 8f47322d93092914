"""Antenna patterns: power gain in dBi over direction, plain functions on arrays.

Directions are compass azimuths (clockwise from north) and zenith angles (0 up, 90 horizontal), in
degrees. In an antenna's own frame `phi_deg` is the angle from boresight in the horizontal plane and
`theta_deg` the zenith angle. Tilts are positive downwards.

Each cell has its own antenna: one of `PATTERNS` or a table of measured cuts (`AntennaTable`). Sums over
whole maps read all of them from one form, `cut_tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike, NDArray

from mndt.city.model import AntennaTable
from mndt.errors import unknown_name
from mndt.units import linear_to_db

Array = np.ndarray
Db = NDArray[np.float64]
Pattern = Callable[[ArrayLike, ArrayLike, ArrayLike], Db]
"""(phi_deg, theta_deg, electrical_tilt_deg) -> gain in dBi, in the antenna's own frame."""

ELEMENT_GAIN_DBI: Final = 8.0
BEAMWIDTH_DEG: Final = 65.0  # both cuts, half power
FRONT_TO_BACK_DB: Final = 30.0  # and side lobe limit
COLUMN_ELEMENTS: Final = 10
NULL_DB: Final = -120.0
CUT_NODES: Final = 4096
"""Intervals of a tabulated cut: 0.03 degrees near the horizon, 1.8 degrees right above and below."""


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


def table_db(
    table: AntennaTable, phi_deg: ArrayLike, theta_deg: ArrayLike, electrical_tilt_deg: ArrayLike | None = None
) -> Db:
    """Gain in dBi from two measured cuts: G - min(A_H(phi) + A_V(theta), cap), in degrees of the own frame.

    Between whole degrees the cuts are straight lines. The vertical cut of the front half serves all around. No
    direction is weaker than the weakest one measured: `cap` is the largest attenuation of either cut.

    The file's tilt is the tilt of its vertical cut. An electrical tilt set to another value turns that
    cut by the difference, so its shape stays the one that was measured; None = the file's tilt.
    """
    off_deg = 0.0 if electrical_tilt_deg is None else np.asarray(electrical_tilt_deg, float) - table.electrical_tilt_deg
    down_deg = np.asarray(theta_deg, float) - 90.0 - off_deg
    attenuation_db = _around(table.horizontal_db, phi_deg) + _around(table.vertical_db, down_deg)
    return np.asarray(table.gain_dbi - np.minimum(attenuation_db, cap_db(table)))


def cap_db(table: AntennaTable) -> float:
    """The largest attenuation of either cut."""
    return float(max(table.horizontal_db.max(), table.vertical_db.max()))


def _around(cut_db: Array, angle_deg: ArrayLike) -> Db:
    """A cut at any angle, between its whole degrees by straight lines."""
    at = np.asarray(angle_deg, float) % 360.0
    return np.asarray(np.interp(at, np.arange(361.0), np.append(cut_db, cut_db[0])))


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


def pattern_of(name: str, tables: Sequence[AntennaTable] = ()) -> str | AntennaTable:
    """What a cell's `pattern` means in a city with these antennas.

    Raises:
        InputError: neither one of `PATTERNS` nor one of the tables.
    """
    if name in PATTERNS:
        return name
    known = {table.name: table for table in tables}
    if name not in known:
        raise unknown_name("pattern", name, [*PATTERNS, *known])
    return known[name]


def gain_db(
    pattern: str | AntennaTable,
    azimuth_deg: ArrayLike,
    zenith_deg: ArrayLike,
    *,
    boresight_deg: ArrayLike = 0.0,
    mechanical_tilt_deg: ArrayLike = 0.0,
    electrical_tilt_deg: ArrayLike = 0.0,
) -> Db:
    """Gain in dBi of a mounted antenna towards compass directions; all arguments broadcast.

    Args:
        pattern: a name of `PATTERNS`, or a table; see `pattern_of`.
        azimuth_deg, zenith_deg: compass directions.
        boresight_deg, mechanical_tilt_deg: how the antenna is mounted.
        electrical_tilt_deg: of panels and tables, see `table_db`.

    Raises:
        InputError: an unknown pattern.

    >>> float(gain_db("sector", 120.0, 90.0, boresight_deg=120.0))
    8.0
    """
    phi, theta = own_frame_deg(azimuth_deg, zenith_deg, boresight_deg, mechanical_tilt_deg)
    if isinstance(pattern, AntennaTable):
        return table_db(pattern, phi, theta, electrical_tilt_deg)
    if pattern not in PATTERNS:
        raise unknown_name("pattern", pattern, PATTERNS)
    return PATTERNS[pattern](phi, theta, electrical_tilt_deg)


@dataclass(frozen=True)
class Cuts:
    """Antennas in the form that kernels read; a row for each.

    Node n of a cut is at cosine ``2 n / CUT_NODES - 1``. With phi and theta in the own frame::

        gain = gain_db + max(side[cos phi] + vertical[cos theta], -cap_db) + column[cos theta]

    where the side is `right` for phi from 0 to 180 degrees (clockwise) and `left` for the others.
    """

    right: Float32[Array, "antennas nodes"]  # dB, at most 0
    left: Float32[Array, "antennas nodes"]
    vertical: Float32[Array, "antennas nodes"]
    column: Float32[Array, "antennas nodes"]  # array factor in dB, 0 where there is no array
    gain_db: Float32[Array, "antennas"]
    cap_db: Float32[Array, "antennas"]


def cut_tables(names: Sequence[str], electrical_tilt_deg: ArrayLike, tables: Sequence[AntennaTable] = ()) -> Cuts:
    """Cuts of antennas at their electrical tilts, tabulated over the cosines of phi and theta.

    Args:
        names: of `PATTERNS` or of a table, one for each antenna; equal ones at equal tilts are computed once.
        electrical_tilt_deg: one for each antenna.
        tables: the city's antennas.

    Raises:
        InputError: an unknown name.

    >>> cuts = cut_tables(["sector", "omni"], [6.0, 6.0])
    >>> cuts.right.shape, cuts.gain_db.tolist(), cuts.cap_db.tolist()
    ((2, 4097), [8.0, 0.0], [30.0, 0.0])
    """
    tilt_deg = np.broadcast_to(np.asarray(electrical_tilt_deg, float), len(names))
    keys = list(zip(names, tilt_deg.tolist(), strict=True))
    rows = {key: row for row, key in enumerate(dict.fromkeys(keys))}
    of = [rows[key] for key in keys]
    made = [_cuts_of(pattern_of(name, tables), tilt) for name, tilt in rows]
    cuts, peaks = np.empty((4, len(rows), CUT_NODES + 1), np.float32), np.empty((2, len(rows)), np.float32)
    for row, (four, gain, cap) in enumerate(made):
        cuts[:, row], peaks[:, row] = four, (gain, cap)
    return Cuts(*cuts[:, of], *peaks[:, of])


def _cuts_of(pattern: str | AntennaTable, tilt_deg: float) -> tuple[tuple[Db, Db, Db, Db], float, float]:
    """Right, left, vertical and column cut over the cosine; gain and largest attenuation in dB."""
    angle_deg = np.degrees(np.arccos(np.linspace(-1.0, 1.0, CUT_NODES + 1)))
    flat = np.zeros(CUT_NODES + 1)
    if isinstance(pattern, AntennaTable):
        right, left = (-_around(pattern.horizontal_db, side * angle_deg) for side in (1.0, -1.0))
        vertical = -_around(pattern.vertical_db, angle_deg - 90.0 - (tilt_deg - pattern.electrical_tilt_deg))
        return (right, left, vertical, flat), pattern.gain_dbi, cap_db(pattern)
    if pattern == "omni":
        return (flat, flat, flat, flat), 0.0, 0.0
    across, down = horizontal_cut_db(angle_deg), vertical_cut_db(angle_deg)
    column = column_factor_db(angle_deg, tilt_deg) if pattern == "panel" else flat
    return (across, across, down, column), ELEMENT_GAIN_DBI, FRONT_TO_BACK_DB
