"""Ways of people as an onlooker sees them: who set out when, how far, by what, and where to.

It needs positions only, so that it holds for every source of them. Someone is on the way while he walks or
rides; a journey begins when that begins and ends inside an area or out of the map. Its mode is the fastest one
on the way: who walks to the car has gone by car.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int8, Int32

from mndt.state import Mode, Users

Array = np.ndarray

UNSEEN = -1
"""Departure of those who were on the way already when they were first seen."""


@dataclass(frozen=True)
class Journeys:
    """What is known of everyone's way; rows of people who are not on one hold `Mode.INSIDE`."""

    mode: Int8[Array, "users"]  # the fastest so far
    departure_s: Int32[Array, "users"]
    from_area: Int32[Array, "users"]  # -1: unknown
    distance_m: Float32[Array, "users"]

    @classmethod
    def of(cls, users: Users) -> Journeys:
        """At first sight."""
        n = len(users)
        mode = np.where(users.mode >= Mode.WALK, users.mode, np.int8(Mode.INSIDE)).astype(np.int8)
        return cls(mode, np.full(n, UNSEEN, np.int32), np.full(n, -1, np.int32), np.zeros(n, np.float32))


@dataclass(frozen=True)
class Ended:
    """Journeys that ended in one second."""

    user: Int32[Array, "ended"]
    departure_s: Int32[Array, "ended"]  # UNSEEN where nobody saw it
    mode: Int8[Array, "ended"]
    from_area: Int32[Array, "ended"]
    to_area: Int32[Array, "ended"]  # -1: out of the map
    distance_m: Float32[Array, "ended"]  # way travelled, from where it was seen on


def follow(journeys: Journeys, before: Users, after: Users, time_s: int) -> tuple[Journeys, Ended, int]:
    """Everyone's way one second on.

    Args:
        journeys: up to `time_s`.
        before, after: everyone at `time_s` and a second later.
        time_s: the second.

    Returns:
        The journeys, those that ended, and how many began.
    """
    was, goes = journeys.mode >= Mode.WALK, after.mode >= Mode.WALK
    rows = np.flatnonzero(was | goes)
    first = rows[~was[rows]]
    mode, departure_s = journeys.mode.copy(), journeys.departure_s.copy()
    from_area, distance_m = journeys.from_area.copy(), journeys.distance_m.copy()
    departure_s[first], from_area[first], distance_m[first] = time_s, before.area[first], 0.0
    step_m = np.hypot(after.x_m[rows] - before.x_m[rows], after.y_m[rows] - before.y_m[rows])
    seen = (before.mode[rows] != Mode.ABSENT) & (after.mode[rows] != Mode.ABSENT)
    distance_m[rows] += np.where(seen, step_m, np.float32(0.0))
    over = rows[~goes[rows]]
    ended = Ended(
        user=over.astype(np.int32),
        departure_s=departure_s[over],
        mode=mode[over],
        from_area=from_area[over],
        to_area=np.where(after.mode[over] == Mode.INSIDE, after.area[over], -1).astype(np.int32),
        distance_m=distance_m[over],
    )
    mode[rows] = np.where(goes[rows], np.maximum(mode[rows], after.mode[rows]), np.int8(Mode.INSIDE))
    return Journeys(mode, departure_s, from_area, distance_m), ended, len(first)
