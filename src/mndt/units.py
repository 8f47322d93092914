"""Unit conversions and physical constants: the only place where ``10 ** (x / 10)`` appears.

Inside the twin power is in watts and gains are linear; dBm and dB appear at the border only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LIGHT_MPS = 299_792_458.0
"""Speed of light in vacuum, m/s (exact, SI)."""

THERMAL_NOISE_DBM_PER_HZ = -174.0
"""Thermal noise density of the paper's Table I (kT at 288 K is -174.0 dBm/Hz)."""


def db_to_linear(value_db: ArrayLike) -> NDArray[np.float64]:
    """Power ratio of a level in dB: ``10 ** (dB / 10)``.

    >>> float(db_to_linear(3.0103).round(4))
    2.0
    """
    return np.asarray(10.0 ** (np.asarray(value_db, dtype=np.float64) / 10.0))


def linear_to_db(ratio: ArrayLike) -> NDArray[np.float64]:
    """Level in dB of a power ratio; 0 gives -inf without a warning.

    >>> float(linear_to_db(100.0))
    20.0
    """
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(np.asarray(ratio, dtype=np.float64)))


def dbm_to_w(power_dbm: ArrayLike) -> NDArray[np.float64]:
    """Power in watts of a level in dBm.

    >>> float(dbm_to_w(30.0))
    1.0
    """
    return db_to_linear(power_dbm) * 1e-3


def w_to_dbm(power_w: ArrayLike) -> NDArray[np.float64]:
    """Level in dBm of a power in watts; 0 W gives -inf.

    >>> float(w_to_dbm(1.0))
    30.0
    """
    return linear_to_db(np.asarray(power_w, dtype=np.float64) * 1e3)


def noise_w(bandwidth_hz: float, noise_figure_db: float = 0.0) -> float:
    """Thermal noise power in watts: density of Table I times bandwidth times noise figure.

    >>> f"{noise_w(180e3):.2e}"
    '7.17e-16'
    """
    return float(dbm_to_w(THERMAL_NOISE_DBM_PER_HZ + noise_figure_db)) * bandwidth_hz
