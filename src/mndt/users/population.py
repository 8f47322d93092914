"""Who lives in the twin: parameters of the population and the plan of every person's day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Float32, Int8, Int32

Array = np.ndarray
Share = Annotated[float, Ge(0.0), Le(1.0)]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

DAY_S: Final = 24 * 3600

PAPER_USERS_PER_KM2: Final = 13_000 / 4.0
"""Density of the paper's Table I: 13,000 users on 2 x 2 km."""

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
"""Names of the days; `UserParameters.first_day` is one of them."""

CLUSTERS: Final = ("home", "office", "passer", "student", "leisure")
"""Behaviour clusters of demand; `Population.cluster` holds row numbers of this tuple."""


@dataclass(frozen=True)
class UserParameters:
    """How many people there are and how they move.

    The chain shares, departure laws and distance thresholds are published figures (see
    `mndt.users.schedule`); the shares of commuters and passers, the gravity exponent and the
    times of waiting and standing are assumptions of ours for a city centre on a weekday.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    count: Annotated[int, Ge(0), Le(10_000_000)] | None = None  # None: the paper's 3,250 per km2
    schedule: str | None = None  # .json of mndt fit schedule or .npz of mndt train schedule; published laws without
    first_day: Weekday = "monday"  # weekday of the day on which a run begins
    walk_m: Annotated[float, Ge(0.0)] = 500.0  # shorter trips are walked (beeline)
    bicycle_m: Annotated[float, Ge(0.0)] = 1000.0  # shorter trips are cycled, longer ones driven
    commuter_share: Share = 0.35  # live outside, stay in the centre for the day
    passer_share: Share = 0.08  # rows of people crossing the centre, one after another
    gravity_exponent: Annotated[float, Ge(0.0), Le(4.0)] = 1.0
    explore_rho: Share = 0.6  # exploration and preferential return, P_new = rho S^-gamma
    explore_gamma: Annotated[float, Ge(0.0), Le(2.0)] = 0.21
    walk_speed_mps: Annotated[float, Gt(0.0), Le(5.0)] = 1.34
    walk_speed_sigma_mps: Annotated[float, Ge(0.0), Le(2.0)] = 0.26
    walk_model: Literal["density", "krauss", "free"] = "density"  # how people on footways slow each other
    path_width_m: Annotated[float, Ge(0.5), Le(50.0)] = 2.0  # of footways, for both directions together
    signal_cycle_s: Annotated[int, Ge(1), Le(600)] = 90  # of pedestrian crossings
    signal_green_s: Annotated[int, Ge(1), Le(600)] = 30
    stand_s: Annotated[float, Gt(0.0)] = 240.0  # mean time at one point of an area

    def n_users(self, area_km2: float) -> int:
        """The number of users in a city of this size.

        >>> UserParameters().n_users(4.0)
        13000
        """
        return round(PAPER_USERS_PER_KM2 * area_km2) if self.count is None else self.count


@dataclass(frozen=True)
class Population:
    """Everyone's plan for one day or several. Trips of user u are rows ``trip_start[u]:trip_start[u + 1]``
    in order of departure; each ends before the next begins, and those by rules before their day's midnight.
    A person is in `home` before the first trip and in `to_area` after each."""

    home: Int32[Array, "users"]  # row of Areas where the day begins
    chain: Int8[Array, "users"]  # the first day's row of the laws' chains, -1 none (stays, or passes through)
    cluster: Int8[Array, "users"]  # row of CLUSTERS
    walk_speed_mps: Float32[Array, "users"]
    trip_start: Int32[Array, "users_plus_1"]
    departure_s: Int32[Array, "trips"]  # since the first day's midnight
    duration_s: Int32[Array, "trips"]  # as planned: beeline, detour factor and planning speed
    from_area: Int32[Array, "trips"]
    to_area: Int32[Array, "trips"]
    mode: Int8[Array, "trips"]  # mndt.state.Mode

    def __len__(self) -> int:
        return len(self.home)
