import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.radio import pathloss
from mndt.radio.obstructed import GRAZING_DB, ObstructedLaw

LINK = (3.5, 10.0, 1.5)


def _target_db(scenario, ground_m):
    slant_m = pathloss.slant_distance_m(ground_m, 10.0, 1.5)
    return pathloss.loss_db(scenario, False, ground_m, slant_m, *LINK) - pathloss.free_space_db(slant_m, 3.5)


def _places(rng, n=20_000):
    return np.exp(rng.uniform(np.log(60.0), np.log(1000.0), n))


def _gap_db(excess_db, scenario, ground_m):
    beyond = excess_db - _target_db(scenario, ground_m)
    edges = np.array([60.0, 120.0, 250.0, 500.0, 1000.0])
    return np.array([np.median(beyond[(ground_m >= a) & (ground_m < b)]) for a, b in itertools.pairwise(edges)])


@settings(max_examples=25, deadline=None)
@given(
    level_db=st.floats(5.0, 80.0),
    spread_db=st.floats(2.0, 20.0),
    slope_db=st.floats(-10.0, 10.0),
    skewed=st.booleans(),
    scenario=st.sampled_from(["UMi", "UMa"]),
    seed=st.integers(0, 1000),
)
def test_whatever_a_city_is_like_its_median_is_the_standards(level_db, spread_db, slope_db, skewed, scenario, seed):
    rng = np.random.default_rng(seed)
    ground_m = _places(rng)
    noise = rng.gamma(2.0, 1.0, len(ground_m)) / np.sqrt(2.0) if skewed else rng.standard_normal(len(ground_m))
    diffraction_db = level_db + slope_db * np.log10(ground_m / 250.0) + spread_db * noise
    excess_db = ObstructedLaw().excess_db(scenario, diffraction_db, ground_m, *LINK)
    assert np.abs(_gap_db(excess_db, scenario, ground_m)).max() < 1.0
    assert 5.0 < np.std(excess_db - _target_db(scenario, ground_m)) < 8.0


def test_deeper_shadow_loses_more():
    rng = np.random.default_rng(1)
    ground_m, diffraction_db = np.full(5000, 300.0), np.sort(rng.normal(45.0, 8.0, 5000))
    excess_db = ObstructedLaw().excess_db("UMi", diffraction_db, ground_m, *LINK)
    assert (np.diff(excess_db) >= 0.0).all()
    assert excess_db.min() >= GRAZING_DB
    assert excess_db[-1] - excess_db[0] > 20.0


def test_what_is_missing_brings_the_median_back():
    rng = np.random.default_rng(2)
    ground_m = _places(rng)
    excess_db = _target_db("UMa", ground_m) - 8.0 * (ground_m < 300.0) + rng.normal(0.0, 9.0, len(ground_m))
    missing_db = ObstructedLaw().missing_db("UMa", excess_db, ground_m, *LINK)
    assert missing_db[ground_m < 250.0].mean() == pytest.approx(8.0, abs=1.0)
    assert missing_db[ground_m > 500.0].mean() == pytest.approx(0.0, abs=1.0)


def test_few_places_lean_on_the_prior():
    law = ObstructedLaw()
    one = law.excess_db("UMi", np.array([law.prior_median_db]), np.array([200.0]), *LINK)
    assert one[0] == pytest.approx(_target_db("UMi", np.array([200.0]))[0], abs=0.2)
    assert law.missing_db("UMi", np.array([99.0]), np.array([200.0]), *LINK)[0] > -5.0
    assert law.excess_db("UMi", np.zeros(0), np.zeros(0), *LINK).shape == (0,)
