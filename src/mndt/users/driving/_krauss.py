"""The Krauss car-following law, as compiled functions of one driver.

Stefan Krauss's model (DLR-Forschungsbericht 98-08, 1998) in the discrete form that SUMO computes: a driver keeps the
largest speed from which he can still stop behind the leader if the leader brakes now, both with their comfortable
deceleration. `Step.ballistic` False is SUMO's Euler update (one speed for the whole step, the next), True its
ballistic update (the speed changes evenly during the step; a negative speed stands for a halt within it).
"""

from __future__ import annotations

from math import floor, sqrt
from typing import Any, Final

import numpy as np
from numba import njit

MARGIN_M: Final = 0.001
"""Left free in front of every stop (SUMO's NUMERICAL_EPS)."""

HALTING_MPS: Final = 0.1
"""Slower than this is standing (SUMO_const_haltingSpeed)."""

_AMPLIFIER: Final = 1.2  # by which braking in an emergency exceeds what is needed (EMERGENCY_DECEL_AMPLIFIER)

_OPTIONS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
inner = njit(nogil=True, error_model="numpy", **_OPTIONS)
"""Decorator of functions that only compiled code calls: without a way in from Python they compile much faster."""

inlined = njit(nogil=True, error_model="numpy", forceinline=True, **_OPTIONS)
"""`inner` for small functions that are called for every vehicle."""

law = njit(cache=True, nogil=True, error_model="numpy")
"""For the functions of the law, which Python may call, too."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@law
def brake_gap(speed_mps, decel_mps2, step_s, ballistic=False):  # type: ignore[no-untyped-def]
    """Distance in m to a standstill without reaction time.

    Euler: every step, from the coming one on, is slower by the deceleration, ``n v - b n (n + 1) / 2`` with
    ``n = floor(v / b)``, all per step. Ballistic: ``v^2 / 2b``.
    """
    if ballistic:
        return 0.5 * speed_mps * speed_mps / decel_mps2 if speed_mps > 0.0 else 0.0
    drop = decel_mps2 * step_s
    n = floor(speed_mps / drop)
    return (n * speed_mps - drop * n * (n + 1) / 2) * step_s


@law
def stop_speed(gap_m, speed_mps, decel_mps2, headway_s, step_s, ballistic=False):  # type: ignore[no-untyped-def]
    """Largest speed in m/s from which a stop within `gap_m` is possible after a reaction time `headway_s`.

    Euler: with n whole braking steps the way is ``h(n) = n (n - 1) b / 2 + n b tau``; n is the largest with
    ``h(n) <= gap``, and the rest of the gap is spread over the ``n + tau`` steps. Ballistic: the speed v1 after one
    reaction time with ``v1^2 / 2b + (v + v1) tau / 2 = gap``, reached evenly; where not even braking at once helps,
    the halt within the gap.
    """
    gap = gap_m - MARGIN_M
    if ballistic:
        gap = max(gap, 0.0)
        tau = headway_s if headway_s > 0.0 else step_s
        if speed_mps * tau >= 2.0 * gap:
            if gap == 0.0:
                return 0.0 if speed_mps == 0.0 else -1e9
            return speed_mps - speed_mps * speed_mps / (2.0 * gap) * step_s
        half = 0.5 * decel_mps2 * tau
        after_mps = -half + sqrt(half * half + decel_mps2 * (2.0 * gap - tau * speed_mps))
        return speed_mps + (after_mps - speed_mps) / tau * step_s
    if gap < 0.0:
        return 0.0
    b, tau = decel_mps2 * step_s * step_s, headway_s / step_s
    n = floor(0.5 - tau + 0.5 * sqrt(1.0 + 4.0 * (2.0 * gap / b - tau + tau * tau)))
    way = 0.5 * n * (n - 1) * b + n * b * tau
    return (n * b + (gap - way) / (n + tau)) / step_s


@law
def stops_within(gap_m, speed_mps, decel_mps2, headway_s, step_s):  # type: ignore[no-untyped-def]
    """Whether `stop_speed` (Euler) of a gap is at least a speed: its inverse, which needs no root."""
    b, v, tau = decel_mps2 * step_s * step_s, speed_mps * step_s, headway_s / step_s
    n = floor(v / b)
    return gap_m - MARGIN_M >= 0.5 * n * (n - 1) * b + n * b * tau + (v - n * b) * (n + tau)


@law
def halt_speed(gap_m, speed_mps, decel_mps2, emergency_mps2, step_s, ballistic=False):  # type: ignore[no-untyped-def]
    """Speed for a halt at a line within `gap_m`: nobody has to react to anything there, so one step is the headway.

    Where that asks for more than the deceleration, 1.2 times what the way to the line needs, as for a leader.
    """
    safe = stop_speed(gap_m, speed_mps, decel_mps2, step_s, step_s, ballistic)
    asked = (speed_mps - safe) / step_s
    if decel_mps2 != emergency_mps2 and asked > decel_mps2 + MARGIN_M:
        needed = _AMPLIFIER * _emergency_decel(gap_m, speed_mps, 0.0, 1.0, emergency_mps2)
        safe = speed_mps - min(max(needed, decel_mps2), asked) * step_s
        if not ballistic:
            safe = max(safe, 0.0)
    return safe


@law
def free_speed(distance_m, speed_mps, target_mps, decel_mps2, step_s, ballistic=False):  # type: ignore[no-untyped-def]
    """Largest speed in m/s from which `target_mps` can be reached within the distance: a lower limit ahead is met
    by braking in time. Euler: with n steps of braking the way is ``n (n + 1) b / 2 + n v``, plus v in the last,
    partial one. Ballistic: the root of ``d = (v0 + v) s / 2 + (v^2 - vT^2) / 2b``.
    """
    if ballistic:
        d = distance_m - MARGIN_M
        if 0.5 * (speed_mps + target_mps) * step_s >= d:
            return target_mps
        q = (step_s * speed_mps - 2.0 * d) * decel_mps2 - target_mps * target_mps
        p = 0.5 * decel_mps2 * step_s
        return -p + sqrt(p * p - q)
    v, b = target_mps * step_s, decel_mps2 * step_s * step_s
    if distance_m < v:
        return target_mps
    steps = max(0.0, ((sqrt((b + 2.0 * v) * (b + 2.0 * v) + 8.0 * b * distance_m) - b) * 0.5 - v) / b)
    n = floor(steps)
    way = 0.5 * n * (n + 1) * b + n * v + (v if steps > n else 0.0)
    return (max(0.0, distance_m - way) / (n + 1) + n * b + v) / step_s


@law
def follow_speed(  # type: ignore[no-untyped-def]
    gap_m, speed_mps, leader_mps, leader_decel_mps2, decel_mps2, emergency_mps2, tau_s, step_s, ballistic=False
):
    """Largest safe speed in m/s behind a leader; `gap_m` is bumper to bumper less the minimum gap.

    Where that asks for more than the comfortable deceleration, the driver brakes by 1.2 times what both vehicles'
    stopping ways need, at least comfortably and at most as hard as asked.
    """
    if gap_m >= 0.0:
        reach_m = gap_m + brake_gap(leader_mps, max(decel_mps2, leader_decel_mps2), step_s, ballistic)
        safe = stop_speed(reach_m, speed_mps, decel_mps2, tau_s, step_s, ballistic)
    else:
        safe = speed_mps - emergency_mps2 * step_s
        if not ballistic:
            safe = max(safe, 0.0)
    asked = (speed_mps - safe) / step_s
    if decel_mps2 != emergency_mps2 and asked > decel_mps2 + MARGIN_M:
        needed = _AMPLIFIER * _emergency_decel(gap_m, speed_mps, leader_mps, leader_decel_mps2, emergency_mps2)
        safe = speed_mps - min(max(needed, decel_mps2), asked) * step_s
        if not ballistic:
            safe = max(safe, 0.0)
    return safe


@law
def _emergency_decel(gap_m, speed_mps, leader_mps, leader_decel_mps2, emergency_mps2):  # type: ignore[no-untyped-def]
    """Deceleration with which two braking vehicles just do not touch."""
    if gap_m <= 0.0:
        return emergency_mps2
    way_m = 0.5 * leader_mps * leader_mps / leader_decel_mps2
    first = 0.5 * speed_mps * speed_mps / (gap_m + way_m)
    if first <= leader_decel_mps2:
        return first
    return 0.5 * (speed_mps * speed_mps - leader_mps * leader_mps) / gap_m


@law
def speed_after(distance_m, speed_mps, accel_mps2, top_mps):  # type: ignore[no-untyped-def]
    """Speed in m/s after a distance of steady acceleration, from ``v^2 + 2 a d``."""
    return min(top_mps, sqrt(max(0.0, 2.0 * distance_m * accel_mps2 + speed_mps * speed_mps)))


@law
def arrival_time(distance_m, speed_mps, arrival_mps, accel_mps2, decel_mps2):  # type: ignore[no-untyped-def]
    """Least time in s to cover a distance and be `arrival_mps` fast at its end."""
    if distance_m <= 0.0:
        return 0.0
    a = accel_mps2 if arrival_mps >= speed_mps else -decel_mps2
    changing_s = (arrival_mps - speed_mps) / a
    changing_m = changing_s * (arrival_mps + speed_mps) * 0.5
    if distance_m >= changing_m:
        return changing_s + (distance_m - changing_m) / max(speed_mps, arrival_mps, HALTING_MPS)
    return -(speed_mps - sqrt(speed_mps * speed_mps + 2.0 * a * distance_m)) / a


@law
def dawdle(plan_mps, accel_mps2, sigma, uniform, step_s):  # type: ignore[no-untyped-def]
    """The planned speed less a random loss; as SUMO does, a planned speed (m/s) below the acceleration (m/s^2)
    loses a share of itself instead of a share of the acceleration, so that starting is not slowed for long.
    """
    return max(plan_mps - step_s * sigma * min(plan_mps, accel_mps2) * uniform, 0.0)


@law
def uniform(key, row):  # type: ignore[no-untyped-def]
    """A number in [0, 1) from a key and a row (splitmix64): the same in whatever order rows are visited."""
    h = np.uint64(key) * _GOLDEN + np.uint64(row)
    h = (h + _GOLDEN) * _MIX_1
    h = (h ^ (h >> np.uint64(30))) * _MIX_1
    h = (h ^ (h >> np.uint64(27))) * _MIX_2
    h = h ^ (h >> np.uint64(31))
    return float(h >> np.uint64(11)) * 2.0**-53
