import numpy as np
import pytest

from mndt.radio import pathloss as pl

DISTANCES_M = np.geomspace(10.0, 4000.0, 200)
FUNCTIONS = {
    "UMi": (pl.umi_los_db, pl.umi_nlos_db),
    "UMa": (pl.uma_los_db, pl.uma_nlos_db),
    "RMa": (pl.rma_los_db, pl.rma_nlos_db),
}
SITE_M = {"UMi": 10.0, "UMa": 25.0, "RMa": 35.0, "InH": 3.0}


@pytest.mark.parametrize(
    ("scenario", "los", "ground_m", "expected_db"),
    [
        # worked by hand from table 7.4.1-1 at 3.5 GHz, 1.5 m users
        ("UMi", True, 50.0, 79.09),
        ("UMi", True, 500.0, 107.11),
        ("UMi", False, 50.0, 94.18),
        ("UMa", True, 100.0, 83.14),
        ("UMa", True, 2000.0, 121.45),
        ("UMa", False, 500.0, 129.92),
        ("RMa", True, 1000.0, 105.46),
        ("RMa", False, 1000.0, 130.42),
        ("InH", True, 20.0, 65.81),
        ("InH", False, 20.0, 80.72),
    ],
)
def test_values_worked_by_hand(scenario, los, ground_m, expected_db):
    slant_m = pl.slant_distance_m(ground_m, SITE_M[scenario], 1.5)
    assert pl.loss_db(scenario, los, ground_m, slant_m, 3.5, SITE_M[scenario], 1.5) == pytest.approx(
        expected_db, abs=0.01
    )


@pytest.mark.parametrize("scenario", FUNCTIONS)
@pytest.mark.parametrize("carrier_ghz", [0.7, 3.5, 28.0])
def test_continuous_at_the_break_point(scenario, carrier_ghz):
    site_m, law = SITE_M[scenario], pl.loss_law(scenario, carrier_ghz, SITE_M[scenario], 1.5)
    ground_m = law.break_m + np.array([-1e-3, 1e-3])
    near, far = FUNCTIONS[scenario][0](ground_m, pl.slant_distance_m(ground_m, site_m, 1.5), carrier_ghz, site_m, 1.5)
    # RMa takes its break point on the ground and its losses over the slant distance, a small step of its own
    assert abs(far - near) < (0.05 if scenario == "RMa" else 1e-3)


@pytest.mark.parametrize("scenario", pl.SCENARIOS)
def test_without_sight_never_better_and_growing(scenario):
    slant_m = pl.slant_distance_m(DISTANCES_M, SITE_M[scenario], 1.5)
    los, nlos = (pl.loss_db(scenario, s, DISTANCES_M, slant_m, 3.5, SITE_M[scenario], 1.5) for s in (True, False))
    assert np.all(nlos >= los)
    assert np.any(nlos > los + 5.0)
    assert np.all(np.diff(los) > 0)
    assert np.all(np.diff(nlos) > 0)


@pytest.mark.parametrize("scenario", pl.SCENARIOS)
@pytest.mark.parametrize(("carrier_ghz", "user_m"), [(0.7, 1.5), (3.5, 1.5), (3.5, 5.0), (28.0, 1.5)])
@pytest.mark.parametrize("site_m", [3.0, 10.0, 35.0])
def test_folded_law_equals_the_functions(scenario, carrier_ghz, user_m, site_m):
    law = pl.loss_law(scenario, carrier_ghz, site_m, user_m)
    slant_m = pl.slant_distance_m(DISTANCES_M, site_m, user_m)
    for los in (True, False):
        expected = pl.loss_db(scenario, los, DISTANCES_M, slant_m, carrier_ghz, site_m, user_m)
        np.testing.assert_allclose(law.loss_db(los, DISTANCES_M, slant_m), expected, atol=1e-9)


def test_log_distance_exponent_is_the_slope_per_decade():
    one, ten = pl.log_distance_db([1.0, 10.0], 2.0, 3.3)
    assert ten - one == pytest.approx(33.0)
    assert one == pytest.approx(pl.free_space_db(1.0, 2.0))


@pytest.mark.parametrize(
    ("scenario", "ground_m", "expected"),
    [
        ("UMi", 18.0, 1.0),
        ("UMi", 60.0, 0.3 + np.exp(-60 / 36) * 0.7),
        ("UMa", 60.0, 0.3 + np.exp(-60 / 63) * 0.7),
        ("RMa", 10.0, 1.0),
        ("RMa", 1010.0, np.exp(-1.0)),
        ("InH", 1.2, 1.0),
        ("InH", 5.9, np.exp(-1.0)),
        ("InH", 39.1, 0.32 * np.exp(-1.0)),
        ("InH-open", 5.0, 1.0),
        ("InH-open", 40.4, np.exp(-0.5)),
        ("InH-open", 260.7, 0.54 * np.exp(-1.0)),
    ],
)
def test_probability_of_sight(scenario, ground_m, expected):
    assert pl.los_probability(scenario, ground_m) == pytest.approx(expected, rel=1e-3)


def test_tall_users_see_more_in_uma_only():
    assert pl.los_probability("UMa", 150.0, 22.5) > 1.1 * pl.los_probability("UMa", 150.0, 1.5)
    assert pl.los_probability("UMi", 150.0, 22.5) == pl.los_probability("UMi", 150.0, 1.5)
    assert np.all(pl.los_probability("UMa", DISTANCES_M, 22.5) <= 1.0)


def test_clutter_height_of_tall_users():
    rng = np.random.default_rng(1)
    assert np.all(pl.uma_clutter_m(np.full(1000, 300.0), 12.9, rng) == 1.0)
    drawn = pl.uma_clutter_m(np.full(100_000, 300.0), 22.5, rng)
    assert set(np.unique(drawn)) == {1.0, 12.0, 15.0, 18.0, 21.0}
    c = 1.25 * 27.0 * np.exp(-2.0) * 0.95**1.5
    assert np.mean(drawn == 1.0) == pytest.approx(1.0 / (1.0 + c), abs=0.006)
    assert np.mean(drawn == 12.0) == pytest.approx(np.mean(drawn == 21.0), rel=0.05)


def test_entry_loss_at_3_5_ghz():
    assert pl.wall_loss_db("low", 3.5) == pytest.approx(12.70, abs=0.005)
    assert pl.wall_loss_db("high", 3.5) == pytest.approx(26.85, abs=0.005)
    assert np.all(np.diff(pl.wall_loss_db("low", [0.7, 3.5, 28.0])) > 0)


def _crrm(scenario, los, carrier_ghz, ground_m, slant_m, site_m):
    from CRRM.InH_pathloss_model_01 import InH_pathloss
    from CRRM.RMa_pathloss_model_08 import RMa_pathloss_constant_height
    from CRRM.UMa_pathloss_model_06 import UMa_pathloss
    from CRRM.UMi_pathloss_model_00 import UMi_pathloss_constant_height

    users, cells = np.column_stack((ground_m, 0 * ground_m, 0 * ground_m + 1.5)), np.array([[0.0, 0.0, site_m]])
    d2, d3 = ground_m[:, None], slant_m[:, None]
    if scenario == "UMi":
        return UMi_pathloss_constant_height(carrier_ghz, 1.5, site_m, LOS=los).get_pathloss_dB(d2, d3)[:, 0]
    if scenario == "RMa":
        return RMa_pathloss_constant_height(carrier_ghz, 1.5, site_m, LOS=los).get_pathloss_dB(d2, d3)[:, 0]
    model = {"UMa": UMa_pathloss, "InH": InH_pathloss}[scenario](carrier_ghz, LOS=los)
    return model.get_pathloss_dB(d2, d3, users, cells)[:, 0]


@pytest.mark.peer
@pytest.mark.parametrize("carrier_ghz", [0.7, 3.5, 6.0])
@pytest.mark.parametrize("los", [True, False])
@pytest.mark.parametrize("scenario", pl.SCENARIOS)
def test_against_crrm(scenario, los, carrier_ghz):
    ground_m = np.geomspace(10.0, 145.0 if scenario == "InH" else 3000.0, 50)
    slant_m = pl.slant_distance_m(ground_m, SITE_M[scenario], 1.5)
    ours = pl.loss_db(scenario, los, ground_m, slant_m, carrier_ghz, SITE_M[scenario], 1.5)
    theirs = _crrm(scenario, los, carrier_ghz, ground_m, slant_m, SITE_M[scenario])
    np.testing.assert_allclose(ours, theirs, atol=0.1)
