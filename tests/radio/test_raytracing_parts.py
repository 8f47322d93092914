"""What stands around the ray tracer, and needs none of it: mesh, materials, launch, merging of directions."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.radio import _rt_kernels as kernels
from mndt.radio import _rt_lattice, _rt_scene
from mndt.radio._rt_solver import Landed
from mndt.radio.departures import UNIT, WHOLE
from mndt.radio.raytracing import _merge

COURT = shapely.Polygon([(0, 0), (30, 0), (30, 20), (0, 20)], [[(10, 5), (20, 5), (20, 15), (10, 15)]])
ELL = shapely.Polygon([(50, 0), (70, 0), (70, 5), (55, 5), (55, 30), (50, 30)])


def areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, i]].astype(float) for i in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def test_walls_and_roofs_have_the_area_of_the_blocks() -> None:
    two = shapely.MultiPolygon([shapely.box(100, 0, 110, 10), shapely.box(120, 0, 125, 10)])
    shapes, height = np.array([COURT, ELL, two], object), np.array([10.0, 7.0, 3.0])
    vertices, faces, building = _rt_scene.mesh_of(shapes, height)
    for row, shape in enumerate(shapes):
        expected = shape.area + shape.length * height[row]
        assert areas(vertices, faces[building == row]).sum() == pytest.approx(expected, rel=1e-5)
        assert vertices[faces[building == row]][..., 2].max() == np.float32(height[row])


def test_every_edge_above_the_ground_belongs_to_two_faces() -> None:
    vertices, faces, _ = _rt_scene.mesh_of(np.array([COURT, ELL], object), np.array([10.0, 7.0]))
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    pairs, count = np.unique(edges, axis=0, return_counts=True)
    on_ground = (vertices[pairs][..., 2] == 0).all(axis=1)
    assert (count[on_ground] == 1).all()
    assert (count[~on_ground] == 2).all()


def test_neighbours_do_not_share_corners() -> None:
    _, faces, building = _rt_scene.mesh_of(
        np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)], object), np.ones(2)
    )
    assert not set(faces[building == 0].ravel()) & set(faces[building == 1].ravel())


def test_no_buildings_make_an_empty_mesh() -> None:
    vertices, faces, building = _rt_scene.mesh_of(np.empty(0, object), np.empty(0))
    assert len(vertices) == len(faces) == len(building) == 0


def test_absurd_buildings_are_left_out_and_counted() -> None:
    shapes = np.array([COURT, COURT, COURT, shapely.Polygon(), ELL], object)
    good, said = _rt_scene.sound(shapes, np.array([0.0, np.nan, 5000.0, 10.0, 7.0]), 0.5, 1000.0)
    assert good.tolist() == [False, False, False, False, True]
    assert said == [
        "1 buildings without ground not traced",
        "2 buildings lower than 0.5 m not traced",
        "1 buildings higher than 1000 m not traced",
    ]


def test_concrete_at_3_5_ghz_is_the_recommendations() -> None:
    assert _rt_scene.properties(_rt_scene.CONCRETE, 3.5) == pytest.approx((5.24, 0.0462 * 3.5**0.7822))
    assert _rt_scene.properties(_rt_scene.GROUND, 0.7) == _rt_scene.properties(_rt_scene.GROUND, 1.0)
    assert _rt_scene.properties(_rt_scene.GROUND, 28.0) == _rt_scene.properties(_rt_scene.GROUND, 10.0)


@given(height_m=st.floats(0.1, 200.0), reach_m=st.floats(50.0, 5000.0), even=st.floats(0.05, 1.0), upward=st.booleans())
@settings(max_examples=40, deadline=None)
def test_rays_together_stand_for_the_sphere_whatever_they_aim_at(
    height_m: float, reach_m: float, even: float, upward: bool
) -> None:
    rays = _rt_lattice.launch(20_000, height_m, reach_m, even, upward=upward)
    up = 1.0 - 2.0 * rays.fall.astype(float)
    below = up < 0
    assert rays.weight[below].sum() / len(up) == pytest.approx(0.5, rel=0.01)
    assert (rays.weight * up**2)[below].sum() / len(up) == pytest.approx(1 / 6, rel=0.02)
    assert upward or height_m < 1.0 or below.all()


def test_far_pixels_are_hit_as_often_as_aimed() -> None:
    n, height_m, reach_m = 200_000, 10.0, 1000.0
    rays = _rt_lattice.launch(n, height_m, reach_m, 0.2, upward=True)
    toward = _rt_lattice.directions(rays, np.arange(n))
    down = toward[:, 2] < -1e-6
    distance_m = height_m * np.hypot(*toward[down, :2].T) / -toward[down, 2]
    far = np.count_nonzero((distance_m > 500.0) & (distance_m < 1000.0))
    assert far == pytest.approx(0.8 * n * 0.5, rel=0.02)


def test_directions_are_those_of_the_square() -> None:
    rays = _rt_lattice.Launch(*(np.array(v, np.float32) for v in ([0.0, 0.25, 0.5], [0.5, 0.5, 1.0], [1.0] * 3)))
    found = _rt_lattice.directions(rays, np.arange(3))
    np.testing.assert_allclose(found, [(1, 0, 0), (0, 1, 0), (0, 0, -1)], atol=1e-6)


def unit(*vector: float) -> np.ndarray:
    return np.array(vector, np.float32) / np.float32(np.linalg.norm(vector))


def test_close_directions_become_their_mean_and_distant_ones_stay_apart() -> None:
    toward = np.array([unit(1, 0, 0), unit(1, 0.02, 0), unit(0, 1, 0), unit(0, 0, -1)], np.float32)
    found = Landed(np.array([3, 3, 3, 5], np.int32), np.array([3.0, 1.0, 4.0, 2.0], np.float32), toward)
    gain, departures = _merge(found, (2, 4))
    assert gain.ravel().tolist() == [0, 0, 0, 8, 0, 2, 0, 0]
    assert np.diff(departures.start).tolist() == [0, 0, 0, 2, 0, 1, 0, 0]
    directions, share = departures.of_pixel(3)
    assert share.tolist() == pytest.approx([0.5, 0.5], abs=1e-4)
    mean = 3 * toward[0] + toward[1]
    expected = {tuple(np.round(toward[2], 3)), tuple(np.round(mean / np.linalg.norm(mean), 3))}
    assert {tuple(row) for row in np.round(directions, 3)} == expected


def test_weak_directions_are_dropped_and_the_rest_is_whole() -> None:
    toward = np.array([unit(1, 0, 0), unit(0, 1, 0)], np.float32)
    _, departures = _merge(Landed(np.zeros(2, np.int32), np.array([1.0, 0.001], np.float32), toward), (1, 1))
    assert departures.toward.tolist() == [[UNIT, 0, 0]]
    assert departures.share.tolist() == [WHOLE]


@given(seed=st.integers(0, 1000), n=st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_gain_is_the_sum_and_shares_are_whole_for_any_rays(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    toward = rng.normal(size=(n, 3)).astype(np.float32)
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    found = Landed(rng.integers(0, 6, n).astype(np.int32), rng.exponential(size=n).astype(np.float32), toward)
    gain, departures = _merge(found, (2, 3))
    np.testing.assert_allclose(gain.ravel(), np.bincount(found.pixel, found.power, 6), rtol=1e-5)
    for pixel in range(6):
        directions, share = departures.of_pixel(pixel)
        assert len(share) <= kernels.MOST
        assert len(share) == 0 or share.sum() == pytest.approx(1.0, abs=kernels.MOST / WHOLE)
        np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, atol=1e-4)
