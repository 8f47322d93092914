"""Traffic of whole places through the week: clusters of places, modes of slots, a generator for each mode.

Macroscopic: a place is described by a few numbers (scores of its mean day on common shapes, the law of its noise,
its course over the days), and places form clusters by the shape of their day. A cluster has one or a few kinds,
each a normal law of these numbers. Neighbouring places keep the mix of kinds of one group of the data. Microscopic:
slots are ordinary or lively, see `mndt.users.demand.noise`. No series, and no single place's numbers, are kept:
only the laws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float64, Int64

from mndt.errors import InputError
from mndt.files import whole_file
from mndt.users.demand.noise import Memory, Modes, by_level, draw_rest, sizes, whole
from mndt.users.demand.observed import DAY_S, Observed
from mndt.users.demand.shapes import Shapes

Array = np.ndarray

SIZE_WIDTH: Final = 0.5
"""How much, in logarithms, a group of the data may differ in size from the one it is a model of."""
LAYOUT: Final = 1
"""Version of the layout of the file."""


@dataclass(frozen=True)
class Patterns:
    """Fitted parameters of a region. The numbers of a place are, in order: scores of shapes, a of its steps less what
    its level lets expect, b, the two autocorrelations of `noise.memory`, scores of the days' shapes."""

    slot_s: int
    quantum: float  # traffic comes in multiples of it
    shapes: Shapes  # of the mean day, in logarithms of traffic + quantum
    size_course: Float64[Array, "slots_per_day"]  # h of `noise`
    size_law: Float64[Array, "2"]  # a of `noise` by the mean level of a place: start and slope
    modes: Modes
    memory: Memory
    common: Float64[Array, "slots"]  # course of u that all places share, over the days of the data
    days: Float64[Array, "days"]  # departure of each day from the mean day, all places
    day_shapes: Float64[Array, "days scores"]
    cluster: Int64[Array, "kinds"]  # cluster of each kind of place; clusters are numbered from 0, the largest
    mean: Float64[Array, "kinds numbers"]
    covariance: Float64[Array, "kinds numbers numbers"]
    groups: Int64[Array, "groups kinds"]  # how many places of each kind a group of the data has
    per_user: Float64[Array, "clusters slots_per_day"]  # mean traffic of a user by cluster; empty without user counts
    dispersion: Float64[Array, "2"]  # c, k of Var(ln(traffic / users)) = c users^-k; empty without user counts

    @property
    def slots_per_day(self) -> int:
        """Slots of a day."""
        return DAY_S // self.slot_s

    @property
    def kind_share(self) -> Float64[Array, "kinds"]:
        """Share of all places that are of each kind."""
        return np.asarray(self.groups.sum(axis=0) / self.groups.sum())

    @property
    def share(self) -> Float64[Array, "clusters"]:
        """Share of all places in each cluster."""
        return np.bincount(self.cluster, self.kind_share)

    def cluster_days(self) -> Float64[Array, "clusters slots_per_day"]:
        """The typical day of each cluster, in logarithms of traffic."""
        scores = self.mean[:, : self.shapes.basis.shape[1]]
        typical = [np.bincount(self.cluster, self.kind_share * column) for column in scores.T]
        return self.shapes.days(np.stack(typical, axis=1) / self.share[:, None])


def generate(
    patterns: Patterns, group_sizes: Sequence[int], rng: np.random.Generator, *, slots: int | None = None
) -> Observed:
    """Series of traffic for new places.

    Args:
        patterns: fitted.
        group_sizes: how many neighbouring places each group has.
        rng: all randomness comes from it.
        slots: length of the series from midnight of the data's first day; None = as long as the data. Longer
            series repeat the data's first week, or all its days where it has fewer.

    >>> observed = generate(load("nanchang"), [3, 2], np.random.default_rng(0), slots=96)
    >>> observed.traffic.shape, observed.group.tolist()
    ((5, 96), [0, 0, 0, 1, 1])
    """
    p, n = patterns, len(patterns.common) if slots is None else slots
    numbers = draw_places(p, group_sizes, rng)
    k, s = p.shapes.basis.shape[1], p.slots_per_day
    day = p.shapes.days(numbers[:, :k])
    a = whole(numbers[:, k] + by_level(p.size_law, day), numbers[:, k + 2])
    size = sizes(a, numbers[:, k + 1], day, p.size_course)
    at = calendar(p, n)
    course = p.days + numbers[:, k + 4 :] @ p.day_shapes.T
    u = draw_rest(numbers[:, k + 2 : k + 4], n, p.slot_s, p.modes, p.memory, rng) + p.common[at]
    y = day[:, at % s] + size[:, at % s] * u + between_days(course, at, s)
    traffic = np.maximum(np.rint((np.exp(y) - p.quantum) / p.quantum), 0.0) * p.quantum
    return Observed(traffic, np.repeat(np.arange(len(group_sizes)), group_sizes), p.slot_s)


def draw_places(
    patterns: Patterns, group_sizes: Sequence[int], rng: np.random.Generator
) -> Float64[Array, "places numbers"]:
    """The numbers of new places: each group takes the mix of kinds of a group of the data of similar size."""
    p, rows = patterns, []
    size = p.groups.sum(axis=1)
    used = np.zeros(len(size))
    for n in group_sizes:
        # groups of similar size, those already taken less likely
        weight = np.exp(-0.5 * (np.log(size / n) / SIZE_WIDTH) ** 2 - used) + 1e-9
        g = rng.choice(len(size), p=weight / weight.sum())
        used[g] += 1.5
        members = np.repeat(np.arange(len(p.mean)), p.groups[g])
        rows.append(rng.permutation(members)[:n] if n <= len(members) else rng.choice(members, n))
    kind = np.concatenate(rows)
    numbers = np.empty((len(kind), p.mean.shape[1]))
    for k in range(len(p.mean)):
        here = kind == k
        root = np.linalg.cholesky(p.covariance[k])
        numbers[here] = p.mean[k] + rng.standard_normal((int(here.sum()), p.mean.shape[1])) @ root.T
    return numbers


def calendar(patterns: Patterns, slots: int) -> Int64[Array, "slots"]:
    """Which slot of the data each slot is like: the same, or after its end that of the first week."""
    s, n = patterns.slots_per_day, len(patterns.common)
    period = s * 7 if n >= s * 7 else max(s, n // s * s)
    t = np.arange(slots)
    return np.where(t < n, t, t % period)


def between_days(
    course: Float64[Array, "series days"], at: Int64[Array, "slots"], slots_per_day: int
) -> Float64[Array, "series slots"]:
    """Values of days, set at noon, at every slot: linear between noons."""
    where = np.clip(at / slots_per_day - 0.5, 0.0, course.shape[1] - 1.0)
    low = np.minimum(where.astype(np.int64), max(0, course.shape[1] - 2))
    high = np.minimum(low + 1, course.shape[1] - 1)
    return np.asarray(course[:, low] + (where - low) * (course[:, high] - course[:, low]))


# --- files ------------------------------------------------------------------------------------------


def save(patterns: Patterns, path: Path) -> None:
    """Write the parameters as one file .npz; an earlier one is replaced whole."""
    with whole_file(path) as part, part.open("wb") as stream:
        np.savez_compressed(stream, layout=np.int64(LAYOUT), **_flat(patterns))


def load(name: str, *, where: str = "") -> Patterns:
    """Read parameters: a file that `save` wrote, or "nanchang", the ones that ship.

    Raises:
        InputError: no such file, or not such a file.
    """
    from importlib import resources

    path = Path(str(resources.files("mndt.data").joinpath("demand_nanchang.npz"))) if name == "nanchang" else Path(name)
    if not path.is_file():
        raise InputError(
            "demand.fitted",
            name,
            allowed='a file .npz of mndt fit demand, or "nanchang"',
            fix="check the path",
            where=where,
        )
    try:
        with np.load(path, allow_pickle=False) as held:
            if int(held["layout"]) != LAYOUT:
                raise ValueError("layout")
            return _nested({key: held[key] for key in held.files})
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(
            "demand.fitted",
            f"{name} ({error})",
            allowed="a file written by mndt fit demand",
            fix="fit again",
            where=where,
        ) from None


def _flat(patterns: Patterns) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for field in fields(patterns):
        value = getattr(patterns, field.name)
        if isinstance(value, Shapes | Modes | Memory):
            flat |= {f"{field.name}_{inner.name}": np.asarray(getattr(value, inner.name)) for inner in fields(value)}
        else:
            flat[field.name] = np.asarray(value)
    return flat


def _nested(held: dict[str, Array]) -> Patterns:
    shapes = Shapes(held["shapes_mean"], held["shapes_basis"])
    modes = Modes(held["modes_shift"], held["modes_scale"], held["modes_share"], float(held["modes_stay"]))
    memory = Memory(held["memory_course"], float(held["memory_again"]))
    plain: dict[str, Any] = {f.name: held[f.name] for f in fields(Patterns) if f.name in held}
    plain |= {"slot_s": int(held["slot_s"]), "quantum": float(held["quantum"])}
    return Patterns(**plain, shapes=shapes, modes=modes, memory=memory)
