"""Calibration: closed forms, a plain reference, and networks whose parameters are known."""

from __future__ import annotations

import numpy as np
import pytest

from mndt.city.synthetic import synthetic_city
from mndt.errors import InputError
from mndt.plants import UserSamples
from mndt.plants.emulated import EmulatedPlant
from mndt.plants.hidden import Hidden, draw_hidden, impose
from mndt.radio.parameters import RadioParameters
from mndt.twin.calibration import Points, Prior, Radio, Whitener, calibrate, gather, hidden_of, samples_of, shadows_db
from mndt.twin.calibration_ensemble import invert
from mndt.world import World, as_built, build_world


@pytest.fixture(scope="module")
def world() -> World:
    city = synthetic_city(lanes=120, areas=30, outdoor_sites=2, indoor_sites=3, size_m=400.0)
    return build_world(city, radio=RadioParameters(engine="tr38901", resolution_m=8.0))


def seen(world: World, hidden: Hidden, periods: int = 3) -> Points:
    plant = EmulatedPlant(world, hidden, seed=5, period_s=2)
    return gather(world, samples_of([plant.observe() for _ in range(periods)]))


def scattered(world: World, n: int = 300) -> Points:
    rng = np.random.default_rng(0)
    rows, cols, cells = world.channel.maps.level.shape
    return Points(
        rng.integers(0, cells, n), rng.integers(0, rows, n), rng.integers(0, cols, n), np.zeros(n), np.ones(n)
    )


def test_the_radio_of_a_fit_is_that_of_the_network_to_the_rounding_of_maps(world: World) -> None:
    hidden = Hidden(offset_db=(1.0, -2.0, 3.0, 0.5, 0.0), obstructed_db_per_decade=4.0, wall_db=-3.0)
    at, settings = scattered(world), as_built(world.city)
    theta = np.concatenate([hidden.offset_db, [4.0, -3.0], np.zeros(10)])
    bent = impose(world, hidden).channel.aimed(settings).level[at.row, at.col, at.cell] >> 1
    plain = world.channel.aimed(settings).level[at.row, at.col, at.cell] >> 1
    radio = Radio(world, settings, at)
    change = radio.predict_dbm(theta) - radio.predict_dbm(np.zeros(17))
    np.testing.assert_allclose(change, (bent - plain) / 64.0, atol=1 / 64)


def test_without_shadows_and_noise_the_truth_is_found(world: World) -> None:
    hidden = Hidden(offset_db=(1.0, -2.0, 3.0, 0.5, 0.0), obstructed_db_per_decade=4.0, wall_db=-3.0)
    found = calibrate(world, as_built(world.city), seen(world, hidden), Prior(shadowing_db=0.0, noise_db=0.1))
    np.testing.assert_allclose(found.theta[:7], [*hidden.offset_db, 4.0, -3.0], atol=0.15)
    assert found.hidden == hidden_of(found.theta, 5)


def test_a_linear_fit_is_the_closed_form_of_bayes(world: World) -> None:
    points, prior = seen(world, draw_hidden(world, 3)), Prior(azimuth_bias_deg=0.0, tilt_bias_deg=0.0)
    found, radio = calibrate(world, as_built(world.city), points, prior), Radio(world, as_built(world.city), points)
    design, apart = (
        radio.jacobian(np.zeros(17), False)[:, :7],
        np.hypot(*(np.subtract.outer(i, i) for i in (points.row, points.col))),
    )
    covariance = 9.0 * np.exp(-apart * 8.0 / 40.0) * np.equal.outer(points.cell, points.cell)
    covariance += np.diag(4.0 / points.number + 1e-3)
    known = design.T @ np.linalg.solve(covariance, design) + np.diag(1.0 / radio.prior_sd(prior)[:7] ** 2)
    left = points.rsrp_dbm - radio.predict_dbm(np.zeros(17))
    expected = np.linalg.solve(known, design.T @ np.linalg.solve(covariance, left))
    np.testing.assert_allclose(found.theta[:7], expected, atol=1e-2)
    np.testing.assert_allclose(found.covariance[:7, :7], np.linalg.inv(known), rtol=1e-6, atol=1e-9)


def test_what_round_antennas_point_at_is_not_identified(world: World) -> None:
    report = calibrate(world, as_built(world.city), seen(world, Hidden())).report()
    assert {row.name.split()[0] for row in report if not row.identified} == {"azimuth_bias_deg", "tilt_bias_deg"}
    assert all(row.sd == pytest.approx(row.prior_sd) for row in report if not row.identified)


def test_whitened_errors_are_independent(world: World) -> None:
    at, prior = scattered(world, 40), Prior()
    whiten = Whitener(8.0, at, prior)(np.eye(40))
    apart = 8.0 * np.hypot(*(np.subtract.outer(i, i) for i in (at.row, at.col)))
    covariance = 9.0 * np.exp(-apart / 40.0) * np.equal.outer(at.cell, at.cell) + 4.001 * np.eye(40)
    np.testing.assert_allclose(whiten @ covariance @ whiten.T, np.eye(40), atol=1e-9)


def test_shadows_are_known_where_they_were_measured_and_nowhere_far_away(world: World) -> None:
    prior = Prior(noise_db=0.01, shadowing_m=20.0)
    found = calibrate(world, as_built(world.city), seen(world, Hidden(shadowing_db=3.0, shadowing_m=20.0)), prior)
    mean, variance = shadows_db(found, 8.0, found.points)
    np.testing.assert_allclose(mean, found.left_db, atol=0.1)
    assert variance.max() < 0.01
    one, far = np.ones(1, np.int64), np.full(1, 10_000)
    mean, variance = shadows_db(found, 8.0, Points(one, far, far, np.zeros(1), np.ones(1)))
    assert mean[0] == pytest.approx(0.0)
    assert variance[0] == pytest.approx(9.0)


def test_points_are_means_by_pixel_and_cell(world: World) -> None:
    at = np.float32([4.0, 5.0, 100.0, 4.0])
    serving, rsrp = np.int32([1, 1, 1, -1]), np.float32([-80.0, -84.0, -90.0, -np.inf])
    points = gather(world, [UserSamples(at, at, serving, rsrp, rsrp, rsrp)])
    assert points.rsrp_dbm.tolist() == [-82.0, -90.0]
    assert points.number.tolist() == [2.0, 1.0]
    with pytest.raises(InputError, match="samples is 0"):
        gather(world, [])


def test_an_ensemble_is_kalmans_update_where_all_is_linear() -> None:
    rng = np.random.default_rng(1)
    design, sd, variance = rng.standard_normal((6, 3)), np.array([1.0, 2.0, 0.5]), np.full(6, 0.3)
    data = design @ np.array([0.5, -1.0, 0.2])
    known = design.T @ (design / variance[:, None]) + np.diag(1.0 / sd**2)
    found = invert(lambda theta: design @ theta, data, variance, np.zeros(3), sd, members=4000, seed=2)
    np.testing.assert_allclose(found.mean, np.linalg.solve(known, design.T @ (data / variance)), atol=0.05)
    np.testing.assert_allclose(found.sd, np.sqrt(np.diag(np.linalg.inv(known))), rtol=0.1)


def test_an_ensemble_refuses_what_would_fool_it() -> None:
    one = np.ones(1)
    with pytest.raises(InputError, match="variance"):
        invert(lambda theta: theta, one, np.zeros(1), one, one)
    with pytest.raises(InputError, match="members"):
        invert(lambda theta: theta, one, one, one, one, members=1)
