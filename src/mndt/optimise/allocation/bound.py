"""What no allocation can exceed: upper bounds on the throughput of a step, proven by duality.

**Without interference.** ``r <= log2(1 + g p / noise)``; prices on the power and the places of every cell
relax their limits, and the relaxed problem falls apart into users, each in closed form.

**With mutual interference.** Let A be the m users of a block whose SINR exceeds some s. By the inequality of
the means, what user u hears is at least ``(m - 1)`` times the geometric mean of ``g[u, b(v)] p[v]`` over the other v
in A. In the sum over A of the logarithms all powers cancel, and so do any numbers ``pi`` given to cells:

``sum of log2 SINR[u] <= sum of x[u, b(u)] - (mean over v of x[u, b(v)]) - log2(m - 1)`` with
``x[u, c] = log2 g[u, c] + pi[c]``.

The cells of a block's users are different, so that each term is at most F[u](m), with the strongest cell as the
own one and the m - 1 weakest as the others. Users in A have ``log2(1 + SINR) <= log2 SINR + log2(1 + 1/s)``, all others
at most ``log2(1 + s)``. A user in company of m takes one m-th of a block; a price tau on the K blocks gives

``K tau + sum over u of max(log2(1 + s), max over m of F[u](m) + log2(1 + 1/s) - tau / m)``

for every pi, tau >= 0 and s > 0 (m = 1: alone on the block, without interference). The same idea, for
fixed links, is behind the inequalities of S. Friedland and S. Karlin (Duke Mathematical Journal 42, 1975).

Neither knows of demands: a floor on satisfaction can only lower the optimum further.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from mndt.optimise.allocation.problem import Episode, Limits

Array = np.ndarray

STEPS: Final = 30
APART: Final = 4.0
"""SINR above which a user counts as one of those who share a block."""


@dataclass(frozen=True)
class Bound:
    """Upper bounds on the sum of all rates of a step, bit/s/Hz."""

    without_interference: float
    mutual: float

    @property
    def value(self) -> float:
        """The tighter one."""
        return min(self.without_interference, self.mutual)


def throughput_bound(gain: Float[Array, "users cells"], limits: Limits, steps: int = STEPS) -> Bound:
    """No choice of cells, blocks and powers gives a larger sum of rates; every bound holds after any number of steps.

    Args:
        gain: linear, positive.
        limits: of the cells.
        steps: of the descent on the dual variables, each about 10 ns times users times cells.

    A single user with a whole cell has nothing between him and the bound:

    >>> limits = Limits(np.array([1.0], np.float32), n_blocks=1, noise_w=1e-3)
    >>> round(throughput_bound(np.array([[7e-3]]), limits).value, 3)
    3.0
    """
    gain = np.asarray(gain, np.float64)
    return Bound(_without_interference(gain, limits, steps), _mutual(gain, limits, steps))


def episode_bound(episode: Episode, steps: int = STEPS) -> float:
    """No method, even one that knows the future, has a larger throughput in the episode, whatever the floor."""
    return sum(throughput_bound(episode.gain_at(t), episode.limits, steps).value for t in range(episode.n_steps))


def _without_interference(gain: Array, limits: Limits, steps: int) -> float:
    """Least dual value met: prices follow how much more is asked for than there is."""
    limit_w, n_cells = limits.power_w.astype(np.float64), len(limits.power_w)
    snr = gain / limits.noise_w
    strongest = (snr * limit_w).argmax(axis=1)
    users = np.maximum(np.bincount(strongest, minlength=n_cells), 1.0)
    price, rent = users / (limit_w * np.log(2.0)), np.zeros(n_cells)  # of a W, of a place
    best, rows = np.inf, np.arange(len(gain))
    for step in range(steps + 1):
        power = np.clip(1.0 / (price * np.log(2.0)) - 1.0 / snr, 0.0, limit_w)
        profit = np.log2(1.0 + snr * power) - price * power - rent
        cell = profit.argmax(axis=1)
        dual = (price * limit_w).sum() + rent.sum() * limits.places + np.maximum(profit[rows, cell], 0.0).sum()
        best = min(best, float(dual))
        asked = np.bincount(cell, power[rows, cell], n_cells) / limit_w
        size = 0.5 / (1.0 + step / 10.0)
        price = price * np.clip(asked, 0.2, 5.0) ** size
        crowd = np.bincount(cell, minlength=n_cells) / limits.places
        rent = np.maximum(rent + size * (crowd - 1.0), 0.0)
    return best


def _mutual(gain: Array, limits: Limits, steps: int) -> float:
    """Least dual value met in a subgradient descent on pi and tau."""
    n_users, n_cells = gain.shape
    level, alone = np.log2(gain), np.log2(1.0 + (gain * limits.power_w).max(axis=1) / limits.noise_w)
    others, fair = np.arange(1, n_cells), n_users / n_cells
    low, extra = np.log2(1.0 + APART), np.log2(1.0 + 1.0 / APART)
    pi, tau, best = np.zeros(n_cells), 2.0 * n_users / limits.n_blocks, np.inf
    for step in range(steps + 1):
        order = np.argsort(level + pi, axis=1)
        ranked = np.take_along_axis(level + pi, order, axis=1)
        company = ranked[:, -1:] - np.cumsum(ranked[:, :-1], axis=1) / others - np.log2(others)
        profit = np.column_stack([alone, company + extra]) - tau / np.arange(1, n_cells + 1)
        m = profit.argmax(axis=1) + 1
        gained = profit[np.arange(n_users), m - 1]
        best = min(best, float(limits.n_blocks * tau + np.maximum(gained, low).sum()))
        among = (gained > low) & (m > 1)
        share = np.where(np.arange(n_cells) < m[among, None] - 1, 1.0 / np.maximum(m[among, None] - 1, 1), 0.0)
        pull = np.bincount(order[among, -1], minlength=n_cells) - np.bincount(
            order[among].ravel(), share.ravel(), n_cells
        )
        spare = limits.n_blocks - (1.0 / m[gained > low]).sum()
        size = 0.5 / (1.0 + step / 10.0)
        pi = pi - size * pull / fair
        tau = max(tau * (1.0 - size * np.clip(spare / limits.n_blocks, -1.0, 1.0)), 0.0)
    return best
