"""Traffic demand: clusters of behaviour -> sessions of services -> bits per second.

Every user belongs to a cluster with a profile over the day. A semi-Markov chain switches between
idle (exponential, rate by cluster and hour) and a session of one service (lognormal length). Within
a session the rate is the service's mean times lognormal AR(1) noise of mean one.

The services are `mndt.city.schema.SERVICES`. Profiles, service preferences, session spread and
noise are assumptions of ours with parameters: no open data identifies them per user. `mndt fit`
replaces what aggregated counters can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Protocol, runtime_checkable

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from jaxtyping import Float32, Float64, Int8

from mndt.city.schema import SERVICES
from mndt.state import Demand, Mode, Users
from mndt.streams import Streams
from mndt.users.population import CLUSTERS

Array = np.ndarray

PROFILES: Final[dict[str, tuple[float, ...]]] = {
    "home": (30, 16, 9, 6, 5, 7, 16, 34, 52, 58, 60, 62, 66, 66, 64, 66, 70, 76, 84, 94, 100, 98, 80, 52),
    "office": (18, 9, 5, 4, 5, 12, 40, 72, 86, 84, 82, 84, 96, 90, 82, 80, 84, 94, 92, 94, 100, 90, 66, 36),
    "passer": (16, 9, 5, 4, 6, 18, 52, 88, 100, 84, 74, 74, 82, 82, 78, 80, 90, 100, 96, 84, 76, 68, 50, 28),
    "student": (28, 15, 8, 5, 5, 8, 28, 62, 78, 72, 74, 78, 92, 84, 76, 78, 84, 88, 90, 96, 100, 98, 82, 52),
    "leisure": (26, 14, 8, 5, 5, 7, 18, 40, 58, 64, 68, 74, 80, 80, 78, 80, 84, 88, 92, 98, 100, 94, 74, 46),
}
"""Activity by hour of a weekday in percent of the cluster's busiest hour."""

PREFERENCES: Final[dict[str, dict[str, float]]] = {
    "home": {"video": 1.3, "game": 1.2},
    "office": {"voice": 1.5, "video-call": 1.2, "web": 1.3, "video": 0.3, "game": 0.2, "download": 0.6},
    "passer": {"voice": 1.4, "video-call": 0.3, "video": 0.5, "social": 1.4, "game": 0.8, "download": 0.5},
    "student": {"social": 1.6, "game": 1.2, "voice": 0.5},
    "leisure": {"social": 1.3, "voice": 1.2},
}
"""Factors on the shares of sessions started (`Service.share`); 1 where nothing is said."""


@dataclass(frozen=True)
class DemandParameters:
    """How much traffic people ask for."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    scale: Annotated[float, Ge(0.0), Le(1000.0)] = 1.0  # factor on every rate
    busy_share: Annotated[float, Ge(0.0), Lt(1.0)] = 0.2  # of users in a session in their busiest hour
    session_sigma: Annotated[float, Ge(0.0), Le(3.0)] = 0.8  # of the logarithm of session lengths
    rate_sigma: Annotated[float, Ge(0.0), Le(3.0)] = 0.5  # of the logarithm of the rate
    rate_memory: Annotated[float, Ge(0.0), Lt(1.0)] = 0.9  # correlation of the rate from second to second
    max_session_s: Annotated[int, Gt(0)] = 7200


@runtime_checkable
class DemandSource(Protocol):
    """Anything that says what users ask for each second."""

    def start(self, users: Users, time_s: int, streams: Streams) -> Any:
        """The memory at the beginning."""

    def step(self, memory: Any, users: Users, time_s: int, streams: Streams) -> tuple[Any, Demand]:
        """What users ask for from `time_s` to `time_s + 1`."""


@dataclass(frozen=True)
class Sessions:
    """Memory of `OwnDemand`."""

    service: Int8[Array, "users"]  # row of SERVICES, -1 idle
    left_s: Float32[Array, "users"]  # seconds the session goes on
    noise: Float32[Array, "users"]  # standard normal AR(1)


@dataclass(frozen=True)
class OwnDemand:
    """The twin's own demand model.

    Args:
        cluster: row of CLUSTERS for each user.
        parameters: see `DemandParameters`.
    """

    cluster: Int8[Array, "users"]
    parameters: DemandParameters = DemandParameters()

    def start(self, users: Users, time_s: int, streams: Streams) -> Sessions:
        """Sessions in the stationary state of the hour: nobody has to warm up."""
        rng, n = streams.generator("demand-start", time_s), len(self.cluster)
        active = (rng.random(n) < active_share(self.parameters, time_s)[self.cluster]) & (users.mode != Mode.ABSENT)
        # a session found at a random moment is long with weight of its length, and somewhere in its middle
        by_time = session_shares() * np.array([s.session_s for s in SERVICES])
        service = _choose(_cumulative(by_time), self.cluster, rng.random(n))
        sigma = self.parameters.session_sigma
        biased = _lognormal(service, rng, sigma, shift=0.5 * sigma * sigma)
        left = np.ceil(np.minimum(biased, self.parameters.max_session_s) * rng.random(n))
        return Sessions(
            service=np.where(active, service, -1).astype(np.int8),
            left_s=np.where(active, np.maximum(left, 1.0), 0.0).astype(np.float32),
            noise=rng.standard_normal(n, dtype=np.float32),
        )

    def step(self, memory: Sessions, users: Users, time_s: int, streams: Streams) -> tuple[Sessions, Demand]:
        """End and begin sessions, move the noise, give this second's bits."""
        p, rng, n = self.parameters, streams.generator("demand", time_s), len(self.cluster)
        present = users.mode != Mode.ABSENT
        going_on = (memory.left_s > 0) & present
        chance = -np.expm1(-start_rates_hz(p, time_s)).astype(np.float32)
        draw = rng.random(n, dtype=np.float32)
        begins = np.flatnonzero(~going_on & present & (draw < chance[self.cluster]))
        service = np.where(going_on, memory.service, np.int8(-1))
        left = np.where(going_on, memory.left_s, np.float32(0.0))
        fresh = _choose(_cumulative(session_shares()), self.cluster[begins], rng.random(len(begins)))
        service[begins] = fresh
        length = np.clip(np.rint(_lognormal(fresh, rng, p.session_sigma)), 1, p.max_session_s)
        left[begins] = length
        shock = rng.standard_normal(n, dtype=np.float32)
        a = np.float32(p.rate_memory)
        noise = a * memory.noise + np.sqrt(1 - a * a) * shock
        noise[begins] = shock[begins]
        sigma = np.float32(p.rate_sigma)
        rate = np.array([s.rate_bps for s in SERVICES] + [0.0], dtype=np.float32) * np.float32(p.scale)
        bits = rate[service] * np.exp(sigma * noise - np.float32(0.5) * sigma * sigma)  # idle picks the last, 0
        return Sessions(service, np.maximum(left - 1, 0), noise), Demand(service=service, bits=bits)


def random_clusters(n_users: int, streams: Streams) -> Int8[Array, "users"]:
    """Clusters drawn evenly, for users without a plan (recorded tracks, straight lines)."""
    return streams.generator("demand-clusters").integers(len(CLUSTERS), size=n_users).astype(np.int8)


def session_shares() -> Float64[Array, "clusters services"]:
    """Shares of sessions started by cluster and service; rows add up to one."""
    share = np.array([[s.share * PREFERENCES[c].get(s.name, 1.0) for s in SERVICES] for c in CLUSTERS])
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def active_share(parameters: DemandParameters, time_s: float) -> Float64[Array, "clusters"]:
    """Expected share of each cluster in a session at a time of day, linear between the middles of the hours.

    >>> active_share(DemandParameters(busy_share=0.4), 20.5 * 3600).round(2).tolist()
    [0.4, 0.4, 0.3, 0.4, 0.4]
    """
    hour = (time_s / 3600.0 - 0.5) % 24.0
    low, share = int(hour), hour % 1.0
    table = np.array([PROFILES[c] for c in CLUSTERS]) / 100.0
    return np.asarray(parameters.busy_share * ((1 - share) * table[:, low] + share * table[:, (low + 1) % 24]))


def start_rates_hz(parameters: DemandParameters, time_s: float) -> Float64[Array, "clusters"]:
    """Sessions started per idle second, so that active share = rate L / (1 + rate L) with the mean length L."""
    share = active_share(parameters, time_s)
    length_s = session_shares() @ np.array([s.session_s for s in SERVICES])
    return np.asarray(share / ((1 - share) * length_s))


def mean_rate_bps(parameters: DemandParameters, time_s: float) -> Float64[Array, "clusters"]:
    """Expected bits per second of a user of each cluster, idle ones counted: the closed form of this model."""
    by_time = session_shares() * np.array([s.session_s for s in SERVICES])
    rate = by_time @ np.array([s.rate_bps for s in SERVICES]) / by_time.sum(axis=1)
    return np.asarray(parameters.scale * active_share(parameters, time_s) * rate)


def _cumulative(share: Float64[Array, "clusters services"]) -> Float64[Array, "clusters services"]:
    total = np.cumsum(share, axis=1)
    return np.asarray(total / total[:, -1:])


def _choose(
    cumulative: Float64[Array, "clusters services"], cluster: Int8[Array, "n"], u: Float64[Array, "n"]
) -> Int8[Array, "n"]:
    """A service for each user by the shares of its cluster."""
    return np.asarray((u[:, None] >= cumulative[cluster, :-1]).sum(axis=1), dtype=np.int8)


def _lognormal(
    service: Int8[Array, "n"], rng: np.random.Generator, sigma: float, shift: float | None = None
) -> Float32[Array, "n"]:
    """Session lengths of mean `session_s` (shift -sigma^2/2); shift +sigma^2/2 gives the length-biased law."""
    mean = np.array([s.session_s for s in SERVICES], dtype=np.float32)[service]
    z = rng.standard_normal(len(service), dtype=np.float32)
    location = -0.5 * sigma * sigma if shift is None else shift
    return np.asarray(mean * np.exp(np.float32(sigma) * z + np.float32(location)), dtype=np.float32)
