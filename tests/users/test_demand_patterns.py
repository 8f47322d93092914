from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.users.demand import noise
from mndt.users.demand.fitting import dispersion_law, fit_patterns
from mndt.users.demand.observed import Observed
from mndt.users.demand.patterns import Patterns, between_days, calendar, draw_places, generate, load, save
from mndt.users.demand.shapes import Shapes, around_the_day, fit_shapes, mean_day


@pytest.fixture(scope="module")
def nanchang() -> Patterns:
    return load("nanchang")


@pytest.fixture(scope="module")
def made(nanchang: Patterns) -> Observed:
    return generate(nanchang, [12, 9, 15, 11, 8, 14] * 2, np.random.default_rng(3))


def test_scores_are_those_of_weighted_regression() -> None:
    # with tiny errors the scores are the exact coordinates, with huge ones the prior's zero
    rng = np.random.default_rng(0)
    shapes, z = Shapes(rng.standard_normal(24), rng.standard_normal((24, 3))), rng.standard_normal((5, 3))
    exact, narrow = shapes.scores(shapes.days(z), np.full((5, 24), 1e-10))
    np.testing.assert_allclose(exact, z, atol=1e-6)
    vague, wide = shapes.scores(shapes.days(z), np.full((5, 24), 1e10))
    np.testing.assert_allclose(vague, 0.0, atol=1e-6)
    np.testing.assert_allclose(wide, np.broadcast_to(np.eye(3), (5, 3, 3)), atol=1e-6)
    assert np.abs(narrow).max() < 1e-8


def test_shapes_are_found_under_uneven_noise() -> None:
    rng = np.random.default_rng(1)
    true = Shapes(np.zeros(48), np.stack([np.sin(np.arange(48) / 48 * 2 * np.pi), np.cos(np.arange(48) / 6)], axis=1))
    error = np.where(rng.random((300, 48)) < 0.3, 4.0, 0.01)
    z = rng.standard_normal((300, 2))
    day = true.days(z) + np.sqrt(error) * rng.standard_normal((300, 48))
    found, wanted = fit_shapes(day, error, 2).basis, np.cov(true.days(z).T)
    np.testing.assert_allclose(found @ found.T, wanted, atol=0.25)
    plain = np.cov(day.T)  # what an analysis that trusts every slot alike would take for shapes
    assert np.abs(plain - wanted).max() > 1.0


def test_smoothing_keeps_the_mean_and_meets_over_midnight() -> None:
    values = np.random.default_rng(2).random((3, 24))
    np.testing.assert_allclose(around_the_day(values, 2).mean(axis=1), values.mean(axis=1))
    assert around_the_day(np.eye(24)[:1], 1)[0, 23] == pytest.approx(1 / 3)


def test_rest_has_the_correlations_it_is_asked_for() -> None:
    modes = noise.standard_modes(np.zeros(2), np.array([0.8, 1.6]), np.full(48, 0.2), 0.2)
    wanted = np.tile([0.45, 0.2], (400, 1))
    u = noise.draw_rest(wanted, 48 * 30, 1800, modes, noise.Memory(np.zeros(48), 0.0), np.random.default_rng(0))
    assert u.std() == pytest.approx(1.0, abs=0.02)
    assert np.abs(noise.acf(u, 1).mean() - 0.45) < 0.02
    r, w = noise.parts(wanted[:1], 1800)
    for lag in (2, 8, 24):  # closed form of two first-order parts
        slow = noise.slow_memory(1800)
        assert noise.acf(u, lag).mean() == pytest.approx((1 - w[0]) * r[0] ** lag + w[0] * slow**lag, abs=0.02)


def test_yesterday_comes_back_as_often_as_set() -> None:
    modes = noise.standard_modes(np.zeros(2), np.ones(2), np.full(24, 0.2), 0.0)
    flat = np.tile([0.0, 0.0], (400, 1))
    u = noise.draw_rest(flat, 24 * 40, 3600, modes, noise.Memory(np.zeros(24), 0.5), np.random.default_rng(1))
    r, w = noise.parts(flat[:1], 3600)
    slow = noise.slow_memory(3600)
    short = (1 - w[0]) * 0.5 * noise.DAY_AGAIN
    assert noise.acf(u, 24).mean() == pytest.approx(short + w[0] * slow**24, abs=0.02)
    assert abs(r[0]) < 0.05


def test_modes_are_found_again() -> None:
    share = 0.15 + 0.1 * np.cos(np.arange(48) / 48 * 2 * np.pi)
    true = noise.standard_modes(np.zeros(2), np.array([0.7, 2.1]), share, 0.0)
    u = true.draw(150, 48 * 15, np.random.default_rng(4))
    assert u.mean() == pytest.approx(0.0, abs=0.02)
    assert u.std() == pytest.approx(1.0, abs=0.02)
    found = noise.fit_modes(u, 48, 2)
    np.testing.assert_allclose(found.scale, true.scale, rtol=0.05)
    np.testing.assert_allclose(found.share, true.share, atol=0.04)
    assert np.corrcoef(found.share, share)[0, 1] > 0.9


def test_law_of_sizes_is_found_again() -> None:
    rng = np.random.default_rng(5)
    day = 8.0 + 1.5 * np.sin(np.arange(48) / 48 * 2 * np.pi) + rng.standard_normal((50, 1))
    a, b = rng.normal(-2, 0.5, 50), np.full(50, 0.8)
    size = noise.sizes(a, b, day, np.zeros(48))
    rest = np.tile(size, 40) * rng.standard_normal((50, 48 * 40))
    found_a, found_b = noise.size_law(rest, day, np.zeros(48), 1)
    np.testing.assert_allclose(found_a, a, atol=0.15)  # independent slots: steps have twice the variance, halved
    assert found_b.mean() == pytest.approx(0.8, abs=0.05)
    np.testing.assert_allclose(noise.whole(found_a, noise.acf(rest, 1)), found_a, atol=0.1)


def test_dispersion_of_independent_users_has_exponent_one() -> None:
    rng = np.random.default_rng(6)
    users = np.exp(rng.uniform(np.log(3), np.log(300), (400, 1))) * np.ones((1, 48 * 6))
    cv = 1.2
    traffic = users * rng.gamma(users / cv**2, cv**2 / users)  # sums of n gamma users of that variation
    c, k = dispersion_law(Observed(traffic, np.arange(400), 1800, users))
    assert k == pytest.approx(1.0, abs=0.08)
    assert np.sqrt(c) == pytest.approx(cv, rel=0.15)


def test_generated_traffic_is_counted_traffic(nanchang: Patterns, made: Observed) -> None:
    assert made.traffic.shape == (138, 399)
    assert np.unique(made.group).tolist() == list(range(12))
    assert (made.traffic >= 0).all()
    assert np.allclose(made.traffic / nanchang.quantum, np.rint(made.traffic / nanchang.quantum))
    day = mean_day(np.log(made.traffic + 1), 48).mean(axis=0)
    assert day[4:12].mean() < day[20:46].mean() - 1.0  # quiet at night


def test_small_places_are_noisier(made: Observed) -> None:
    y = np.log(made.traffic + 1)
    level, step = y.mean(axis=1), np.log(np.diff(y, axis=1).std(axis=1))
    assert np.corrcoef(level, step)[0, 1] < -0.8  # -0.96 in the data


def test_same_generator_same_bytes_and_any_length(nanchang: Patterns) -> None:
    one, two = (generate(nanchang, [3, 4], np.random.default_rng(8), slots=700).traffic for _ in range(2))
    assert one.tobytes() == two.tobytes()
    assert one.shape == (7, 700)
    assert generate(nanchang, [3], np.random.default_rng(8), slots=10).traffic.shape == (3, 10)


def test_calendar_repeats_the_first_week(nanchang: Patterns) -> None:
    at = calendar(nanchang, 1000)
    assert at[:399].tolist() == list(range(399))
    assert at[399:].tolist() == [t % 336 for t in range(399, 1000)]


def test_days_are_joined_between_noons() -> None:
    course = np.array([[0.0, 1.0, 3.0]])
    joined = between_days(course, np.arange(72), 24)[0]
    assert joined[12] == 0.0
    assert joined[24] == 0.5
    assert joined[36] == 1.0
    assert joined[48] == 2.0
    assert joined[71] == 3.0


def test_groups_take_the_mix_of_one_group(nanchang: Patterns) -> None:
    numbers = draw_places(nanchang, [200] * 3, np.random.default_rng(0))
    assert numbers.shape == (600, nanchang.mean.shape[1])
    assert np.isfinite(numbers).all()
    assert nanchang.share.sum() == pytest.approx(1.0)
    assert (np.diff(nanchang.share) <= 0).all()


def test_no_place_of_the_data_is_kept(nanchang: Patterns) -> None:
    size = sum(np.asarray(v).size for v in (nanchang.mean, nanchang.covariance, nanchang.groups, nanchang.common))
    assert size < 5000  # the data are 307 x 399


def test_file_holds_everything(nanchang: Patterns, tmp_path: Path) -> None:
    save(nanchang, tmp_path / "again.npz")
    again = load(str(tmp_path / "again.npz"))
    a, b = (generate(p, [5], np.random.default_rng(1)).traffic for p in (nanchang, again))
    assert a.tobytes() == b.tobytes()


def test_wrong_files_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no such thing")
    np.savez(tmp_path / "other.npz", layout=1, x=2)
    for name in ("nothing.npz", "text.npz", "other.npz"):
        with pytest.raises(InputError, match=r"demand\.fitted"):
            load(str(tmp_path / name))


@pytest.mark.parametrize("slot_s", [900, 3600])
def test_fit_finds_a_region_made_here(slot_s: int) -> None:
    # slots of another length, no users, clusters of two shapes of the day
    rng, s = np.random.default_rng(slot_s), 86_400 // slot_s
    hour = np.arange(s) * 24 / s
    early, late = (np.cos((hour - peak) / 24 * 2 * np.pi) for peak in (11, 20))
    which = np.arange(60) % 2
    day = 7.0 + rng.normal(0, 0.7, (60, 1)) + np.where(which[:, None] == 0, early, late)
    y = np.tile(day, 4) + np.exp(-0.4 * (np.tile(day, 4) - 7)) * 0.3 * rng.standard_normal((60, s * 4))
    observed = Observed(np.rint(np.exp(y)), np.arange(60) // 6, slot_s)
    patterns = fit_patterns(observed, rounds=2)
    assert patterns.slots_per_day == s
    assert patterns.share[:2].sum() > 0.95
    peaks = sorted(hour[patterns.cluster_days()[:2].argmax(axis=1)])
    assert abs(peaks[0] - 11) < 1.6
    assert abs(peaks[1] - 20) < 1.6
    again = generate(patterns, [6] * 20, rng)
    a, b = (np.diff(np.log(v.traffic + 1), axis=1).std() for v in (observed, again))
    assert b == pytest.approx(a, rel=0.15)
    assert not len(patterns.per_user)
    assert fit_patterns(observed, rounds=2).mean.tobytes() == patterns.mean.tobytes()
