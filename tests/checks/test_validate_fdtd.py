import json

import numpy as np
import pytest
from click.testing import CliRunner

from mndt.checks import validate_fdtd as check
from mndt.cli import main
from mndt.radio import _llvm, fdtd


def test_the_series_of_a_flat_wall_is_the_source_and_its_image():
    k, source = 20.0, (3.0, 1.1)
    radius_m, angle = np.array([1.0, 2.0, 5.0, 7.0]), np.array([0.3, 1.5, 2.8, 0.9])
    at, here = radius_m * np.exp(1j * angle), source[0] * np.exp(1j * source[1])
    carrier_hz = k * fdtd.LIGHT_MPS / (2 * np.pi)
    expected = fdtd.free_field(abs(at - here), carrier_hz) - fdtd.free_field(abs(at - here.conjugate()), carrier_hz)
    np.testing.assert_allclose(check.wedge_field(k, 1.0, source, radius_m, angle), expected, rtol=1e-6)


def test_the_series_vanishes_at_both_faces_and_does_not_mind_exchanged_ends():
    k, turns = 20.0, 1.5
    faces = check.wedge_field(k, turns, (3.0, 1.1), np.array([2.0, 2.0]), np.array([0.0, turns * np.pi]))
    assert np.abs(faces).max() < 1e-12
    there = check.wedge_field(k, turns, (3.0, 1.1), np.array([5.0]), np.array([4.0]))
    back = check.wedge_field(k, turns, (5.0, 4.0), np.array([3.0]), np.array([1.1]))
    assert abs(there[0] - back[0]) < 1e-12 < abs(there[0])


@pytest.mark.parametrize("turns", [2.0, 1.5])
def test_around_an_edge_the_field_is_the_series(turns):
    errors_db = np.abs(check.wedge_errors_db(20, turns))
    assert len(errors_db) > 100
    assert np.median(errors_db) < 0.15
    assert errors_db.max() < 1.0  # where the direct and the reflected wave cancel, on this coarse grid


def test_finer_cells_come_closer_to_the_series():
    assert np.abs(check.wedge_errors_db(28, 2.0)).max() < 0.7 * np.abs(check.wedge_errors_db(20, 2.0)).max()


def test_the_boundary_throws_nothing_back():
    assert check.boundary_db(size=80) < -70.0


def test_points_of_the_street_stand_outdoors_and_inside_the_slice():
    for size in (0.5, 1.0):
        street = check.Street.of(size)
        x_m, y_m = street.points_m.T
        for west, south, east, north in street.blocks_m:
            assert not np.any((x_m > west) & (x_m < east) & (y_m > south) & (y_m < north))
        assert min(x_m.min(), y_m.min(), street.width_m - x_m.max(), street.depth_m - y_m.max()) > 0.9
        assert 0 < street.side.sum() < len(street.points_m)
        assert street.distance_m.min() > 4.0


def test_without_a_ray_tracer_the_wedge_is_told_with_the_install_line(monkeypatch):
    sentence = "ray tracing is without sionna-rt, allowed is the extra rt; pip install 'mndt[rt]'."
    monkeypatch.setattr(_llvm, "why_not", lambda: sentence)
    monkeypatch.setattr(check, "wedge_figures", lambda cells: {"wedge_error_db": float(cells)})
    monkeypatch.setattr(check, "boundary_db", lambda: -80.0)
    answer = CliRunner().invoke(main, ["validate", "fdtd", "--quick", "--json"])
    assert answer.exit_code == 0
    figures = json.loads(answer.output.splitlines()[-1])["figures"]
    assert figures["wedge_error_db"] == 32.0
    assert figures["rt_error_db"] is None
    assert figures["cost_ratio"] is None
    assert "pip install 'mndt[rt]'" in answer.output


@pytest.mark.rt
def test_rays_agree_with_the_field_in_a_street():
    figures = check.street_figures(check.Street.of(0.5))
    assert figures["rt_error_db"] < 1.0
    assert figures["rt_p90_db"] < 3.0
