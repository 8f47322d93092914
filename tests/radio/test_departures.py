from itertools import pairwise

import numpy as np
import pytest

from mndt.radio.departures import UNIT, WHOLE, Departures, merge, one_each, stack, straight


def _some(counts, rng):
    start = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    toward = rng.standard_normal((start[-1], 3))
    toward = np.rint(UNIT * toward / np.linalg.norm(toward, axis=1, keepdims=True)).astype(np.int16)
    share = np.zeros(start[-1], np.uint16)
    for a, b in pairwise(start):
        part = rng.random(b - a)
        share[a:b] = np.rint(WHOLE * part / part.sum()) if b > a else []
    return Departures(start, toward, share)


def test_the_sum_of_two_sets_of_paths_keeps_every_direction_and_its_power():
    rng = np.random.default_rng(3)
    counts = np.array([0, 1, 3, 0, 2])
    rays, direct = _some(counts, rng), one_each(*rng.standard_normal((3, 5)))
    direct_gain = np.array([1e-9, 2e-9, 1e-9, 5e-9, 1e-10])
    rays_gain = np.array([0.0, 1e-9, 1e-9, 0.0, 1e-8])
    merged = merge(direct, direct_gain, rays, rays_gain)
    np.testing.assert_array_equal(np.diff(merged.start), counts + 1)
    for pixel in range(5):
        toward, share = merged.of_pixel(pixel)
        np.testing.assert_array_equal(toward[0], direct.of_pixel(pixel)[0][0])
        np.testing.assert_array_equal(toward[1:], rays.of_pixel(pixel)[0])
        part = rays_gain[pixel] / (rays_gain[pixel] + direct_gain[pixel])
        assert share.sum() == pytest.approx(1.0, abs=3 / WHOLE)
        assert share[0] == pytest.approx(1.0 - part, abs=3 / WHOLE)
        np.testing.assert_allclose(share[1:], rays.of_pixel(pixel)[1] * part, atol=2 / WHOLE)


def test_rays_without_weight_are_left_out():
    rng = np.random.default_rng(1)
    rays, direct = _some([2, 2], rng), one_each(*rng.standard_normal((3, 2)))
    merged = merge(direct, np.ones(2), rays, np.array([1e-5, 1.0]))
    assert np.diff(merged.start).tolist() == [1, 3]


def test_stacked_layers_keep_their_entries():
    rng = np.random.default_rng(2)
    first, second = _some([1, 2, 0, 1], rng), _some([0, 0, 3, 1], rng)
    of_pixel = np.arange(4, dtype=np.int32)
    stacked = stack([first, None, second], of_pixel)
    assert stacked.slot.tolist() == [0, -1, 1]
    for slot, layer in ((0, first), (1, second)):
        for pixel in range(4):
            entries = slice(stacked.start[slot, pixel], stacked.start[slot, pixel + 1])
            np.testing.assert_array_equal(
                stacked.toward[entries], layer.toward[layer.start[pixel] : layer.start[pixel + 1]]
            )
            np.testing.assert_array_equal(
                stacked.share[entries], layer.share[layer.start[pixel] : layer.start[pixel + 1]]
            )
    assert stack([None, None], of_pixel).slot.tolist() == straight(2).slot.tolist() == [-1, -1]
