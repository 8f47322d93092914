import json
from dataclasses import replace

import numpy as np
import pytest
from blocks import city_of, grid

from mndt.radio import cache
from mndt.radio import maps as maps_module
from mndt.radio.maps import RadioParameters, build_maps

CITY = city_of(grid(200.0), [(100.0, 110.0, 10.0, -1)], (200.0, 200.0))
PARAMETERS = RadioParameters()


@pytest.fixture
def counted(monkeypatch):
    """How often maps were really computed."""
    calls = []
    compute = maps_module._compute
    monkeypatch.setattr(maps_module, "_compute", lambda *args: calls.append(1) or compute(*args))
    return calls


def test_second_time_comes_from_disk(tmp_path, counted):
    first = build_maps(CITY, PARAMETERS, cache_dir=tmp_path)
    again = build_maps(CITY, PARAMETERS, cache_dir=tmp_path)
    assert len(counted) == 1
    np.testing.assert_array_equal(first.level, again.level)
    assert not first.level.flags.writeable
    assert not again.level.flags.writeable


def _moved(city, **columns):
    return replace(city, **{name: replace(getattr(city, name), **values) for name, values in columns.items()})


@pytest.mark.parametrize(
    ("city", "parameters", "seed"),
    [
        (_moved(CITY, buildings={"height_m": CITY.buildings.height_m + 1.0}), PARAMETERS, 0),
        (_moved(CITY, buildings={"use": CITY.buildings.use + 1}), PARAMETERS, 0),
        (_moved(CITY, sites={"x_m": CITY.sites.x_m + 1.0}), PARAMETERS, 0),
        (_moved(CITY, cells={"height_m": CITY.cells.height_m + 1.0}), PARAMETERS, 0),
        (_moved(CITY, cells={"carrier_hz": CITY.cells.carrier_hz * 2.0}), PARAMETERS, 0),
        (_moved(CITY, frame={"width_m": 204.0}), PARAMETERS, 0),
        (CITY, replace(PARAMETERS, scenario="UMa"), 0),
        (CITY, replace(PARAMETERS, resolution_m=5.0), 0),
        (CITY, replace(PARAMETERS, user_height_m=2.0), 0),
        (CITY, replace(PARAMETERS, o2i="high"), 0),
        (CITY, replace(PARAMETERS, shadowing=False), 0),
        (CITY, replace(PARAMETERS, engine="tr38901"), 0),
        (CITY, PARAMETERS, 1),
    ],
)
def test_whatever_matters_makes_new_maps(tmp_path, counted, city, parameters, seed):
    build_maps(CITY, PARAMETERS, cache_dir=tmp_path)
    build_maps(city, parameters, cache_dir=tmp_path, seed=seed)
    assert len(counted) == 2


def test_fading_noise_and_aim_do_not(tmp_path, counted):
    build_maps(CITY, PARAMETERS, cache_dir=tmp_path)
    other = replace(PARAMETERS, los_fading="none", noise_figure_db=9.0, nakagami_m=2.0)
    build_maps(_moved(CITY, cells={"azimuth_deg": CITY.cells.azimuth_deg + 9.0}), other, cache_dir=tmp_path)
    assert len(counted) == 1


def _truncate(array, about):
    array.write_bytes(array.read_bytes()[:-100])


def _flip(array, about):
    data = bytearray(array.read_bytes())
    data[-50] ^= 1
    array.write_bytes(bytes(data))


def _empty(array, about):
    array.write_bytes(b"")


def _no_description(array, about):
    about.unlink()


def _half_description(array, about):
    about.write_text(about.read_text()[:20])


def _list_description(array, about):
    about.write_text("[1, 2]")


def _older_schema(array, about):
    about.write_text(json.dumps(json.loads(about.read_text()) | {"schema": 0}))


@pytest.mark.parametrize(
    "damage", [_truncate, _flip, _empty, _no_description, _half_description, _list_description, _older_schema]
)
def test_damaged_entry_is_rebuilt(tmp_path, counted, damage):
    level = np.array(build_maps(CITY, PARAMETERS, cache_dir=tmp_path).level)
    (array,), (about,) = tmp_path.glob("*.level.npy"), tmp_path.glob("*.json")
    damage(array, about)
    np.testing.assert_array_equal(build_maps(CITY, PARAMETERS, cache_dir=tmp_path).level, level)
    build_maps(CITY, PARAMETERS, cache_dir=tmp_path)
    assert len(counted) == 2


def test_list_and_clear(tmp_path):
    build_maps(CITY, PARAMETERS, cache_dir=tmp_path)
    build_maps(CITY, PARAMETERS, cache_dir=tmp_path, seed=1)
    (tmp_path / ".maps-left.part").write_bytes(b"half")
    (tmp_path / "notes.json").write_text("{}")
    entries = cache.list_cache(tmp_path)
    assert len(entries) == 2
    assert all(entry.bytes > 50 * 50 * 2 and "blocks: 1 layers" in entry.what for entry in entries)
    assert entries[0].created[:2] == "20"
    next(tmp_path.glob("maps-*.json")).unlink()
    assert sorted(entry.what == "damaged" for entry in cache.list_cache(tmp_path)) == [False, True]
    assert cache.clear_cache(tmp_path) > 2 * 50 * 50 * 2
    assert [file.name for file in tmp_path.iterdir()] == ["notes.json"]
    assert cache.list_cache(tmp_path / "nowhere") == []
    assert cache.clear_cache(tmp_path / "nowhere") == 0


def test_place_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MNDT_CACHE", str(tmp_path / "here"))
    assert cache.cache_directory() == tmp_path / "here" / "maps"
    assert cache.cache_directory(tmp_path) == tmp_path
    monkeypatch.delenv("MNDT_CACHE")
    assert cache.cache_directory().name == "maps"


def test_a_disk_that_refuses_costs_only_the_cache(tmp_path, counted, caplog):
    (tmp_path / "file").write_text("not a directory")
    maps = build_maps(CITY, PARAMETERS, cache_dir=tmp_path / "file")
    assert maps.level.shape == (50, 50, 1)
    assert "not kept" in caplog.text


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.np, "save", lambda *args, **kwargs: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cache.store(tmp_path, "key", {"level": np.zeros(3)}, "test")
    assert list(tmp_path.iterdir()) == []
