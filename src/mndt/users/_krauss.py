"""The Krauss car-following law, as compiled functions of one driver.

Stefan Krauss's model (DLR-Forschungsbericht 98-08, 1998) in the discrete form that SUMO computes: a
driver keeps the largest speed from which he can still stop behind the leader if the leader brakes
now, all braking with their comfortable deceleration once a step. Time is cut into steps of `step_s`;
inside these functions speeds are metres per step and decelerations metres per step squared, in
which the sums over braking steps read plainly.
"""

from __future__ import annotations

from math import floor, sqrt
from typing import Any

import numpy as np
from numba import njit

MARGIN_M = 0.001
"""Left free in front of every stop (SUMO's NUMERICAL_EPS)."""

_OPTIONS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
inner = njit(nogil=True, error_model="numpy", **_OPTIONS)
"""Decorator of functions that only compiled code calls: without a way in from Python they compile much faster."""

inlined = njit(nogil=True, error_model="numpy", forceinline=True, **_OPTIONS)
"""`inner` for small functions that are called for every vehicle."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def brake_gap(speed_mps: float, decel_mps2: float, step_s: float) -> float:
    """Distance in m to a standstill when every step, from the coming one on, is slower by the deceleration:
    ``n v - b n (n + 1) / 2`` with ``n = floor(v / b)``, all per step.
    """
    v, b = speed_mps * step_s, decel_mps2 * step_s * step_s
    n = floor(v / b)
    return n * v - b * n * (n + 1) / 2


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def stop_speed(gap_m: float, decel_mps2: float, headway_s: float, step_s: float) -> float:
    """Largest speed in m/s from which a stop within `gap_m` is possible after a reaction time `headway_s`.

    With n whole braking steps the way is ``h(n) = n (n - 1) b / 2 + n b tau``; n is the largest with
    ``h(n) <= gap``, and the rest of the gap is spread over the ``n + tau`` steps.
    """
    gap = gap_m - MARGIN_M
    if gap < 0.0:
        return 0.0
    b, tau = decel_mps2 * step_s * step_s, headway_s / step_s
    n = floor(0.5 - tau + 0.5 * sqrt(1.0 + 4.0 * (2.0 * gap / b - tau + tau * tau)))
    way = 0.5 * n * (n - 1) * b + n * b * tau
    return (n * b + (gap - way) / (n + tau)) / step_s


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def free_speed(distance_m: float, target_mps: float, decel_mps2: float, step_s: float) -> float:
    """Largest speed in m/s from which `target_mps` can be reached within the distance: a lower limit ahead is met
    by braking in time. With n steps of braking the way is ``n (n + 1) b / 2 + n v``, plus v in the last, partial one.
    """
    v, b = target_mps * step_s, decel_mps2 * step_s * step_s
    steps = max(0.0, ((sqrt((b + 2.0 * v) ** 2 + 8.0 * b * distance_m) - b) * 0.5 - v) / b)
    n = floor(steps)
    way = 0.5 * n * (n + 1) * b + n * v + (v if steps > n else 0.0)
    return (max(0.0, distance_m - way) / (n + 1) + n * b + v) / step_s


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def follow_speed(
    gap_m: float, leader_mps: float, leader_decel_mps2: float, decel_mps2: float, headway_s: float, step_s: float
) -> float:
    """Largest safe speed in m/s behind a leader; `gap_m` is bumper to bumper less the minimum gap."""
    if gap_m < 0.0:
        return 0.0
    reach_m = gap_m + brake_gap(leader_mps, max(decel_mps2, leader_decel_mps2), step_s)
    return stop_speed(reach_m, decel_mps2, headway_s, step_s)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def dawdle(plan_mps: float, accel_mps2: float, sigma: float, uniform: float, step_s: float) -> float:
    """The planned speed less a random loss; as SUMO does, a planned speed (m/s) below the acceleration (m/s^2)
    loses a share of itself instead of a share of the acceleration, so that starting is not slowed for long.
    """
    return max(plan_mps - step_s * sigma * min(plan_mps, accel_mps2) * uniform, 0.0)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def uniform(key: Any, row: Any) -> float:
    """A number in [0, 1) from a key and a row (splitmix64): the same in whatever order rows are visited."""
    h = np.uint64(key) * _GOLDEN + np.uint64(row)
    h = (h + _GOLDEN) * _MIX_1
    h = (h ^ (h >> np.uint64(30))) * _MIX_1
    h = (h ^ (h >> np.uint64(27))) * _MIX_2
    h = h ^ (h >> np.uint64(31))
    return float(h >> np.uint64(11)) * 2.0**-53
