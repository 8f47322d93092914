"""How people choose between walking, cycling and driving: a policy is a function of the distances.

The thresholds of the default are those of mosstool; shares by band of distance come from a diary. Write
your own as ``def policy(distance_m, rng) -> modes`` and hand it to `mndt.users.schedule.make_population`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float64, Int8

from mndt.state import Mode
from mndt.users.population import UserParameters
from mndt.users.schedule_laws import ScheduleLaws

Array = np.ndarray
ModePolicy = Callable[[Float64[Array, "trips"], np.random.Generator], Int8[Array, "trips"]]


def mode_by_distance(distance_m: Float64[Array, "trips"], parameters: UserParameters) -> Int8[Array, "trips"]:
    """Walk below `walk_m`, cycle below `bicycle_m`, else drive (beeline distances).

    >>> mode_by_distance(np.array([100.0, 700.0, 1500.0]), UserParameters()).tolist()
    [1, 2, 3]
    """
    return _by_thresholds(distance_m, parameters.walk_m, parameters.bicycle_m)


def mode_by_shares(
    distance_m: Float64[Array, "trips"],
    edges_m: Float64[Array, "edges"],
    shares: Float64[Array, "bands 3"],
    rng: np.random.Generator,
) -> Int8[Array, "trips"]:
    """A mode drawn by its share in the band of distance.

    Args:
        distance_m: beelines.
        edges_m: between the bands, ascending, one fewer than bands.
        shares: of walking, cycling and driving in each band.
        rng: draws one number a trip.

    >>> walk_or_drive = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> mode_by_shares(np.array([10.0, 90.0]), np.array([50.0]), walk_or_drive, np.random.default_rng(0)).tolist()
    [1, 3]
    """
    band = np.searchsorted(edges_m, distance_m, side="right")
    total = np.cumsum(shares, axis=1)
    total /= total[:, -1:]
    hit = (total[band] <= rng.random(len(distance_m))[:, None]).sum(axis=1)
    return np.asarray((Mode.WALK + np.minimum(hit, 2)).astype(np.int8))


def policy_of(laws: ScheduleLaws, parameters: UserParameters) -> ModePolicy:
    """The policy that laws imply: fitted shares, else fitted thresholds, else those of the parameters."""
    if laws.mode_shares:
        edges, shares = np.array(laws.mode_edges_m), np.array(laws.mode_shares)
        return lambda distance_m, rng: mode_by_shares(distance_m, edges, shares, rng)
    walk = parameters.walk_m if laws.walk_m is None else laws.walk_m
    bicycle = parameters.bicycle_m if laws.bicycle_m is None else laws.bicycle_m
    by_distance = partial(_by_thresholds, walk_m=walk, bicycle_m=bicycle)
    return lambda distance_m, rng: by_distance(distance_m)


def _by_thresholds(distance_m: Float64[Array, "trips"], walk_m: float, bicycle_m: float) -> Int8[Array, "trips"]:
    mode = np.where(distance_m < bicycle_m, Mode.BICYCLE, Mode.CAR)
    return np.asarray(np.where(distance_m < walk_m, Mode.WALK, mode), dtype=np.int8)
