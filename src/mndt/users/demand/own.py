"""Traffic demand: clusters of behaviour -> sessions of services -> bits per second.

Every user belongs to a cluster with a profile over the day (macroscopic). A semi-Markov chain switches
between modes (microscopic): idle (exponential, rate by cluster and hour) and a session of one service
(lognormal length), chosen by logits of cluster and hour. Each mode has a generator of its own: within a session
the rate is the service's mean times lognormal AR(1) noise of mean one, so noise grows with the level.

The services are `mndt.city.schema.SERVICES`. Preferences, session spread and noise are assumptions of ours with
parameters: no open data identifies them per user. Profiles are assumptions, too, unless `DemandParameters.fitted`
names parameters that `mndt fit demand` read from counters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Annotated, Any, ClassVar, Final, Protocol, runtime_checkable

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from jaxtyping import Float32, Float64, Int8

from mndt.city.schema import SERVICES
from mndt.state import Demand, Mode, Users
from mndt.streams import Streams
from mndt.users.population import CLUSTERS, DAY_S

Array = np.ndarray

LEAST_CLUSTER: Final = 0.03
"""Clusters with a smaller share of the fitted places describe no users."""
SHIPPED: Final = "nanchang"
"""The name that `DemandParameters.fitted` may have instead of a file's."""
STEP_OF_SUM_S: Final = 60.0
"""Rates of starting are summed in steps of this length and linear between."""

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

EVENING: Final[dict[str, float]] = {
    "voice": -0.4, "video-call": -0.3, "video": 0.06, "web": -0.1, "social": 0.1, "game": 0.3, "download": -0.12,
}  # fmt: skip
"""Added to the logits of services at 21 h and taken off at 9 h, a cosine between: calls by day, games and video in the
evening. The numbers keep the mean rate of a session within a few percent of the same all day."""

NOISE: Final[dict[str, tuple[float, float]]] = {
    "voice": (0.2, 1.0), "video-call": (0.6, 1.0), "video": (1.0, 1.0), "web": (1.2, 3.0),
    "social": (1.1, 2.0), "game": (0.6, 3.0), "download": (0.8, 0.5),
}  # fmt: skip
"""The generator of each service: factor on `rate_sigma`, and exponent of `rate_memory` (3: forgets three times as
fast)."""


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
    fitted: str | None = None  # profiles from `mndt fit demand`: a file .npz, or "nanchang" as shipped; None: assumed


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
    due: Float64[Array, "users"]  # the next session begins when the summed rate of starting passes this


@dataclass(frozen=True)
class OwnDemand:
    """The twin's own demand model.

    Args:
        cluster: row of CLUSTERS for each user.
        parameters: see `DemandParameters`.

    Ask one person for the bits of one second::

        demand, streams = OwnDemand(np.zeros(1, np.int8)), Streams(0)
        memory = demand.start(users, 8 * 3600, streams)
        memory, now = demand.step(memory, users, 8 * 3600, streams)
    """

    cluster: Int8[Array, "users"]
    parameters: DemandParameters = DemandParameters()

    def start(self, users: Users, time_s: int, streams: Streams) -> Sessions:
        """Sessions in the stationary state of the hour: nobody has to warm up."""
        rng, n = streams.generator("demand-start", time_s), len(self.cluster)
        active = (rng.random(n) < active_share(self.parameters, time_s)[self.cluster]) & (users.mode != Mode.ABSENT)
        # a session found at a random moment is long with weight of its length, and somewhere in its middle
        by_time = session_shares(time_s) * _session_s()
        service = _choose(_cumulative(by_time), self.cluster, rng.random(n))
        sigma = self.parameters.session_sigma
        length = _session_s()[service] * np.exp(sigma * rng.standard_normal(n) + 0.5 * sigma * sigma)
        left = np.ceil(np.minimum(length, self.parameters.max_session_s) * rng.random(n))
        return Sessions(
            service=np.where(active, service, -1).astype(np.int8),
            left_s=np.where(active, np.maximum(left, 1.0), 0.0).astype(np.float32),
            noise=rng.standard_normal(n, dtype=np.float32),
            due=summed_rates(self.parameters, time_s)[self.cluster] + rng.standard_exponential(n),
        )

    def step(self, memory: Sessions, users: Users, time_s: int, streams: Streams) -> tuple[Sessions, Demand]:
        """End and begin sessions, move the noise, give this second's bits."""
        from mndt.users.demand._sessions import advance

        p, n = self.parameters, len(self.cluster)
        laws, bits = _laws(p), np.empty(n, np.float32)
        out = Sessions(np.empty(n, np.int8), np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n))
        advance(
            streams.key("demand", time_s), summed_rates(p, time_s + 1), _cumulative(session_shares(time_s)),
            laws.session_s, p.session_sigma, float(p.max_session_s), laws.rate_bps, laws.sigma, laws.memory,
            self.cluster, users.mode != Mode.ABSENT, memory.service, memory.left_s, memory.noise, memory.due,
            out.service, out.left_s, out.noise, out.due, bits,
        )  # fmt: skip
        return out, Demand(service=out.service, bits=bits)


def check_demand(parameters: DemandParameters, *, where: str = "") -> None:
    """Refuse parameters that name fitted ones which cannot be read.

    Args:
        parameters: to look at.
        where: what the message begins with.

    Raises:
        InputError: no such file, or not such a file.
    """
    if parameters.fitted is not None:
        from mndt.users.demand.patterns import load

        load(parameters.fitted, where=where)


def random_clusters(n_users: int, streams: Streams) -> Int8[Array, "users"]:
    """Clusters drawn evenly, for users without a plan (recorded tracks, straight lines)."""
    return streams.generator("demand-clusters").integers(len(CLUSTERS), size=n_users).astype(np.int8)


def session_shares(time_s: float | None = None) -> Float64[Array, "clusters services"]:
    """Shares of sessions started by cluster and service at a time of day, or without the term of the time.

    Softmax of ``log share + log preference + evening cos(2 pi (t - 21 h) / 24 h)``; rows add up to one.
    """
    turn = 0.0 if time_s is None else np.cos(2 * np.pi * (time_s / 3600.0 - 21.0) / 24.0)
    weight = _service_weights() * np.exp(turn * _evening())
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def active_share(parameters: DemandParameters, time_s: float) -> Float64[Array, "clusters"]:
    """Expected share of each cluster in a session at a time of day, linear between the middles of the slots.

    >>> active_share(DemandParameters(busy_share=0.4), 20.5 * 3600).round(2).tolist()
    [0.4, 0.4, 0.3, 0.4, 0.4]
    """
    table = _profiles(parameters.fitted)
    slots = table.shape[1]
    at = (time_s * slots / DAY_S - 0.5) % slots
    low, share = int(at) % slots, at % 1.0
    return np.asarray(parameters.busy_share * ((1 - share) * table[:, low] + share * table[:, (low + 1) % slots]))


def start_rates_hz(parameters: DemandParameters, time_s: float) -> Float64[Array, "clusters"]:
    """Sessions started per idle second, so that active share = rate L / (1 + rate L) with the mean length L."""
    share = active_share(parameters, time_s)
    return np.asarray(share / ((1 - share) * (session_shares(time_s) @ _session_s())))


def summed_rates(parameters: DemandParameters, time_s: float) -> Float64[Array, "clusters"]:
    """Integral of `start_rates_hz` from midnight of day 0: an idle user starts when it has grown by Exp(1)."""
    table = _laws(parameters).summed
    days, second = divmod(time_s, DAY_S)
    low, share = divmod(second, STEP_OF_SUM_S)
    k = int(low)
    low_value, high_value = table[:, k], table[:, min(k + 1, table.shape[1] - 1)]
    return np.asarray(days * table[:, -1] + low_value + (high_value - low_value) * (share / STEP_OF_SUM_S))


def mean_rate_bps(parameters: DemandParameters, time_s: float) -> Float64[Array, "clusters"]:
    """Expected bits per second of a user of each cluster, idle ones counted: the closed form of this model."""
    by_time = session_shares(time_s) * _session_s()
    rate = by_time @ np.array([s.rate_bps for s in SERVICES]) / by_time.sum(axis=1)
    return np.asarray(parameters.scale * active_share(parameters, time_s) * rate)


@dataclass(frozen=True)
class _Laws:
    """What follows from the parameters alone."""

    summed: Float64[Array, "clusters minutes"]  # of `start_rates_hz`
    session_s: Float64[Array, "services"]
    rate_bps: Float32[Array, "services"]
    sigma: Float32[Array, "services"]
    memory: Float32[Array, "services"]


@lru_cache(maxsize=32)
def _laws(parameters: DemandParameters) -> _Laws:
    middles = np.arange(STEP_OF_SUM_S / 2, DAY_S, STEP_OF_SUM_S)
    rates = np.stack([start_rates_hz(parameters, t) for t in middles], axis=1) * STEP_OF_SUM_S
    noise = np.array([NOISE[s.name] for s in SERVICES])
    return _Laws(
        summed=np.concatenate([np.zeros((len(CLUSTERS), 1)), np.cumsum(rates, axis=1)], axis=1),
        session_s=_session_s(),
        rate_bps=np.array([s.rate_bps for s in SERVICES], dtype=np.float32) * np.float32(parameters.scale),
        sigma=(parameters.rate_sigma * noise[:, 0]).astype(np.float32),
        memory=(parameters.rate_memory ** noise[:, 1]).astype(np.float32),
    )


@lru_cache(maxsize=8)
def _profiles(fitted: str | None) -> Float64[Array, "clusters slots"]:
    """Activity by slot of the day as a share of the cluster's busiest slot.

    Of fitted parameters each cluster of users goes with that cluster of places whose traffic over the day is most
    like the assumed profile, and takes its day: per user where users were counted, else of the traffic.
    """
    assumed = np.array([PROFILES[c] for c in CLUSTERS]) / 100.0
    if fitted is None:
        return assumed
    from mndt.users.demand.patterns import load
    from mndt.users.demand.shapes import around_the_day

    patterns = load(fitted)
    slots, known = patterns.slots_per_day, patterns.share >= LEAST_CLUSTER
    traffic = np.exp(patterns.cluster_days())[known]
    days = around_the_day(patterns.per_user[known] if len(patterns.per_user) else traffic, max(1, slots // 24))
    hours = (np.arange(slots) + 0.5) * 24.0 / slots
    middles, wrapped = np.arange(-0.5, 25.0), assumed[:, np.arange(-1, 25) % 24]
    wanted = np.stack([np.interp(hours, middles, row) for row in wrapped])
    alike = np.corrcoef(np.concatenate([wanted, traffic]))[: len(wanted), len(wanted) :]
    return np.asarray((days / days.max(axis=1, keepdims=True))[alike.argmax(axis=1)])


@cache
def _service_weights() -> Float64[Array, "clusters services"]:
    return np.array([[s.share * PREFERENCES[c].get(s.name, 1.0) for s in SERVICES] for c in CLUSTERS])


@cache
def _evening() -> Float64[Array, "services"]:
    return np.array([EVENING[s.name] for s in SERVICES])


@cache
def _session_s() -> Float64[Array, "services"]:
    return np.array([s.session_s for s in SERVICES], dtype=np.float64)


def _cumulative(share: Float64[Array, "clusters services"]) -> Float64[Array, "clusters services"]:
    total = np.cumsum(share, axis=1)
    return np.asarray(total / total[:, -1:])


def _choose(
    cumulative: Float64[Array, "clusters services"], cluster: Int8[Array, "n"], u: Float64[Array, "n"]
) -> Int8[Array, "n"]:
    """A service for each user by the shares of its cluster."""
    return np.asarray((u[:, None] >= cumulative[cluster, :-1]).sum(axis=1), dtype=np.int8)
