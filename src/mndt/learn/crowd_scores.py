"""How close simulated walkers come to real ones: distance, transport distance, MMD, contacts between strangers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mndt.learn.crowd_model import Packed, alike, compiled_roll_out
from mndt.learn.crowd_tracks import EVERY
from mndt.users.crowd.correction import ARRIVED_M

Array = np.ndarray

CONTACT_M: Final = 0.4
SUBSTEPS: Final = 2
"""Steps of the model in one of the grid when scoring: 0.1 s, as in the engine."""
MMD_WIDTHS: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Times the median distance of the real positions of a sample."""


@dataclass(frozen=True)
class Scores:
    """Sums over each scene, so that scenes can be pooled or compared in pairs."""

    walkers: Array  # scored (sample, walker) pairs
    distance_m: Array  # summed distance to the truth
    transport_m: Array  # summed cost of the exact assignment at each sample
    mmd: Array  # mean over the samples
    contacts: Array
    contacts_real: Array

    def pooled(self) -> dict[str, float]:
        """Means over all walkers and samples, and counts."""
        n = max(float(self.walkers.sum()), 1.0)
        return {
            "mae_m": float(self.distance_m.sum() / n),
            "ot": float(self.transport_m.sum() / n),
            "mmd": float(np.average(self.mmd, weights=np.maximum(self.walkers, 1e-9))),
            "stranger_contacts": float(self.contacts.sum()),
        }

    def ot(self) -> Array:
        """Mean transport distance of each scene."""
        return np.asarray(self.transport_m / np.maximum(self.walkers, 1))


def positions(kind: str, p: Any, packed: Packed) -> tuple[Array, Array]:
    """Roll-outs of all scenes at the engine's step: positions and who has arrived."""
    x, done = np.zeros(packed.real.shape), np.zeros(packed.person.shape, bool)
    for width, some in alike(packed):
        x[some, :, :width], done[some, :, :width] = compiled_roll_out(kind, SUBSTEPS)(p, packed.rows[some, :, :width])
    return x, done


def score(packed: Packed, x: Array, done: Array) -> Scores:
    """Compare positions with the recording."""
    from scipy.optimize import linear_sum_assignment

    n_scenes = len(packed.rows)
    distance, transport, mmd, walkers = (np.zeros(n_scenes) for _ in range(4))
    for s in range(n_scenes):
        found = []
        for t in np.flatnonzero(packed.scored[s].any(-1)):
            who = packed.scored[s, t]
            a, b = x[s, t, who], packed.real[s, t, who].astype(float)
            cost = np.hypot(*np.moveaxis(a[:, None] - b[None], -1, 0))
            walkers[s] += len(a)
            distance[s] += np.trace(cost)
            transport[s] += cost[linear_sum_assignment(cost)].sum()
            found.append(_mmd(a, b))
        mmd[s] = np.mean(found) if found else 0.0
    return Scores(
        walkers, distance, transport, mmd,
        contacts(packed, x, done), real_contacts(packed),
    )  # fmt: skip


def real_contacts(packed: Packed) -> Array:
    """`contacts` of the recording, by scene."""
    near_goal = np.hypot(*np.moveaxis(packed.real - packed.rows[..., 4:6], -1, 0)) < ARRIVED_M
    return contacts(packed, packed.real.astype(float), near_goal)


def contacts(packed: Packed, x: Array, done: Array) -> Array:
    """Pair samples of strangers nearer than 0.4 m, both free and not yet at their goals, by scene."""
    p, gone = x[:, ::EVERY], done[:, ::EVERY]
    d = np.hypot(*np.moveaxis(p[:, :, :, None] - p[:, :, None], -1, 0))
    pair = packed.strangers & ~gone[:, :, :, None] & ~gone[:, :, None, :]
    return np.asarray((pair & (d < CONTACT_M)).sum((1, 2, 3)))


def _mmd(a: Array, b: Array) -> float:
    """Squared maximum mean discrepancy (biased) of two sets of positions, mean of five Gaussian kernels."""
    both = np.concatenate([a, b])
    d2 = ((both[:, None] - both[None]) ** 2).sum(-1)
    n = len(a)
    scale = np.median(d2[n:, n:][~np.eye(n, dtype=bool)]) if n > 1 else 1.0
    kernel = np.mean([np.exp(-d2 / (2 * w * w * max(scale, 1e-6))) for w in MMD_WIDTHS], axis=0)
    return float(kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean())
