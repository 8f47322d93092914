"""L_f(t) of PL = L_d + L_s + L_f: small-scale fading as a random power factor of mean one.

Rayleigh |h|^2 ~ Exp(1); Rician with factor K (power of the direct path over the scattered power);
Nakagami-m |h|^2 ~ Gamma(m, 1/m); or none. Each law has a sampler, a closed-form distribution and an
amplitude table, from which a bank of draws is made that kernels read (docs/decisions/002-fading.md).
Simon and Alouini, Digital Communication over Fading Channels, 2nd ed., table 2.2, doi:10.1002/0471715220.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike, NDArray

from mndt.errors import InputError, unknown_name
from mndt.units import db_to_linear

Array = np.ndarray

LAWS: Final = ("rayleigh", "rician", "nakagami", "none")

BANK_SIZE: Final = 2**15
"""Draws in a bank of fading: a power of two, and small enough to stay in a core's own cache."""

R_MAX: Final = 4.1
"""Last node of the amplitude tables: 1 - p = exp(-R_MAX^2) = 5e-8, beyond a draw of 24 bits."""


def sample_power(
    law: str, shape: tuple[int, ...], rng: np.random.Generator, *, rician_k_db: float = 9.0, nakagami_m: float = 1.0
) -> NDArray[np.float64]:
    """Draw |h|^2 by the law's physical construction, the reference for the tables.

    >>> float(sample_power("rician", (200_000,), np.random.default_rng(1)).mean().round(2))
    1.0
    """
    if law == "none":
        return np.ones(shape)
    if law == "nakagami":
        return rng.gamma(nakagami_m, 1.0 / nakagami_m, shape)
    k = float(db_to_linear(rician_k_db)) if law == "rician" else 0.0
    scatter = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2.0)
    return np.asarray(np.abs(np.sqrt(k / (k + 1.0)) + scatter / np.sqrt(k + 1.0)) ** 2)


def power_cdf(law: str, power: ArrayLike, *, rician_k_db: float = 9.0, nakagami_m: float = 1.0) -> NDArray[np.float64]:
    """P(|h|^2 <= power) in closed form.

    Rayleigh 1 - exp(-x); Rician: noncentral chi-square of 2 (K + 1) x with 2 degrees of freedom and
    noncentrality 2 K; Nakagami: the regularised incomplete gamma function of (m, m x).

    >>> float(power_cdf("rayleigh", np.log(2.0)).round(6))
    0.5
    """
    return -np.expm1(-_hazard(law, np.asarray(power, dtype=np.float64), rician_k_db, nakagami_m))


def _hazard(law: str, power: NDArray[np.float64], rician_k_db: float, nakagami_m: float) -> NDArray[np.float64]:
    """-ln(1 - P(|h|^2 <= power)), accurate in both tails."""
    from scipy import stats

    if law == "rayleigh":
        return power
    if law == "none":
        return np.where(power < 1.0, 0.0, np.inf)
    if law == "rician":
        k = float(db_to_linear(rician_k_db))
        below, above = (tail(2.0 * (k + 1.0) * power, 2, 2.0 * k) for tail in (stats.ncx2.cdf, stats.ncx2.sf))
    else:
        below, above = (tail(nakagami_m * power, nakagami_m) for tail in (stats.gamma.cdf, stats.gamma.sf))
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(below < 0.5, -np.log1p(-below), -np.log(above)), dtype=np.float64)


def amplitude_table(
    law: str, n: int = 1024, *, rician_k_db: float = 9.0, nakagami_m: float = 1.0
) -> Float32[Array, "nodes"]:
    """The fading amplitude sqrt(|h|^2) at n + 1 equidistant nodes of r in [0, R_MAX].

    r = sqrt(-ln(1 - p)) for a uniform p, so r is itself a Rayleigh amplitude: draw r, interpolate
    linearly, and square. For Rayleigh the table is the identity. The mean power of the
    interpolated table is one.
    """
    r = np.linspace(0.0, R_MAX, n + 1)
    if law == "none":
        return np.ones(n + 1, dtype=np.float32)
    if law == "rayleigh":
        amplitude = r
    else:
        fine = np.linspace(0.0, _largest_amplitude(law, rician_k_db, nakagami_m), 32 * n + 1)
        r_of_fine = np.sqrt(_hazard(law, fine**2, rician_k_db, nakagami_m))
        known = np.isfinite(r_of_fine)
        r_of_fine = np.maximum.accumulate(r_of_fine[known])
        first = np.searchsorted(r_of_fine, 0.0, side="right") - 1  # several zeros where the CDF underflows
        amplitude = np.asarray(np.interp(r, r_of_fine[first:], fine[known][first:]), dtype=np.float64)
    return np.asarray(amplitude / np.sqrt(mean_power(amplitude)), dtype=np.float32)


def _largest_amplitude(law: str, rician_k_db: float, nakagami_m: float) -> float:
    """An amplitude that is exceeded with a probability below exp(-R_MAX^2)."""
    if law == "rician":
        k = float(db_to_linear(rician_k_db))
        return float((np.sqrt(k) + R_MAX) / np.sqrt(k + 1.0)) + 0.2
    largest = 1.0
    while _hazard(law, np.asarray(largest**2), rician_k_db, nakagami_m) < R_MAX**2:
        largest *= 1.2
    return largest


def mean_power(amplitude: ArrayLike) -> float:
    """Mean of the squared, linearly interpolated table under the density 2 r exp(-r^2).

    >>> round(mean_power(np.linspace(0.0, R_MAX, 1025)), 5)
    1.0
    """
    table = np.asarray(amplitude, dtype=np.float64)
    r = np.linspace(0.0, R_MAX, len(table))
    nodes, weights = np.polynomial.legendre.leggauss(4)
    share = 0.5 * (nodes + 1.0)
    step = r[1] - r[0]
    at = r[:-1, None] + share * step
    value = table[:-1, None] * (1.0 - share) + table[1:, None] * share
    inside = float(np.sum(0.5 * step * weights * 2.0 * at * np.exp(-(at**2)) * value**2))
    return inside + float(np.exp(-(R_MAX**2)) * table[-1] ** 2)


@dataclass(frozen=True)
class FadingLaw:
    """Which law fades a link with and without line of sight.

    Defaults: Rician of 9 dB with line of sight (TR 38.901 table 7.5-6, UMi) and Rayleigh without.

    Raises:
        InputError: an unknown law, K outside -20..30 dB or m outside 0.5..50.

    >>> FadingLaw().bank(n=4).shape
    (2, 4)
    """

    los: str = "rician"
    nlos: str = "rayleigh"
    rician_k_db: float = 9.0
    nakagami_m: float = 1.0

    def __post_init__(self) -> None:
        for field in ("los", "nlos"):
            if getattr(self, field) not in LAWS:
                raise unknown_name(f"{field}_fading", getattr(self, field), LAWS)
        if not -20.0 <= self.rician_k_db <= 30.0:
            raise InputError("rician_k_db", self.rician_k_db, allowed="-20 to 30 dB", fix="9 dB is typical outdoors")
        if not 0.5 <= self.nakagami_m <= 50.0:
            raise InputError("nakagami_m", self.nakagami_m, allowed="0.5 to 50", fix="1 is Rayleigh")

    def bank(self, n: int = BANK_SIZE, margin: int = 0) -> Float32[Array, "2 draws"]:
        """Shuffled draws of the fading power, row 0 for links without, row 1 for links with line of sight.

        The draws are the law's own quantiles, so the bank follows the distribution to 1 / n and has a
        mean of exactly one. A receiver reads a random window of it, one draw a cell; the last
        `margin` draws repeat the first, so that a window never ends.

        >>> bank = FadingLaw(los="none").bank(n=256, margin=8)
        >>> bank.shape, float(bank[1].max()), bool((bank[:, :8] == bank[:, 256:]).all())
        ((2, 264), 1.0, True)
        """
        upper = (np.arange(n) + 0.5) / n  # of 1 - p: the tail of strong draws is the finer one
        r = np.sqrt(-np.log(upper))[np.random.default_rng(0).permutation(n)]
        rows = []
        for law in (self.nlos, self.los):
            table = amplitude_table(law, rician_k_db=self.rician_k_db, nakagami_m=self.nakagami_m).astype(np.float64)
            power = np.interp(r, np.linspace(0.0, R_MAX, len(table)), table) ** 2
            rows.append(power / power.mean())
        return np.pad(np.stack(rows), ((0, 0), (0, margin)), mode="wrap").astype(np.float32)
