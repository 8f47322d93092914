"""How L_f goes on in time and over frequency: Doppler, coherence, and the keys that make draws persist.

Waves from all sides give the complex gain the correlation J0(2 pi f_D tau) over a time tau, f_D = v f / c, hence
J0(2 pi d / wavelength) over a way d = v tau (Clarke 1968, doi:10.1002/j.1538-7305.1968.tb00069.x; Jakes 1974). Echoes
that decay exponentially with an rms delay spread s give 1 / (1 + j 2 pi s F) over a spacing F.

A kernel that draws fading from counters keeps no past. What it needs is a key that stays where the channel stays:
the plane is cut into squares whose side is the way to the first zero of J0, each with a key of its own, and so are the
blocks of a cell into groups. Who keeps still keeps the fading, who moves gets another, who comes back finds the old.
The power correlation over a way is then that of two points in one square, averaged over directions, which differs from
J0^2 by at most 0.14 and has the same integral to 0.1 % (`patch_correlation`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Complex128, Float, Float64, Int, Int32
from numpy.typing import ArrayLike, NDArray

from mndt.radio.fading import R_MAX, amplitude_table
from mndt.units import LIGHT_MPS, db_to_linear

Array = np.ndarray

PATCH_WAVELENGTHS: Final = 2.404825557695773 / (2.0 * np.pi)
"""Side of a square of one key: the way to the first zero of J0(2 pi d / wavelength)."""


def doppler_hz(speed_mps: ArrayLike, carrier_ghz: ArrayLike) -> NDArray[np.float64]:
    """Largest Doppler shift f_D = v f / c.

    >>> float(doppler_hz(1.5, 3.5).round(1))
    17.5
    """
    return np.asarray(np.asarray(speed_mps, np.float64) * np.asarray(carrier_ghz, np.float64) * 1e9 / LIGHT_MPS)


def time_correlation(lag_s: ArrayLike, doppler_hz: ArrayLike) -> NDArray[np.float64]:
    """Correlation of the complex gain of scattered waves, J0(2 pi f_D tau); squared: of a Rayleigh power.

    >>> time_correlation([0.0, 0.01], 10.0).round(3).tolist()
    [1.0, 0.904]
    """
    from scipy.special import j0

    return np.asarray(j0(2.0 * np.pi * np.asarray(doppler_hz, np.float64) * np.asarray(lag_s, np.float64)))


def frequency_correlation(lag_hz: ArrayLike, delay_spread_s: ArrayLike) -> NDArray[np.float64]:
    """Magnitude of the complex gain's correlation, 1 / sqrt(1 + (2 pi s F)^2); squared: of a Rayleigh power.

    >>> float(frequency_correlation(1e6, 1e-6 / (2 * np.pi)).round(3))
    0.707
    """
    turns = 2.0 * np.pi * np.asarray(lag_hz, np.float64) * np.asarray(delay_spread_s, np.float64)
    return np.asarray(1.0 / np.hypot(1.0, turns))


def coherence_hz(delay_spread_s: ArrayLike) -> NDArray[np.float64]:
    """Width 1 / (2 s) of a group of blocks that fade alike.

    Two frequencies at random places of such groups share one with probability 1 - F / width, whose integral is
    that of the power correlation 1 / (1 + (2 pi s F)^2): a band has as many independent parts. The median delay
    spreads of TR 38.901 table 7.5-6 at 3.5 GHz, without line of sight: 0.36 us in UMa, 0.10 us in UMi.

    >>> float(coherence_hz(0.25e-6))
    2000000.0
    """
    return np.asarray(0.5 / np.asarray(delay_spread_s, np.float64))


def patch_correlation(way_m: ArrayLike, wavelength_m: float) -> NDArray[np.float64]:
    """Probability that both ends of a way in a random direction lie in one square: what `fading_keys` gives.

    For d up to the side a: 1 - 4 d / (pi a) + d^2 / (pi a^2); beyond, the integral over the directions that fit.
    """
    d = np.asarray(way_m, np.float64)[..., None] / (PATCH_WAVELENGTHS * wavelength_m)
    angle = (np.arange(512) + 0.5) / 512 * np.pi / 2.0
    along, across = np.maximum(1.0 - d * np.cos(angle), 0.0), np.maximum(1.0 - d * np.sin(angle), 0.0)
    return np.asarray((along * across).mean(axis=-1))


def fading_keys(
    key: int,
    x_m: Float[Array, "users"],
    y_m: Float[Array, "users"],
    carrier_ghz: float,
    *,
    second: int = 0,
    still_s: float | None = None,
    user: Int[Array, "users"] | None = None,
) -> Int32[Array, "users"]:
    """A key of fading for each user, the same as long as the channel stays the same.

    Args:
        key: of the run's stream of fading, the same in every second.
        x_m, y_m: where the users stand.
        carrier_ghz: whose wavelength counts.
        second: of the run.
        still_s: seconds after which people and cars near by have changed the channel of a user who keeps still, at
            moments of the user's own; None = never.
        user: their rows in the population; default: they are all of it.

    Returns:
        Key per user; mix it with the user's row, so that users on one spot fade apart.

    >>> x_m, y_m = np.array([10.0, 10.0, 10.05]), np.array([5.0, 5.0, 5.0])
    >>> a, b, c = fading_keys(1, x_m, y_m, 3.5)
    >>> bool(a == b), bool(a == c)
    (True, False)
    """
    per_m = carrier_ghz * 1e9 / (PATCH_WAVELENGTHS * LIGHT_MPS)
    column, row = (np.floor(np.asarray(at, np.float64) * per_m).astype(np.int64) for at in (x_m, y_m))
    mixed = _mix(_mix(np.uint32(key % 2**32) + _words(column)) ^ _words(row + 0x51ED))
    if still_s is not None:
        user = np.arange(len(column)) if user is None else user.astype(np.int64)
        first = _mix(_words(user)) * 2.0**-32  # users' surroundings change at different times
        mixed = _mix(mixed ^ _words(np.floor(second / still_s + first).astype(np.int64)))
    return mixed.view(np.int32)


def _words(numbers: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Whole numbers spread over 32 bits, neighbours far apart."""
    return ((numbers * np.int64(0x9E3779B1)) & np.int64(0xFFFFFFFF)).astype(np.uint32)


def _mix(word: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """A bijection of 32 bits; every bit of the result depends on every bit given (C. Wellons 2018, lowbias32)."""
    word = word ^ (word >> np.uint32(16))
    word = word * np.uint32(0x7FEB352D)
    word = word ^ (word >> np.uint32(15))
    word = word * np.uint32(0x846CA68B)
    return word ^ (word >> np.uint32(16))


def scattered_gain(
    n: int,
    times_s: Float[Array, "points"],
    offsets_hz: Float[Array, "points"],
    doppler_hz: float,
    delay_spread_s: float,
    rng: np.random.Generator,
    waves: int = 64,
) -> Complex128[Array, "n points"]:
    """Complex gain of `n` links at points in time and frequency, each a sum of plane waves: the slow reference.

    Every wave comes from a random direction after an exponentially distributed delay, with a random phase. Over
    the links the correlations are exactly those above; the distribution is Gaussian up to the number of waves.
    """
    shift_hz = doppler_hz * np.cos(rng.uniform(0.0, 2.0 * np.pi, (n, waves)))
    delay_s, phase = rng.exponential(delay_spread_s, (n, waves)), rng.uniform(0.0, 2.0 * np.pi, (n, waves))
    total = np.zeros((n, len(times_s)), np.complex128)
    for wave in range(waves):
        turns = shift_hz[:, wave, None] * times_s - delay_s[:, wave, None] * offsets_hz
        total += np.exp(1j * (2.0 * np.pi * turns + phase[:, wave, None]))
    return np.asarray(total / np.sqrt(waves))


def sample_track(
    law: str,
    n: int,
    times_s: Float[Array, "points"],
    doppler_hz: float,
    rng: np.random.Generator,
    *,
    rician_k_db: float = 9.0,
    nakagami_m: float = 1.0,
) -> Float64[Array, "n points"]:
    """Fading power of `n` links over time by the physical construction, for tests and studies of one link.

    Rician: a direct wave from a fixed random direction beside the scattered ones. Nakagami, which has no
    construction from waves: the Rayleigh amplitude put through the law's table, so that the distribution is the
    law's and the ranks are those of a Rayleigh link.
    """
    scattered = scattered_gain(n, times_s, np.zeros(len(times_s)), doppler_hz, 0.0, rng)
    if law == "none":
        return np.ones(scattered.shape)
    if law == "rayleigh":
        return np.asarray(np.abs(scattered) ** 2)
    if law == "rician":
        k = float(db_to_linear(rician_k_db))
        shift_hz, phase = doppler_hz * np.cos(rng.uniform(0, 2 * np.pi, (n, 1))), rng.uniform(0, 2 * np.pi, (n, 1))
        direct = np.exp(1j * (2.0 * np.pi * shift_hz * times_s + phase))
        return np.asarray(np.abs(np.sqrt(k / (k + 1.0)) * direct + scattered / np.sqrt(k + 1.0)) ** 2)
    table = amplitude_table(law, nakagami_m=nakagami_m).astype(np.float64)
    return np.asarray(np.interp(np.abs(scattered), np.linspace(0.0, R_MAX, len(table)), table) ** 2)
