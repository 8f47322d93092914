from __future__ import annotations

import numpy as np
import pytest

from mndt.radio.measured import law
from mndt.radio.measured.law import TERMS, Term


def test_without_prior_and_cells_it_is_least_squares() -> None:
    rng = np.random.default_rng(1)
    x = np.column_stack((np.ones(500), rng.normal(size=(500, 2))))
    y = x @ np.array([3.0, -2.0, 0.5]) + rng.normal(0, 0.1, 500)
    terms = tuple(Term(name, "", 0.0, 1e6, "") for name in "abc")
    # one cell whose offset is absorbed: compare slopes only
    found = law.fit(x, y, np.zeros(500, int), np.ones(500), 1, terms=terms)
    plain = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(found.coefficient[1:], plain[1:], atol=2e-3)


def test_offsets_and_spreads_are_found() -> None:
    rng = np.random.default_rng(2)
    n_cells, each = 200, 60
    offset = rng.normal(0, 5.0, n_cells)
    cell = np.repeat(np.arange(n_cells), each)
    x = np.column_stack((np.ones(len(cell)), rng.normal(size=len(cell))))
    y = x @ np.array([10.0, -3.0]) + offset[cell] + rng.normal(0, 8.0, len(cell))
    terms = tuple(Term(name, "", 0.0, 100.0, "") for name in "ab")
    found = law.fit(x, y, cell, np.ones(len(cell)), n_cells, terms=terms, rounds=40)
    assert found.tau_db == pytest.approx(5.0, rel=0.15)
    assert found.sigma_db == pytest.approx(8.0, rel=0.03)
    assert found.coefficient[1] == pytest.approx(-3.0, abs=4 * np.sqrt(found.covariance[1, 1]))
    error = found.offset_db - (offset - offset.mean())
    assert np.std(error) < 1.3 * 8.0 / np.sqrt(each)


def test_an_offset_is_drawn_to_zero_as_far_as_its_reports_are_few() -> None:
    rng = np.random.default_rng(3)
    cell = np.concatenate((np.repeat(np.arange(50), 40), [50]))
    y = rng.normal(0, 4.0, 51)[cell] + rng.normal(0, 6.0, len(cell))
    y[-1] = 40.0  # a single report
    found = law.fit(np.ones((len(cell), 1)), y, cell, np.ones(len(cell)), 52, terms=(Term("a", "", 0.0, 10.0, ""),))
    assert 0.0 < found.offset_db[50] < 25.0
    assert found.offset_db[51] == 0.0  # never measured


def test_without_reports_of_a_kind_the_prior_stands() -> None:
    rng = np.random.default_rng(4)
    x = np.column_stack((np.ones(300), np.zeros(300)))
    terms = (Term("a", "", 0.0, 10.0, ""), Term("wall", "", -12.0, 6.0, ""))
    found = law.fit(x, rng.normal(5, 1, 300), np.arange(300) % 7, np.ones(300), 7, terms=terms)
    assert found.coefficient[1] == pytest.approx(-12.0)
    assert np.sqrt(found.covariance[1, 1]) == pytest.approx(6.0)


def test_outliers_hardly_move_it() -> None:
    rng = np.random.default_rng(5)
    x = np.column_stack((np.ones(2000), rng.uniform(0, 1, 2000)))
    y = x @ np.array([0.0, -20.0]) + rng.normal(0, 2.0, 2000)
    y[x[:, 1] > 0.97] += 60.0  # 3 % of the reports come from somewhere else
    terms = tuple(Term(name, "", 0.0, 100.0, "") for name in "ab")
    robust = law.fit(x, y, np.arange(2000) % 5, np.ones(2000), 5, terms=terms).coefficient[1]
    plain = np.linalg.lstsq(x, y, rcond=None)[0][1]
    assert abs(robust + 20.0) < 0.5 * abs(plain + 20.0)


def test_a_block_counts_once_for_each_cell() -> None:
    cell = np.array([0, 0, 0, 1, 0])
    x = np.array([1.0, 2.0, 49.0, 3.0, 51.0])
    weight = law.block_weights(cell, x, np.zeros(5))
    np.testing.assert_allclose(weight, [1 / 3, 1 / 3, 1 / 3, 1.0, 1.0])


def test_every_term_has_a_prior() -> None:
    assert all(term.sd > 0 for term in TERMS)
    assert len({term.name for term in TERMS}) == len(TERMS)
