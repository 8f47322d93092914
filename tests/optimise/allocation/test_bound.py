"""Upper bounds: no choice of tiny instances, tried one by one, exceeds them; closed forms."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.optimise.allocation.bound import episode_bound, throughput_bound
from mndt.optimise.allocation.problem import Episode, Limits

SHARES = (0.0, 0.03, 0.2, 1.0)


def _best(gain, limits):
    """Largest sum of rates over all cells, blocks and powers of a grid."""
    n_users, n_cells = gain.shape
    best = 0.0
    places = list(product(range(n_cells), range(limits.n_blocks)))
    share = np.array(list(product(SHARES, repeat=n_users)))
    for way in product(places, repeat=n_users):
        if len(set(way)) < n_users:
            continue
        cell, block = np.array(way).T
        power = share * limits.power_w[cell]
        total = np.stack([(power * (cell == c)).sum(axis=1) for c in range(n_cells)], axis=1)
        power = power[(total <= limits.power_w * 1.0001).all(axis=1)]
        hears = gain[:, cell] * (block[:, None] == block[None, :]) * ~np.eye(n_users, dtype=bool)
        sinr = gain[np.arange(n_users), cell] * power / (power @ hears.T + limits.noise_w)
        best = max(best, np.log2(1.0 + sinr).sum(axis=1).max())
    return best


@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10**6), n_blocks=st.integers(1, 2), spread=st.sampled_from([1.0, 2.0, 4.0]))
def test_no_choice_exceeds_the_bounds(seed, n_blocks, spread):
    rng = np.random.default_rng(seed)
    gain = 10.0 ** rng.uniform(-spread, 0, (3, 3))
    limits = Limits(rng.uniform(0.3, 1.0, 3).astype(np.float32), n_blocks, 10.0 ** rng.uniform(-6, -1))
    found, bound = _best(gain, limits), throughput_bound(gain, limits)
    assert found <= bound.without_interference + 1e-9
    assert found <= bound.mutual + 1e-9
    assert bound.value == min(bound.without_interference, bound.mutual)


def test_water_filling_meets_the_bound_without_interference():
    """One cell, three users on blocks of their own: the relaxation is exact."""
    snr = np.array([[8.0], [2.0], [0.1]])
    level = (1.0 + 1 / 8 + 1 / 2) / 2  # the third user is under water
    best = np.log2(level * snr[:2]).sum()
    limits = Limits(np.ones(1, np.float32), 3, 1.0)
    bound = throughput_bound(snr, limits, steps=300).without_interference
    assert best - 1e-9 <= bound <= 1.005 * best


def test_who_cannot_get_away_from_each_other_is_bounded_by_the_interference():
    """Sixteen users of sixteen cells of equal gains on one block: without noise each has at most 1/15."""
    gain = np.ones((16, 16)) + 0.01 * np.eye(16)
    limits = Limits(np.ones(16, np.float32), 1, 1e-12)
    bound = throughput_bound(gain, limits)
    one_alone = np.log2(1.01e12)
    assert one_alone <= bound.mutual <= one_alone + 16 * np.log2(5.0)  # low for each, and one block
    assert bound.without_interference > 8 * bound.mutual


def test_more_steps_are_never_looser():
    rng = np.random.default_rng(1)
    gain, limits = 10.0 ** rng.uniform(-6, 0, (60, 12)), Limits(np.ones(12, np.float32), 8, 1e-6)
    few, many = (throughput_bound(gain, limits, steps=n) for n in (3, 40))
    assert many.mutual <= few.mutual
    assert many.without_interference <= few.without_interference


def test_an_episode_has_the_sum_of_its_steps():
    rng = np.random.default_rng(2)
    gain = 10.0 ** rng.uniform(-6, 0, (2, 20, 5)).astype(np.float32)
    limits = Limits(np.ones(5, np.float32), 8, 1e-6)
    episode = Episode(limits, np.ones(20), lambda t: gain[t], 2)
    steps = [throughput_bound(g, limits).value for g in gain]
    assert episode_bound(episode) == pytest.approx(sum(steps))
