"""Fused maps with real rays: kept one by one, used again, and silent where nothing reflects."""

from pathlib import Path

import numpy as np
import pytest
from blocks import city_of, grid

from mndt.errors import InputError
from mndt.radio import _llvm, pathloss, tracing
from mndt.radio.maps import RadioParameters, build_maps

FUSED = RadioParameters(engine="fused", rays_million=0.05, shadowing=False, o2i="low", resolution_m=5.0)
STATIONS = [(110.0, 110.0, 10.0, -1), (50.0, 50.0, 3.0, 0), (290.0, 270.0, 10.0, -1)]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Where rays were really traced from."""
    calls: list[float] = []
    trace = tracing.trace
    monkeypatch.setattr(
        tracing, "trace", lambda scene, x_m, *rest, **named: calls.append(x_m) or trace(scene, x_m, *rest, **named)
    )  # type: ignore[func-returns-value]
    return calls


@pytest.mark.rt
def test_an_open_field_is_free_space_with_rays_too(tmp_path: Path) -> None:
    maps = build_maps(city_of([], [(100.0, 150.0, 25.0, -1)]), FUSED, cache_dir=tmp_path, n_jobs=1)
    row, col = np.indices(maps.level.shape[:2])
    ground_m = np.hypot((col + 0.5) * 5.0 - 100.0, (row + 0.5) * 5.0 - 150.0)
    free_db = pathloss.free_space_db(np.hypot(ground_m, 23.5), 3.5)
    np.testing.assert_allclose(maps.loss_db()[:, :, 0], free_db, atol=0.1)
    assert maps.sight().all()


@pytest.mark.rt
def test_rays_bring_more_than_edges_and_every_pixel_has_a_value(tmp_path: Path, traced: list[float]) -> None:
    city = city_of(grid(400.0), STATIONS)
    fused = build_maps(city, FUSED, cache_dir=tmp_path, n_jobs=1)
    assert traced == [110.0, 290.0]  # nothing from inside a building
    loss = fused.loss_db()
    assert np.all((loss > 20.0) & (loss <= 255.0))
    assert fused.departures is not None
    several = np.diff(fused.departures.start[0]) > 1
    assert 0.05 < several.mean() < 0.95
    sight = fused.sight()[:, :, 0]
    row, col = np.indices(sight.shape)
    slant_m = np.hypot(np.hypot((col + 0.5) * 5.0 - 110.0, (row + 0.5) * 5.0 - 110.0), 8.5)
    extra_db = pathloss.free_space_db(slant_m, 3.5) - loss[:, :, 0]
    assert (extra_db[sight] > -0.1).all()  # walls add to line of sight, a little
    assert 0.01 < extra_db[sight].mean() < 2.0


@pytest.mark.rt
def test_an_interrupted_build_goes_on_where_it_stopped(
    tmp_path: Path, traced: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    city = city_of(grid(400.0), STATIONS)
    counting, calls = tracing.trace, traced

    def killed(scene: object, x_m: float, *rest: object, **named: object) -> object:
        if x_m > 200.0:
            raise KeyboardInterrupt
        return counting(scene, x_m, *rest, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(tracing, "trace", killed)
        with pytest.raises(KeyboardInterrupt):
            build_maps(city, FUSED, cache_dir=tmp_path, n_jobs=1)
    assert calls == [110.0]
    again = build_maps(city, FUSED, cache_dir=tmp_path, n_jobs=1)
    assert calls == [110.0, 290.0]
    whole = build_maps(city, FUSED, cache_dir=tmp_path / "new", n_jobs=1)
    np.testing.assert_array_equal(again.level, whole.level)


def test_without_a_ray_tracer_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_llvm, "find_spec", lambda name: None)
    monkeypatch.setattr(_llvm, "_LOADED", [])
    with pytest.raises(InputError, match=r"pip install 'mndt\[rt\]'"):
        build_maps(city_of(grid(400.0), STATIONS), FUSED, cache_dir=tmp_path, n_jobs=1)
    assert not list(tmp_path.glob("*.json"))
