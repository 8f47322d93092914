import numpy as np
import pytest
from blocks import city_of, grid

from mndt.city.raster import rasterise
from mndt.radio.ground import lay_ground
from mndt.radio.parameters import RadioParameters
from mndt.radio.pathloss import los_probability
from mndt.radio.sight import sees, sight_map


def _ground(boxes, roof_m=20.0, size_m=400.0, resolution_m=4.0):
    city = city_of(boxes, [(0.0, 0.0, 10.0, -1)], (size_m, size_m), roof_m=roof_m)
    return lay_ground(city, RadioParameters(resolution_m=resolution_m), 0), rasterise(city.buildings, city.frame, 2.0)


def _sight(ground, x_m, y_m, height_m, own=-1):
    return sight_map(
        ground.roof_m, ground.roof_building, 2.0, x_m, y_m, height_m,
        own=own, user_height_m=1.5, pixel_m=ground.pixel_m, wanted=ground.wanted,
    )  # fmt: skip


@pytest.mark.parametrize(
    "antenna_m", [(90.0, 130.3, 10.0), (173.1, 90.7, 24.0), (251.0, 252.0, 45.0), (89.0, 12.0, 1.5)]
)
def test_march_equals_dense_sampling(antenna_m):
    rng = np.random.default_rng(1)
    boxes = grid(400.0)
    ground, raster = _ground(boxes, rng.uniform(5.0, 30.0, len(boxes)))
    sight = _sight(ground, *antenna_m)
    rows, cols = np.nonzero(ground.wanted)
    some = rng.choice(len(rows), 400, replace=False)
    differ = 0
    for row, col in zip(rows[some], cols[some], strict=True):
        user_m = ((col + 0.5) * 4.0, (row + 0.5) * 4.0, 1.5)
        differ += sees(raster.height_m, 2.0, user_m, antenna_m) != bool(sight[row, col])
    assert differ <= 2  # rays that graze a corner between two samples
    assert 0.02 < sight[rows, cols].mean() < 0.98


def test_along_a_street_and_around_the_corner():
    ground, _ = _ground(grid(400.0))
    sight = _sight(ground, 90.0, 200.0, 10.0)  # in the street of x = 80..100
    assert sight[:, 22].all()
    assert not sight[2, 60]
    assert not sight[90, 80]


def test_height_decides():
    ground, _ = _ground([(180.0, 0.0, 220.0, 400.0)], roof_m=20.0)
    # over a 20 m roof whose far edge is 120 m away a user 10 m behind it needs (20 - 1.5) * 130 / 10 + 1.5 m
    col = int(230.0 / 4.0)
    user_m = (col + 0.5) * 4.0
    needed_m = 1.5 + 18.5 * (user_m - 100.0) / (user_m - 220.0)
    assert not _sight(ground, 100.0, 202.0, needed_m - 1.0)[50, col]
    assert _sight(ground, 100.0, 202.0, needed_m + 1.0)[50, col]


def test_own_building_is_transparent_and_others_are_not():
    ground, _ = _ground([(100.0, 100.0, 140.0, 140.0), (200.0, 100.0, 240.0, 140.0)])
    row = 30
    blocked, seen = _sight(ground, 120.0, 122.0, 3.0), _sight(ground, 120.0, 122.0, 3.0, own=0)
    assert not blocked[row, 45]
    assert seen[row, 45]
    assert not seen[row, 65]


def test_indoor_pixels_are_left_alone():
    ground, _ = _ground(grid(400.0))
    assert not _sight(ground, 90.0, 200.0, 300.0)[~ground.wanted].any()
    assert _sight(ground, 90.0, 200.0, 3000.0)[ground.wanted].mean() > 0.9


def test_share_in_sight_falls_with_distance_like_the_table():
    ground, _ = _ground(grid(1200.0), size_m=1200.0, resolution_m=6.0)
    row, col = np.nonzero(ground.wanted)
    near, far = [], []
    for x_m, y_m in [(410.0, 610.0), (650.0, 570.0), (570.0, 730.0)]:
        sight = _sight(ground, x_m, y_m, 10.0)[row, col]
        distance_m = np.hypot((col + 0.5) * 6.0 - x_m, (row + 0.5) * 6.0 - y_m)
        near.append(sight[distance_m < 18.0].mean())
        far.append(sight[(distance_m > 150.0) & (distance_m < 250.0)].mean())
    assert np.mean(near) > 0.9
    assert np.mean(far) == pytest.approx(float(los_probability("UMi", 200.0)), abs=0.1)
