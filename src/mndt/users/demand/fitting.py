"""From counted traffic to `Patterns`.

The numbers of a place that estimation gives are not those that make such a place: slots are few, and what is estimated
from them is spread wider, and shifted. So the laws are corrected by simulation (indirect inference,
Gourieroux, Monfort and Renault, doi:10.1002/jae.3950080507): make places, estimate their numbers the same way,
move mean and spread until they agree with the data's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

from mndt.users.demand import noise
from mndt.users.demand.observed import Observed
from mndt.users.demand.patterns import Patterns, between_days, generate
from mndt.users.demand.shapes import Shapes, around_the_day, fit_shapes, mean_day

Array = np.ndarray

N_SHAPES: Final = 8
N_DAY_SHAPES: Final = 2
N_CLUSTERS: Final = 4
SERIES_PER_CLUSTER: Final = 30
"""Fewer places make fewer clusters."""
SERIES_PER_KIND: Final = 35
MOST_KINDS: Final = 3
PRIOR: Final = 3.0
"""Weight, in places, of the covariance of all places in that of each kind."""
WITHIN: Final = 0.1
"""Added to each number's variance within a cluster, in shares of its variance over all places."""
ROUNDS: Final = 5


@dataclass(frozen=True)
class Frame:
    """What stays the same while numbers of places are estimated: shapes and courses."""

    observed_slots: int
    slot_s: int
    quantum: float
    shapes: Shapes
    size_course: Float64[Array, "slots_per_day"]
    size_law: Float64[Array, "2"]
    days: Float64[Array, "days"]
    day_shapes: Float64[Array, "days scores"]

    @property
    def half_window(self) -> int:
        """Slots of an hour, within which variances are averaged."""
        return hour_slots(self.slot_s)


def fit_patterns(observed: Observed, *, seed: int = 0, rounds: int = ROUNDS) -> Patterns:
    """Fit the generator to series of traffic.

    Args:
        observed: at least two days of at least three places.
        seed: of the draws of scores and of the simulations.
        rounds: of correction by simulation.
    """
    rng = np.random.default_rng([seed, 0])
    y = np.log(observed.traffic + observed.quantum)
    s = observed.slots_per_day
    day, error = _days_with_error(y, s, hour_slots(observed.slot_s))
    shapes = fit_shapes(day, error, N_SHAPES)
    z, covariance = shapes.scores(day, error)
    course, law = _size_course(y, shapes.days(z), s, hour_slots(observed.slot_s))
    days, day_shapes = _day_shapes(_daily(y, shapes.days(z), s))
    frame = Frame(y.shape[1], observed.slot_s, observed.quantum, shapes, course, law, days, day_shapes)
    numbers, u = estimate(frame, y)
    k = shapes.basis.shape[1]
    drawn = z + np.einsum("ckl,cl->ck", np.linalg.cholesky(covariance), rng.standard_normal(z.shape))
    cluster = _clusters(shapes.days(z), seed)
    kind, of, mean, spread = _kinds(cluster, np.concatenate([drawn, numbers[:, k:]], axis=1), seed)
    patterns = Patterns(
        slot_s=observed.slot_s, quantum=observed.quantum, shapes=shapes, size_course=course, size_law=law,
        modes=noise.fit_modes(u, s, hour_slots(observed.slot_s)),
        memory=noise.Memory(noise.memory_course(u, s, frame.half_window), 0.1), common=_common(u, s, frame.half_window),
        days=days, day_shapes=day_shapes, cluster=of, mean=mean, covariance=spread,
        groups=_groups(observed.group, kind, len(mean)),
        per_user=_per_user(observed, cluster), dispersion=dispersion_law(observed),
    )  # fmt: skip
    _, sizes = np.unique(observed.group, return_counts=True)
    for round_ in range(rounds):
        patterns = _corrected(
            patterns, frame, numbers, u, y, sizes.tolist() * 2, np.random.default_rng([seed, 1, round_])
        )
    return patterns


def estimate(
    frame: Frame, y: Float64[Array, "series slots"]
) -> tuple[Float64[Array, "series numbers"], Float64[Array, "series slots"]]:
    """The numbers of each place as the data tell them, and the course u of its rest."""
    s = len(frame.size_course)
    z, _ = frame.shapes.scores(*_days_with_error(y, s, frame.half_window))
    day = frame.shapes.days(z)
    at = np.arange(y.shape[1])
    rest = y - day[:, at % s]
    a, b = noise.size_law(rest, day, frame.size_course, frame.half_window)
    u = rest / noise.sizes(noise.whole(a, noise.acf(rest, 1)), b, day, frame.size_course)[:, at % s]
    course = (_daily(y, day, s) - frame.days) @ frame.day_shapes
    a = a - noise.by_level(frame.size_law, day)
    return np.concatenate([z, a[:, None], b[:, None], noise.memory(rest, u, frame.slot_s), course], axis=1), u


def hour_slots(slot_s: int) -> int:
    """Slots of an hour, at least one."""
    return max(1, round(3600 / slot_s))


def dispersion_law(observed: Observed, bins: int = 10) -> Float64[Array, "2"]:
    """c and k of ``Var(ln(traffic / users)) = c users^-k`` around the mean of each place and slot of the day.

    k = 1 and c = the squared coefficient of variation of a user's slot where users are independent. Empty
    without counts of users.
    """
    if observed.users is None:
        return np.zeros(0)
    x, n, s = observed.traffic, observed.users, observed.slots_per_day
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((x > 0) & (n > 0.5), np.log(x / n), np.nan)
    rest, count = [], []
    for k in range(s):
        one = ratio[:, k::s]
        seen = np.isfinite(one).sum(axis=1)
        usable = seen >= 3
        if usable.any():
            rest.append(np.nanvar(one[usable], axis=1, ddof=1))
            count.append(np.nanmean(np.where(np.isfinite(one), n[:, k::s], np.nan)[usable], axis=1))
    if not rest:
        return np.zeros(0)
    variance, users = np.concatenate(rest), np.concatenate(count)
    by_size = np.array_split(np.argsort(users), bins)
    points = np.array([[np.log(users[i].mean()), np.log(variance[i].mean() + 1e-12)] for i in by_size if len(i)])
    slope, start = np.polyfit(points[:, 0], points[:, 1], 1) if len(points) > 1 else (-1.0, 0.0)
    return np.array([np.exp(start), -slope])


def _days_with_error(y: Array, s: int, half_window: int) -> tuple[Array, Array]:
    """Mean day of each series and the variance of its error."""
    day, n_days = mean_day(y, s), y.shape[1] / s
    rest = y - day[:, np.arange(y.shape[1]) % s]
    square = np.stack([(rest[:, k::s] ** 2).sum(axis=1) for k in range(s)], axis=1)
    variance = around_the_day(square / max(n_days - 1, 0.5), half_window)
    return day, variance / n_days + 1e-3


def _size_course(y: Array, day: Array, s: int, half_window: int) -> tuple[Array, Array]:
    """h: by how much variances depart from the law of the level, by slot of the day; and that law over places."""
    at, course = np.arange(y.shape[1]), np.zeros(s)
    rest = y - day[:, at % s]
    for _ in range(3):
        a, b = noise.size_law(rest, day, course, half_window)
        u = rest / noise.sizes(noise.whole(a, noise.acf(rest, 1)), b, day, course)[:, at % s]
        over = np.log(_by_slot(u, s, half_window))
        course = course + over - over.mean()
    a, _ = noise.size_law(rest, day, course, half_window)
    slope, start = np.polyfit(day.mean(axis=1), a, 1) if len(a) > 2 else (0.0, float(a.mean()))
    return course, np.array([start, slope])


def _by_slot(u: Array, s: int, half_window: int) -> Array:
    """Mean square by slot of the day."""
    return around_the_day(np.array([np.square(u[:, k::s]).mean() for k in range(s)]), half_window)


def _daily(y: Array, day: Array, s: int) -> Array:
    """Mean departure of every whole day (its waking hours) from the mean day, around that of all days."""
    n = y.shape[1] // s * s
    rest = (y[:, :n] - np.tile(day, n // s)).reshape(len(y), -1, s)[:, :, s // 4 :].mean(axis=2)
    return np.asarray(rest - rest.mean(axis=1, keepdims=True))


def _day_shapes(daily: Array) -> tuple[Array, Array]:
    """Mean course over the days and the main ways in which places depart from it."""
    mean = daily.mean(axis=0)
    rest = (daily - mean) / np.sqrt(daily.std(axis=1, keepdims=True) + 1e-6)  # no single place shall decide
    _, _, direction = np.linalg.svd(rest, full_matrices=False)
    return mean, direction[: min(N_DAY_SHAPES, max(0, len(mean) - 1))].T


def _common(u: Array, s: int, half_window: int) -> Array:
    """What all places share within the days; the days themselves are in `Patterns.days`."""
    width = max(1, half_window // 2)
    mean = around_the_day(u.mean(axis=0), width)
    n = len(mean) // s * s
    daily = mean[:n].reshape(-1, s).mean(axis=1)
    return np.asarray(mean - between_days(daily[None], np.arange(len(mean)), s)[0])


def _clusters(days: Array, seed: int) -> Array:
    """Cluster of each place by the shape of its day (k-means), the largest first."""
    from sklearn.cluster import KMeans

    n = int(np.clip(len(days) // SERIES_PER_CLUSTER, 1, N_CLUSTERS))
    first = KMeans(n, n_init=10, random_state=seed).fit_predict(days - days.mean(axis=1, keepdims=True))
    order = np.argsort(-np.bincount(first, minlength=n))
    return np.asarray(np.argsort(order)[first])


def _kinds(cluster: Array, numbers: Array, seed: int) -> tuple[Array, Array, Array, Array]:
    """Kind of each place, cluster of each kind, and each kind's normal law of the numbers.

    Each cluster is a mixture of normal laws, one for each `SERIES_PER_KIND` places. Few places borrow the
    covariance of all: ``(n S + PRIOR S_all) / (n + PRIOR)``. What `WITHIN` adds is taken off the whole, so that
    the numbers vary as much as the data's.
    """
    from sklearn.mixture import GaussianMixture

    centre, spread = numbers.mean(axis=0), numbers.std(axis=0) + 1e-6
    z = (numbers - centre) / spread
    pooled = np.mean([np.cov(z[cluster == c].T, bias=True) for c in cluster], axis=0) + WITHIN * np.eye(z.shape[1])
    kind = np.zeros(len(z), dtype=np.int64)
    of: list[int] = []
    mean, covariance = [], []
    for c in range(int(cluster.max()) + 1):
        here = np.flatnonzero(cluster == c)
        n = int(np.clip(len(here) // SERIES_PER_KIND, 1, MOST_KINDS))
        mixture = GaussianMixture(n, reg_covar=WITHIN, random_state=seed, n_init=2).fit(
            z[np.resize(here, max(2, len(here)))]
        )
        kind[here] = len(of) + mixture.predict(z[here])
        weight = (mixture.weights_ * len(here))[:, None, None]
        covariance.append((weight * mixture.covariances_ + PRIOR * pooled) / (weight + PRIOR))
        mean.append(mixture.means_)
        of += [c] * n
    spread = spread / np.sqrt(1 + WITHIN)
    laws = np.concatenate(covariance) * spread[:, None] * spread
    return kind, np.array(of), centre + np.concatenate(mean) * spread, laws


def _groups(group: Array, kind: Array, n_kinds: int) -> Int64[Array, "groups kinds"]:
    _, which = np.unique(group, return_inverse=True)
    counts = np.zeros((which.max() + 1, n_kinds), dtype=np.int64)
    np.add.at(counts, (which, kind), 1)
    return counts


def _per_user(observed: Observed, cluster: Array) -> Array:
    """Traffic of a user by cluster and slot of the day: sums over places and days, so large places count more."""
    s = observed.slots_per_day
    if observed.users is None:
        return np.zeros((0, s))
    x, n = (mean_day(v, s) for v in (observed.traffic, observed.users))
    clusters = range(int(cluster.max()) + 1)
    return np.stack([x[cluster == c].sum(axis=0) / np.maximum(n[cluster == c].sum(axis=0), 1e-9) for c in clusters])


def _corrected(
    patterns: Patterns,
    frame: Frame,
    numbers: Array,
    u: Array,
    y: Array,
    group_sizes: list[int],
    rng: np.random.Generator,
) -> Patterns:
    """One round of indirect inference: mean and spread of the laws of noise, spread of days, tails of the modes."""
    made = generate(patterns, group_sizes, rng, slots=frame.observed_slots)
    y_made = np.log(made.traffic + frame.quantum)
    found, v = estimate(frame, y_made)
    k, total = frame.shapes.basis.shape[1], numbers.shape[1]
    centre = patterns.kind_share @ patterns.mean
    shift, stretch = np.zeros(total), np.ones(total)
    shift[k + 1 : k + 4] = 0.8 * (numbers.mean(axis=0) - found.mean(axis=0))[k + 1 : k + 4]
    stretch[k:] = (np.clip(numbers.std(axis=0) / (found.std(axis=0) + 1e-9), 0.5, 1.5) ** 0.9)[k:]
    modes = patterns.modes
    gap = _excess(u) - _excess(v)
    scale = modes.scale * np.exp(np.array([-0.5, 1.0]) * np.clip(0.15 * gap, -0.1, 0.1))
    s = len(frame.size_course)
    course = np.log(_by_slot(u, s, frame.half_window) / _by_slot(v, s, frame.half_window))
    back = 2.0 * float(noise.acf(y, s).mean() - noise.acf(y_made, s).mean())
    return replace(
        patterns,
        size_course=patterns.size_course + 0.8 * (course - course.mean()),
        size_law=patterns.size_law + 0.8 * _step_law(y, y_made),
        memory=replace(patterns.memory, again=float(np.clip(patterns.memory.again + back, 0.0, 0.6))),
        mean=centre + shift + (patterns.mean - centre) * stretch,
        covariance=patterns.covariance * stretch[:, None] * stretch,
        modes=noise.standard_modes(modes.shift, np.array([min(scale), max(scale)]), modes.share, modes.stay),
    )


def _step_law(y: Array, made: Array, bins: int = 12) -> Float64[Array, "2"]:
    """Start and slope, by level, of the logarithm of the variance of steps of the data over that of made ones."""
    middle, step = (v[:, 1:] / 2 + v[:, :-1] / 2 for v in (y, made)), (np.diff(v, axis=1) for v in (y, made))
    (level, level_made), (real, other) = middle, step
    edges = np.quantile(level, np.linspace(0, 1, bins + 1))[1:-1]
    here, there = (np.digitize(v, edges) for v in (level, level_made))
    enough = np.bincount(there.ravel(), minlength=bins) > 20
    at = np.bincount(here.ravel(), level.ravel(), bins) / np.bincount(here.ravel(), minlength=bins)
    squares = [
        np.bincount(b.ravel(), np.square(d).ravel(), bins) / np.maximum(np.bincount(b.ravel(), minlength=bins), 1)
        for b, d in ((here, real), (there, other))
    ]
    ratio = np.clip(np.log((squares[0] + 1e-6) / (squares[1] + 1e-6)), -0.5, 0.5)
    if enough.sum() < 3:
        return np.zeros(2)
    slope, start = np.polyfit(at[enough], ratio[enough], 1)
    return np.array([start, slope])


def _excess(u: Array) -> float:
    """Excess kurtosis of innovations."""
    i = u[:, 1:] - 0.45 * u[:, :-1]
    i = (i - i.mean(axis=1, keepdims=True)) / (i.std(axis=1, keepdims=True) + 1e-9)
    return float(np.square(i * i).mean() - 3.0)
