"""L_s of PL = L_d + L_s + L_f: shadowing by large objects, correlated in space.

A lognormal field per site on the map's raster: Gaussian in dB with autocorrelation
R(d) = exp(-d / d_cor) (Gudmundson 1991, doi:10.1049/el:19911328; TR 38.901 clause 7.4.4).
Users who stand close together see the same shadow, and a user who comes back sees it again.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float32

Array = np.ndarray

_MARGIN = 4.0  # correlation distances between the map and its periodic copy: exp(-4) is 2 %


@lru_cache(maxsize=16)
def _filter(rows: int, cols: int, cell_m: float, correlation_m: float) -> tuple[tuple[int, int], Array]:
    """Size of the torus and the amplitude of every spatial frequency on it."""
    from scipy import fft

    margin = int(np.ceil(_MARGIN * correlation_m / cell_m))
    size = fft.next_fast_len(rows + margin, real=True), fft.next_fast_len(cols + margin, real=True)
    north, east = (np.minimum(np.arange(n), n - np.arange(n)) * cell_m for n in size)
    covariance = np.exp(-np.hypot(north[:, None], east[None, :]) / correlation_m)
    # circulant embedding (Dietrich and Newsam 1997, doi:10.1137/S1064827592240555): the eigenvalues
    # are the transform of the covariance; the few that rounding makes negative are set to zero
    eigenvalues = np.maximum(fft.rfft2(covariance).real, 0.0)
    return size, np.sqrt(eigenvalues).astype(np.float32)


def unit_field(
    rows: int, cols: int, cell_m: float, correlation_m: float, rng: np.random.Generator
) -> Float32[Array, "rows cols"]:
    """A Gaussian field of zero mean and unit variance with R(d) = exp(-d / correlation_m).

    Args:
        rows, cols: size of the raster.
        cell_m: edge of a pixel in metres.
        correlation_m: distance at which the autocorrelation has fallen to 1/e.
        rng: source of the white noise; same state, same field.

    >>> field = unit_field(8, 8, 4.0, 10.0, np.random.default_rng(1))
    >>> field.shape, str(field.dtype)
    ((8, 8), 'float32')
    """
    from scipy import fft

    size, amplitude = _filter(rows, cols, float(cell_m), float(correlation_m))
    noise = rng.standard_normal(size, dtype=np.float32)
    field = fft.irfft2(fft.rfft2(noise) * amplitude, s=size)
    return np.ascontiguousarray(field[:rows, :cols], dtype=np.float32)


def track_shadowing_db(
    step_m: float, n_steps: int, sigma_db: float, correlation_m: float, rng: np.random.Generator
) -> Float32[Array, "n_steps"]:
    """Shadowing along a straight track: the first-order recursion of the same autocorrelation.

    s' = rho s + sqrt(1 - rho^2) sigma n with rho = exp(-step / d_cor), Gudmundson 1991.
    The slow plain reference that the fields are compared with.
    """
    rho = np.exp(-step_m / correlation_m)
    noise = rng.standard_normal(n_steps)
    out = np.empty(n_steps, dtype=np.float32)
    state = noise[0]
    for i in range(n_steps):
        state = state if i == 0 else rho * state + np.sqrt(1.0 - rho**2) * noise[i]
        out[i] = sigma_db * state
    return out
