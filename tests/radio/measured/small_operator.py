"""A small operator whose measurements follow a known law, without a city around it."""

from __future__ import annotations

import numpy as np

from mndt.radio.measured.samples import Ground, MeasuredCells, Samples, bare_ground
from mndt.radio.pathloss import free_space_db

SIDE_M = 1200.0


def cells(n_sites: int = 9, seed: int = 0) -> MeasuredCells:
    """Sites of three sectors at random places."""
    rng = np.random.default_rng(seed)
    site = np.repeat(np.arange(n_sites), 3)
    place = rng.uniform(100.0, SIDE_M - 100.0, (n_sites, 2))[site]
    n = len(site)
    return MeasuredCells(
        name=tuple(f"c{i}" for i in range(n)),
        site=site.astype(np.int32),
        x_m=place[:, 0],
        y_m=place[:, 1],
        height_m=np.full(n, 25.0),
        azimuth_deg=(120.0 * np.arange(n)) % 360.0,
        mechanical_tilt_deg=np.zeros(n),
        electrical_tilt_deg=np.full(n, 4.0),
        power_dbm=np.full(n, 15.0),
        carrier_ghz=np.full(n, 2.0),
        omni=np.zeros(n, bool),
    )


def levels(built: MeasuredCells, x: np.ndarray, y: np.ndarray, slope_db: float) -> np.ndarray:
    """Level of every cell at every place: free space, a further slope, the 65 degree pattern, 12 dB of gain."""
    dx, dy = x[:, None] - built.x_m, y[:, None] - built.y_m
    slant = np.maximum(np.hypot(np.hypot(dx, dy), built.height_m - 1.5), 5.0)
    phi = (np.degrees(np.arctan2(dx, dy)) - built.azimuth_deg + 180.0) % 360.0 - 180.0
    across = np.minimum(12.0 * (phi / 65.0) ** 2, 25.0)
    return np.asarray(15.0 + 12.0 - free_space_db(slant, 2.0) + slope_db * np.log10(slant / 100.0) - across)


def operator(
    n: int = 6000, *, slope_db: float = -20.0, spread_db: float = 6.0, best_server: bool = True, seed: int = 0
) -> tuple[Samples, MeasuredCells, Ground]:
    """Reports of the serving cell (or of any cell that might serve), with independent spread."""
    rng = np.random.default_rng(seed + 100)
    built = cells(seed=seed)
    x, y = rng.uniform(0.0, SIDE_M, (2, n))
    level = levels(built, x, y, slope_db) + rng.normal(0.0, spread_db, (n, len(built)))
    served = level.argmax(axis=1) if best_server else rng.integers(0, len(built), n)
    samples = Samples(served.astype(np.int32), x, y, level[np.arange(n), served])
    return samples, built, bare_ground(samples, built)
