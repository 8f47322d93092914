"""Where rays leave the antenna: enough of them for each square metre of the far city, too.

Spread evenly over the sphere, nearly all rays go up or meet the ground close by: at 1 km a pixel of
5 m seen from 10 m of height is hit by one in fifty million. Here most rays aim at the map's plane, by a
sunflower lattice that is as dense as the inverse of distance, and some go evenly over the sphere; each
carries the power of the part of the sphere that it stands for, so sums over rays estimate the same gain.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt32

Array = np.ndarray

_GOLDEN: Final = (np.sqrt(5.0) - 1.0) / 2.0
_KNOTS: Final = 4096
_SECTORS: Final = 4096


class Launch(NamedTuple):
    """Directions on the unit square that Sionna RT maps to the sphere, and what each stands for."""

    turn: Float32[Array, "rays"]  # of a full turn from east, counter-clockwise
    fall: Float32[Array, "rays"]  # (1 - up) / 2
    weight: Float32[Array, "rays"]  # part of the sphere, in units of an even share


def launch(n: int, height_m: float, reach_m: float, even: float, *, upward: bool, seed: int = 0) -> Launch:
    """Directions of n rays, neighbours close to each other: they meet the same walls.

    Args:
        n: rays, at least 1.
        height_m: of the antenna above the map's plane; below 1 m all rays are spread evenly.
        reach_m: distance up to which rays aim at the plane.
        even: share of rays spread evenly, above 0 to 1; they go down only unless `upward`.
        upward: whether rays that leave upwards can come back.
        seed: turns the lattice.
    """
    turn = np.mod(np.arange(n) * _GOLDEN + seed * np.sqrt(2.0), 1.0)
    order = (np.arange(n) + 0.5) / n
    near = np.argsort((turn * _SECTORS).astype(np.uint16), kind="stable")
    if height_m < 1.0:
        return Launch(turn[near].astype(np.float32), order[near].astype(np.float32), np.ones(n, np.float32))
    lowest_sine = height_m / np.hypot(height_m, reach_m)
    sine = np.concatenate((np.geomspace(1.0, lowest_sine, _KNOTS), [0.0, -1.0] if upward else [0.0]))  # downwards
    share = even * (1.0 - sine) / (2.0 if upward else 1.0) + (1.0 - even) * _aimed(sine, height_m, reach_m)
    density = np.diff(share) / -np.diff(sine)
    between = np.clip(np.searchsorted(share, order, side="right"), 1, len(share) - 1) - 1
    fall = (1.0 + np.interp(order, share, sine)) / 2.0
    weight = 0.5 / density[between]
    return Launch(*(column[near].astype(np.float32) for column in (turn, fall, weight)))


def _aimed(sine: Float64[Array, "knots"], height_m: float, reach_m: float) -> Float64[Array, "knots"]:
    """Share of the aimed rays that leave at least as steeply: their distances are spread evenly."""
    steep = np.maximum(sine, 1e-9)
    distance_m = height_m * np.sqrt(1.0 / steep**2 - 1.0)
    return np.where(sine > 0.0, np.minimum(distance_m / reach_m, 1.0), 1.0)


def directions(rays: Launch, row: UInt32[Array, "some"]) -> Float32[Array, "some 3"]:
    """Unit vectors east, north, up of some of the rays."""
    up = 1.0 - 2.0 * rays.fall[row]
    turn, level = 2.0 * np.pi * rays.turn[row], np.sqrt(np.maximum(1.0 - up**2, 0.0))
    return np.stack((level * np.cos(turn), level * np.sin(turn), up), axis=1).astype(np.float32)
