from __future__ import annotations

import numpy as np
import pytest
from grid_town import grid_town
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.errors import InputError
from mndt.users.matching import distances, doubly_constrained, match


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40), m=st.integers(1, 40), exponent=st.floats(0.0, 2.0))
def test_rows_and_columns_sum_to_what_begins_and_ends_there(seed: int, n: int, m: int, exponent: float) -> None:
    rng = np.random.default_rng(seed)
    origins, targets = rng.random(n) * 100 + 1e-3, rng.random(m) * 10
    targets[0] += 1e-3
    origins[rng.random(n) < 0.2] = 0
    law = np.hypot(*(rng.random((2, n, 1)) - rng.random((2, 1, m)))).clip(0.01) ** -exponent
    table = doubly_constrained(origins, targets, law)
    if not origins.any():
        assert not table.any()
        return
    assert table.sum(axis=1) == pytest.approx(origins, rel=1e-6)
    assert table.sum(axis=0) == pytest.approx(targets * origins.sum() / targets.sum(), rel=1e-6)


def test_two_zones_have_the_closed_form() -> None:
    # equal sums, deterrence 1 on the diagonal and f beside it: by symmetry T_ii = 1 / (1 + f), T_ij = f / (1 + f)
    f = 0.3
    table = doubly_constrained(np.ones(2), np.ones(2), np.array([[1, f], [f, 1]]))
    assert table == pytest.approx(np.array([[1, f], [f, 1]]) / (1 + f), rel=1e-9)


def test_cross_ratios_are_those_of_the_deterrence() -> None:
    # balancing multiplies rows and columns, so T_ij T_kl / (T_il T_kj) keeps the deterrence's value
    rng = np.random.default_rng(3)
    law = rng.random((4, 5)) + 0.1
    table = doubly_constrained(rng.random(4) + 0.1, rng.random(5) + 0.1, law)

    def ratio(t: np.ndarray) -> np.ndarray:
        return t[0, 0] * t[1:, 1:] / (t[0, 1:] * t[1:, :1])

    assert ratio(table) == pytest.approx(ratio(law), rel=1e-9)


def test_a_balance_out_of_reach_is_said() -> None:
    with pytest.raises(InputError, match="smaller gravity exponent"):
        doubly_constrained(np.array([1.0, 2.0]), np.array([2.0, 1.0]), np.eye(2))


def test_within_an_area_the_way_is_half_its_extent() -> None:
    d = distances(np.array([0.0, 300.0]), np.zeros(2), np.array([10_000.0, 4.0]))
    assert d.tolist() == [[50.0, 300.0], [300.0, 10.0]]


def test_drawn_works_fill_the_jobs_there_are() -> None:
    areas = grid_town().areas
    rng = np.random.default_rng(0)
    homes, jobs = rng.random(len(areas)), rng.random(len(areas)) * (np.arange(len(areas)) % 3 == 0)
    x, y, size = (np.asarray(v, float) for v in (areas.x_m, areas.y_m, areas.size_m2))
    found = match(x, y, size, homes, jobs, 1.0)
    home = rng.choice(len(areas), size=100_000, p=homes / homes.sum()).astype(np.int32)
    work = found.draw(home, rng)
    share = np.bincount(work, minlength=len(areas)) / len(home)
    assert np.abs(share - jobs / jobs.sum()).max() < 4 * np.sqrt(0.25 / len(home))
    assert (share[jobs == 0] == 0).all()


def test_a_given_table_is_followed_zone_by_zone() -> None:
    x, y, size = np.array([0.0, 1.0, 10.0, 11.0]), np.zeros(4), np.ones(4)
    zone = np.array([0, 0, 1, -1], np.int32)
    table = np.array([[0.0, 30.0], [10.0, 0.0]])
    found = match(x, y, size, np.ones(4), np.array([1.0, 3.0, 1.0, 9.0]), 1.0, zone=zone, table=table)
    rng = np.random.default_rng(0)
    assert (found.draw(np.zeros(50, np.int32), rng) == 2).all()
    back = found.draw(np.full(4000, 2, np.int32), rng)
    assert set(back.tolist()) == {0, 1}
    assert np.mean(back == 1) == pytest.approx(0.75, abs=0.03)


def test_very_many_areas_are_balanced_between_squares() -> None:
    rng = np.random.default_rng(1)
    n = 3000
    x, y, size, homes, jobs = rng.random((5, n))
    found = match(1000 * x, 1000 * y, size, homes, jobs, 1.0)
    assert len(found.share) < 1600
    home = rng.choice(n, size=50_000, p=homes / homes.sum()).astype(np.int32)
    west = x[found.draw(home, rng)] < 0.5
    assert west.mean() == pytest.approx(jobs[x < 0.5].sum() / jobs.sum(), abs=0.02)
