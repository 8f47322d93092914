import json
import os
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from mndt.checks import _calibration_drop as calibration
from mndt.checks import validate_tr38901 as check
from mndt.cli import main
from mndt.errors import InputError
from mndt.radio import pathloss

has_reference = pytest.mark.skipif("MNDT_DATA" not in os.environ, reason="reference data not given")
UMA = calibration.LAYOUTS["UMa"]


def _reference(value=0.0, width=1.0):
    percentiles = [float(p) for p in range(101)]
    rows = {"median": [value] * 101, "min": [value - width] * 101, "max": [value + width] * 101}
    metric = {"percentiles": percentiles, **rows}
    quantities = dict.fromkeys(calibration.Measured._fields, metric)
    return {f"{s}-{c.ghz:.0f}GHz": quantities for s, carriers in calibration.CARRIERS.items() for c in carriers}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / check.FILE).write_text(json.dumps({"scenarios": _reference(-100.0)}))
    return tmp_path


def test_nineteen_sites_with_neighbours_where_the_beams_point():
    sites = calibration.sites_m(500.0)
    distance_m = np.hypot(*sites.T)
    assert np.sum(np.isclose(distance_m, 500.0)) == 6
    assert (len(sites), round(distance_m.max())) == (19, 1000)
    near = sites[np.isclose(distance_m, 500.0)]
    bearing_deg = np.degrees(np.arctan2(near[:, 0], near[:, 1])) % 360.0
    assert np.isclose(calibration.BORESIGHTS_DEG[:, None], bearing_deg).any(axis=1).all()


def test_wrapped_clusters_tile_the_plane():
    images = (calibration.sites_m(1.0)[:, None] + calibration.wraps_m(1.0)).reshape(-1, 2)
    gaps = np.hypot(*(images[:, None] - images[None]).transpose(2, 0, 1)) + 9.0 * np.eye(len(images))
    assert gaps.min() == pytest.approx(1.0)  # no site twice, and none nearer than the spacing
    within = np.hypot(*images.T) < 3.9
    q, r = np.meshgrid(np.arange(-9, 10), np.arange(-9, 10))
    everywhere = calibration.lattice_m(q.ravel(), r.ravel(), 1.0)
    assert within.sum() == np.sum(np.hypot(*everywhere.T) < 3.9)  # and no hole between the clusters


def test_users_fill_the_hexagons_evenly_and_keep_their_distance():
    rng = np.random.default_rng(1)
    users = calibration.users_of(UMA, rng, 40_000)
    east_m, north_m = calibration.nearest_images_m(users, UMA)
    nearest_m = np.hypot(east_m, north_m).min(axis=1)
    assert nearest_m.min() >= UMA.least_m
    assert nearest_m.max() <= UMA.spacing_m / np.sqrt(3.0) + 1e-9
    hexagon_m2, hole_m2 = np.sqrt(0.75) * UMA.spacing_m**2, np.pi * UMA.least_m**2
    expected = (np.pi * 150.0**2 - hole_m2) / (hexagon_m2 - hole_m2)
    assert np.mean(nearest_m < 150.0) == pytest.approx(expected, abs=0.01)


def test_population_of_the_table():
    users = calibration.users_of(UMA, np.random.default_rng(2), 40_000)
    assert (users.indoor.sum(), (users.high_loss & users.indoor).sum()) == (32_000, 16_000)
    assert set(np.unique(users.height_m)) == {1.5 + 3.0 * floor for floor in range(8)}
    assert np.all(users.height_m[~users.indoor] == 1.5)
    assert np.all(users.inside_m[~users.indoor] == 0.0)
    inside_m = users.inside_m[users.indoor]
    assert inside_m.mean() == pytest.approx(25.0 / 3.0, rel=0.02)  # the smaller of two uniform draws
    top = np.mean(users.height_m[users.indoor] == 22.5)
    assert top == pytest.approx(1.0 / 40.0, abs=0.004)  # an eighth floor in every fifth building, one user in eight


def test_a_sector_has_18_dbi_at_12_degrees_below_the_horizon():
    gain_db = calibration.sectors_db(np.array([60.0, 240.0]), np.array([102.0, 102.0]))
    element_db = 8.0 - 12.0 * (12.0 / 65.0) ** 2
    assert gain_db[0].max() == pytest.approx(10.0 + element_db)
    assert gain_db[1, 0] == pytest.approx(10.0 + 8.0 - 30.0)


def test_loss_of_one_indoor_user_by_hand():
    one = np.ones(1)
    users = calibration.Users(0 * one, 0 * one, 1.5 * one, one > 0, 10.0 * one, one > 0, 2.0 * one)
    ground_m = np.array([[100.0]])
    links = calibration.Links(ground_m, np.hypot(ground_m, 8.5), one[:, None], one[:, None] < 0, one[:, None], None)
    path_db = pathloss.umi_nlos_db(100.0, np.hypot(100.0, 8.5), 6.0, 10.0, 1.5)
    expected = path_db + 7.0 + pathloss.wall_loss_db("high", 6.0) + 5.0 + 2.0 * 6.5
    assert calibration.loss_db("UMi", 6.0, users, links)[0, 0] == pytest.approx(expected)
    outside = replace(users, indoor=one < 0)
    assert calibration.loss_db("UMi", 6.0, outside, links)[0, 0] == pytest.approx(path_db + 7.82)


def test_measured_by_hand():
    found = calibration.measured(np.array([[-100.0, -110.0, -110.0]]), calibration.Carrier(6.0, 49.0, 20e6))
    assert found.coupling_loss[0] == -100.0
    assert found.wideband_sir[0] == pytest.approx(10.0 - 10.0 * np.log10(2.0))
    noise_dbm, others_dbm = -174.0 + 10.0 * np.log10(20e6) + 9.0, 49.0 - 110.0 + 10.0 * np.log10(2.0)
    total_mw = 10.0 ** (noise_dbm / 10.0) + 10.0 ** (others_dbm / 10.0)
    assert found.geometry_sinr[0] == pytest.approx(49.0 - 100.0 - 10.0 * np.log10(total_mw))


def test_entry_loss_is_the_users_own_and_shadowing_that_of_a_site():
    users = calibration.users_of(UMA, np.random.default_rng(3), 400)
    links = calibration.links_of("UMa", users, np.random.default_rng(4))
    walls_db = calibration.entry_db(6.0, users)
    inside = calibration.loss_db("UMa", 6.0, users, links)
    outside = calibration.loss_db("UMa", 6.0, replace(users, high_loss=~users.high_loss), links)
    change_db = inside - outside
    np.testing.assert_allclose(change_db, np.broadcast_to(change_db[:, :1], change_db.shape), atol=1e-9)
    assert np.all(walls_db[~users.indoor] == 0.0)
    assert links.antenna_db.shape == (400, 19, 3)
    assert links.shadow_normal.shape == (400, 19)


def test_the_edition_of_2016_sees_less_from_high_floors_only():
    outdoor_m, low, high = np.array([20.0, 100.0, 300.0]), np.full(3, 1.5), np.full(3, 22.5)
    new, old = (edition.uma_sight for edition in (calibration.TR_38901, calibration.EDITION_2016))
    np.testing.assert_allclose(new(outdoor_m, low), old(outdoor_m, low))
    assert np.all(new(outdoor_m, high) > old(outdoor_m, high))
    at = (np.array([158.5]), np.array([158.5]), 6.0, 25.0, 1.5, 1.0)
    old_db, new_db = (edition.uma_los_db(*at) for edition in (calibration.EDITION_2016, calibration.TR_38901))
    assert old_db == pytest.approx(new_db, abs=0.01)  # where 4.4 dB and two tenths of a slope meet


def test_curves_are_counted_inside_and_outside(folder):
    result = check.run(data=folder, drops=1)
    figures = result.figures
    assert (figures["curves"], figures["points"], figures["drops"]) == (18, 126, 1)
    assert figures["points_inside"] < 126
    assert figures["worst_median_error_db"] > 50.0
    assert "!" in result.table
    wide = _reference(0.0, 1e4)
    curves = [curve for s in calibration.CARRIERS for curve in check.compared(s, calibration.TR_38901, 1, wide)]
    assert check.figures_of(curves, curves, 1)["curves_inside"] == 18


def test_same_drops_same_figures(folder):
    assert check.run(data=folder, drops=1).figures == check.run(data=folder, drops=1).figures


@pytest.mark.parametrize("content", ["not json", "[]", '{"scenarios": {}}'])
def test_refuses_another_file(folder, content):
    (folder / check.FILE).write_text(content)
    with pytest.raises(InputError, match="percentiles of coupling loss"):
        check.run(data=folder, drops=1)


def test_says_where_data_are_missing(tmp_path, monkeypatch):
    monkeypatch.delenv("MNDT_DATA", raising=False)
    found = CliRunner().invoke(main, ["validate", "tr38901"])
    assert found.exit_code == 2
    assert "MNDT_DATA" in found.output
    with pytest.raises(InputError, match="a folder with tr38901"):
        check.run(data=tmp_path)
    with pytest.raises(InputError, match="seeds is 0"):
        check.run(data=tmp_path, drops=0)


@has_reference
def test_inside_the_companies_range():
    figures = check.run(drops=40).figures
    assert (figures["curves_inside"], figures["points_inside"]) == (18, 126)
    assert figures["worst_typical_error_db"] < 0.6
    assert figures["worst_sir_median_error_db"] < 0.3
    assert figures["worst_sinr_median_error_db"] < 0.6


@has_reference
def test_beams_between_the_neighbours_lose_signal_to_interference(monkeypatch):
    turned = (calibration.BORESIGHTS_DEG + 30.0) % 360.0
    reference = check.read_reference(check.reference_file(check.FILE))
    monkeypatch.setattr(calibration, "BORESIGHTS_DEG", turned)
    curves = check.compared("UMi", calibration.TR_38901, 40, reference)
    sir = [curve for curve in curves if curve.quantity == "wideband_sir"]
    assert all(curve.error[check.MIDDLE] < -0.3 for curve in sir)
