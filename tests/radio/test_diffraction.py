"""The diffraction sweep against closed forms, and against a slow reference that searches whole profiles."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.radio.diffraction import (
    INSIDE_DB,
    Surface,
    pixels_of,
    surface_of,
    surface_of_terrain,
    sweep,
    to_pixels,
)
from mndt.units import LIGHT_MPS

GHZ = 3.5
WAVELENGTH_M = LIGHT_MPS / (GHZ * 1e9)


def surface(roof_m, ground_m=None, cell_m=2.0):
    roof_m = np.asarray(roof_m, np.float32)
    building = np.where(roof_m > 0, np.arange(roof_m.size).reshape(roof_m.shape), -1).astype(np.int32)
    return Surface(cell_m, roof_m, building, None if ground_m is None else np.asarray(ground_m, np.float32))


def bullington_db(v, d_m):
    """Recommendation ITU-R P.526-16 annex 1: J(v) of clause 4.1, the term for long paths of clause 4.5.1."""
    edge_db = 6.9 + 20 * math.log10(math.sqrt((v - 0.1) ** 2 + 1) + v - 0.1)
    return edge_db + (1 - math.exp(-edge_db / 6)) * (10 + 0.02 * d_m / 1000)


def slow_loss(profile, antenna_m, user_m, d_m):
    """Loss and departure slope over profile points (distance, altitude): every point against both ends."""
    to_user = (user_m - antenna_m) / d_m
    slopes = [(z - antenna_m) / d for d, z in profile]
    if not slopes or max(slopes) <= to_user:
        return 0.0, to_user
    out = max(slopes)
    back = max((z - user_m) / (d_m - d) for d, z in profile)
    apex = (user_m - antenna_m + back * d_m) / (out + back)
    top_m = antenna_m + out * apex
    detour_m = (
        math.hypot(apex, top_m - antenna_m)
        + math.hypot(d_m - apex, top_m - user_m)
        - math.hypot(d_m, user_m - antenna_m)
    )
    return bullington_db(2 * math.sqrt(max(detour_m, 0.0) / WAVELENGTH_M), d_m), out


def slow_edges(profile, antenna_m, user_m, d_m):
    """Corners of a rope pulled tight over the profile: gift wrapping from the antenna."""
    points, at, corners = [*profile, (d_m, user_m)], (0.0, antenna_m), 0
    while True:
        ahead = [p for p in points if p[0] > at[0]]
        at = max(ahead, key=lambda p: ((p[1] - at[1]) / (p[0] - at[0]), p[0]))
        if at[0] == d_m:
            return corners
        corners += 1


def slow_profile(ground, x_m, y_m, row, col, own, user_height_m):
    """What lies below the line from the antenna through a cell, sampled in the middle of each column or row
    on the ray of the fan that passes nearest to the cell's middle."""
    c = ground.cell_m
    rows, cols = ground.roof_m.shape
    dx, dy = col + 0.5 - x_m / c, row + 0.5 - y_m / c
    along_x = abs(dx) >= abs(dy)
    ahead, across = (dx, dy) if along_x else (dy, dx)
    start = (x_m if along_x else y_m) / c
    n = cols if along_x else rows
    reach = n - 0.5 - start if ahead > 0 else start - 0.5
    fan = int(reach) + 1
    lean = round(across / abs(ahead) * fan) / fan
    scale = c * math.hypot(1, lean)
    land = ground.ground_m if ground.ground_m is not None else np.zeros((rows, cols))
    points, sign = [], (1 if ahead > 0 else -1)
    target = col if along_x else row
    for k in range(n):
        far = (k + 0.5 - start) * sign
        if far <= 0 or far >= abs(ahead) - 1e-9:
            continue
        across_at = (y_m if along_x else x_m) / c + lean * far
        i, j = (int(across_at // 1), k) if along_x else (k, int(across_at // 1))
        if not (0 <= i < rows and 0 <= j < cols):
            continue
        standing = ground.building[i, j] >= 0 and ground.building[i, j] != own
        if standing or ground.ground_m is not None:
            points.append((far * scale, float(land[i, j]) + (float(ground.roof_m[i, j]) if standing else 0.0)))
    assert target >= 0
    return points, abs(ahead) * scale, float(land[row, col]) + user_height_m


@st.composite
def rasters(draw):
    rows, cols = draw(st.integers(2, 14)), draw(st.integers(2, 14))
    seed, share = draw(st.integers(0, 10_000)), draw(st.floats(0.0, 0.6))
    rng = np.random.default_rng(seed)
    roof_m = np.where(rng.random((rows, cols)) < share, rng.uniform(3, 40, (rows, cols)).round(), 0.0)
    ground_m = rng.uniform(0, 15, (rows, cols)).round(1) if draw(st.booleans()) else None
    x_m, y_m = rng.uniform(-4, 2 * cols + 4), rng.uniform(-4, 2 * rows + 4)
    return surface(roof_m, ground_m), float(x_m), float(y_m), draw(st.floats(41, 60))


@settings(max_examples=60, deadline=None)
@given(rasters())
def test_every_outdoor_cell_matches_the_slow_reference(case):
    ground, x_m, y_m, height_m = case
    got = sweep(ground, x_m, y_m, height_m, GHZ)
    rows, cols = ground.roof_m.shape
    here = np.clip(int(y_m // 2), 0, rows - 1), np.clip(int(x_m // 2), 0, cols - 1)
    antenna_m = height_m + (0.0 if ground.ground_m is None else float(ground.ground_m[here]))
    for row, col in np.argwhere(ground.building < 0):
        profile, d_m, user_m = slow_profile(ground, x_m, y_m, row, col, -1, 1.5)
        loss_db, slope = slow_loss(profile, antenna_m, user_m, d_m)
        assert got.excess_db[row, col] == pytest.approx(loss_db, abs=2e-3)
        assert got.elevation_rad[row, col] == pytest.approx(math.atan(slope), abs=1e-5)
        assert got.edges[row, col] == slow_edges(profile, antenna_m, user_m, d_m)
