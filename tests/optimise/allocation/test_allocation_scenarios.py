"""The allocation scenarios: counts, motion, demand, and every channel beside its formulas written out plainly."""

from __future__ import annotations

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.optimise.allocation import streets
from mndt.optimise.allocation.channels import TracedCity
from mndt.optimise.allocation.scenarios import (
    FIRST_TRAINING_SEED,
    SCENARIOS,
    TEST_SEEDS,
    TUNING_SEEDS,
    episode,
    powers_w,
    straight_lines,
)
from mndt.radio import pathloss
from mndt.radio.layers import encode
from mndt.radio.maps import GainMaps

STATISTICAL = ("table2", "table2-umi", "table2-45")


@pytest.mark.parametrize("name", STATISTICAL)
def test_sizes_powers_noise_and_demands_are_the_papers(name):
    found = episode(name, 0)
    gain = found.gain_at(0)
    assert gain.shape == (8000, 184)
    assert gain.dtype == np.float32
    assert gain.flags.c_contiguous
    assert (gain > 0).all()
    assert (gain < 1e-3).all()
    assert found.n_steps == 20
    power_dbm = 10 * np.log10(1e3 * found.limits.power_w)
    assert np.unique(power_dbm.round(3), return_counts=True)[1].tolist() == [145, 39]
    assert power_dbm.min() == pytest.approx(24.0)
    assert power_dbm.max() == pytest.approx(30.0)
    assert 10 * np.log10(1e3 * found.limits.noise_w / 180e3) == pytest.approx(-174.0)
    assert found.demand.mean() == pytest.approx(30.0, abs=4 * 60 / np.sqrt(12 * 8000))
    assert 0 <= found.demand.min() < 0.1
    assert 59.9 < found.demand.max() <= 60


def test_seeds_for_tests_tuning_and_training_are_apart():
    assert not set(TEST_SEEDS) & set(TUNING_SEEDS)
    assert max(*TEST_SEEDS, *TUNING_SEEDS) < FIRST_TRAINING_SEED


@pytest.mark.parametrize("name", STATISTICAL)
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(name):
    size = {"n_users": 300, "n_cells": 20}
    first, again, other = (episode(name, seed, **size) for seed in (3, 3, 4))
    assert first.demand.tobytes() == again.demand.tobytes() != other.demand.tobytes()
    for step in (0, 19, 7):
        assert first.gain_at(step).tobytes() == again.gain_at(step).tobytes() != other.gain_at(step).tobytes()


def test_a_fixed_map_has_other_users_and_the_same_cells():
    one, two = (episode("table2-umi", seed, map_seed=9, n_users=50, n_cells=12) for seed in (1, 2))
    channels = one.gain_at.channel, two.gain_at.channel
    assert channels[0].x_m.tobytes() == channels[1].x_m.tobytes()
    assert channels[0].outside.tobytes() == channels[1].outside.tobytes()
    assert one.gain_at.lines.from_m.tobytes() != two.gain_at.lines.from_m.tobytes()


def test_users_walk_a_share_of_a_line_at_constant_speed():
    rng_a, rng_b = np.random.default_rng(5), np.random.default_rng(5)
    lines = straight_lines(1000, 2000.0, rng_a, 0.65)
    start_m, goal_m = rng_b.uniform(0, 2000, (2, 2, 1000))
    places = np.stack([lines.at(step, 20) for step in range(20)])
    np.testing.assert_allclose(places[0], start_m, atol=1e-3)
    np.testing.assert_allclose(places[-1], start_m + 0.65 * (goal_m - start_m), atol=1e-3)
    np.testing.assert_allclose(np.diff(places, axis=0), np.diff(places, axis=0)[:1] * np.ones((19, 1, 1)), atol=2e-3)
    assert places.min() >= 0
    assert places.max() <= 2000
    # mean distance of two random points in a unit square: (2 + sqrt 2 + 5 asinh 1) / 15
    mean_m = 2000 * (2 + np.sqrt(2) + 5 * np.arcsinh(1)) / 15
    assert np.hypot(*(places[-1] - places[0])).mean() == pytest.approx(0.65 * mean_m, rel=0.06)


def test_log_distance_gains_are_the_formulas():
    found = episode("table2", 1, n_users=200, n_cells=30)
    channel, lines = found.gain_at.channel, found.gain_at.lines
    for step in (0, 11):
        x_m, y_m = lines.at(step, 20).astype(np.float64)
        ground_m = np.hypot(x_m[:, None] - channel.x_m, y_m[:, None] - channel.y_m)
        loss_db = 40.75 + 26.8 * np.log10(np.hypot(ground_m, 5.0))
        assert abs(-10 * np.log10(found.gain_at(step)) - loss_db).max() < 0.01


def plain_street_gain_db(channel, x_m, y_m):
    """Loss of every link, one after the other, from the functions of `pathloss`."""
    out = np.empty((len(x_m), len(channel.x_m)))
    per_pixel = 1 / streets.PIXEL_M

    def entry_db(x, y):
        col, row = int(x // 80), int(y // 80)
        east, north = x - 80 * col - 10, y - 80 * row - 10
        if not (0 <= east <= 60 and 0 <= north <= 60) or max(row, col) >= channel.per_row:
            return -1, 0.0
        building = row * channel.per_row + col
        return building, channel.wall_db[building] + 0.5 * min(east, north, 60 - east, 60 - north)

    from scipy.special import ndtr

    for u in range(len(x_m)):
        user_building, user_db = entry_db(x_m[u], y_m[u])
        for c in range(len(channel.x_m)):
            cell_building, cell_db = entry_db(channel.x_m[c], channel.y_m[c])
            ground_m = np.hypot(x_m[u] - channel.x_m[c], y_m[u] - channel.y_m[c])
            height_m = 3.0 if c < (channel.building >= 0).sum() else 10.0
            slant_m = max(np.hypot(ground_m, height_m - 1.5), 1.0)
            at = int(y_m[u] * per_pixel) + channel.shift[c, 0], int(x_m[u] * per_pixel) + channel.shift[c, 1]
            same = user_building >= 0 and user_building == cell_building
            field = (channel.inside if same else channel.outside)[at] / 24.0
            law = "InH" if same else "UMi"
            seen = ndtr(field[0]) < pathloss.los_probability(law, int(ground_m) + 0.5)
            loss_db = float(pathloss.loss_db(law, seen, ground_m, slant_m, 3.5, height_m, 1.5))
            if same:
                loss_db += (3.0 if seen else 8.03) * field[1 if seen else 2]
            elif user_building >= 0 or cell_building >= 0:
                loss_db += user_db + cell_db + 7.0 * field[3]
            else:
                loss_db += (4.0 if seen else 7.82) * field[1 if seen else 2]
            out[u, c] = -loss_db
    return out


def test_gains_in_streets_and_buildings_are_the_formulas_link_by_link():
    found = episode("table2-umi", 2, n_users=400, n_cells=24, n_blocks=40)
    channel = found.gain_at.channel
    assert ((channel.building >= 0).sum(), len(set(channel.building[:19].tolist()))) == (19, 19)
    x_m, y_m = found.gain_at.lines.at(6, 20)
    middle = 80 * (channel.building[:19] % channel.per_row) + 35, 80 * (channel.building[:19] // channel.per_row) + 40
    x_m[:19], y_m[:19] = np.array(middle, np.float32)  # so that rooms with a station occur
    gain = channel.gain(x_m, y_m)
    assert abs(10 * np.log10(gain) - plain_street_gain_db(channel, x_m, y_m)).max() < 0.02


def test_gains_in_a_traced_city_are_those_of_its_maps():
    rng = np.random.default_rng(0)
    level = encode(-rng.uniform(50, 170, (12, 9, 7)), rng.random((12, 9, 7)) < 0.5)
    maps = GainMaps(4.0, level)
    x_m, y_m = (rng.uniform(0, side_m, 300).astype(np.float32) for side_m in (36.0, 48.0))
    gain = TracedCity(powers_w(7), maps).gain(x_m, y_m)
    assert gain.flags.c_contiguous
    assert abs(10 * np.log10(gain) - maps.gain_db(x_m, y_m)).max() < 1e-3


def test_half_the_ground_is_built_over_and_outdoor_cells_stand_in_streets():
    channel = episode("table2-umi", 0).gain_at.channel
    assert (channel.building < 0).sum() == 39
    assert (streets.building_at(channel.x_m, channel.y_m, 25) == channel.building).all()
    grid = np.stack(np.meshgrid(np.arange(0.5, 2000), np.arange(0.5, 2000))).reshape(2, -1)
    assert (streets.building_at(*grid, 25) >= 0).mean() == pytest.approx((60 / 80) ** 2, abs=1e-3)


def test_shadowing_is_normal_correlated_in_space_and_not_between_cells():
    channel = episode("table2-umi", 0).gain_at.channel
    for layer, distance_m in ((1, 10.0), (2, 13.0), (3, 7.0)):
        field = channel.outside[:, :, layer] / 24.0
        assert field.std() == pytest.approx(1.0, abs=0.03)
        near = (field[:, 2:] * field[:, :-2]).mean()  # 8 m apart
        assert near == pytest.approx(np.exp(-8 / distance_m), abs=0.03)
    windows = np.stack(
        [channel.outside[r : r + 500, c : c + 500, 2].ravel()[::37] for r, c in channel.shift[:40]]
    ).astype(float)
    among = np.corrcoef(windows) - np.eye(40)
    assert abs(among).max() < 0.12  # some 6,700 samples of them, a tenth of which count on their own


def test_a_failed_cell_is_left_out_and_the_rest_is_as_before():
    whole, less = (
        episode("table2", 5, n_users=60, n_cells=9),
        episode("table2", 5, n_users=60, n_cells=9, failed=[2, 7]),
    )
    kept = [0, 1, 3, 4, 5, 6, 8]
    assert (less.gain_at(4) == whole.gain_at(4)[:, kept]).all()
    assert less.gain_at(4).flags.c_contiguous
    assert (less.limits.power_w == powers_w(9)[kept]).all()


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("table-2", {}, "scenario is 'table-2'"),
        ("table2", {"n_users": 0}, "n_users is 0, allowed is 1 or more"),
        ("table2", {"failed": [184]}, "failed is 184, allowed is 0 to 183"),
        ("table2-45", {"n_users": 16_000}, "n_users is 16000, allowed is up to 8,280, a block in each of 184 cells"),
        ("table2-umi", {"n_cells": 30, "n_users": 9, "side_m": 200.0}, "side_m is 200.0"),
        ("table2-city", {"n_cells": 30, "n_users": 100}, "n_cells is 30, allowed is 184 in table2-city"),
    ],
)
def test_what_does_not_fit_is_answered_in_a_sentence(name, changes, sentence):
    with pytest.raises(InputError) as caught:
        episode(name, 0, **changes)
    assert sentence in str(caught.value)


def test_every_scenario_has_room_for_its_users():
    for scenario in SCENARIOS.values():
        assert 184 * scenario.n_blocks >= 8000
