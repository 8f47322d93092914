"""A city survives the way to the disk and back, or says why not."""

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mndt.city.model import AntennaTable, City
from mndt.city.store import SCHEMA, load_city, save_city
from mndt.errors import InputError


def assert_same(one: Any, two: Any) -> None:
    assert type(one) is type(two)
    if dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            assert_same(getattr(one, field.name), getattr(two, field.name))
    elif isinstance(one, tuple):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert_same(a, b)
    elif isinstance(one, np.ndarray):
        assert one.dtype == two.dtype
        assert np.array_equal(one, two)
    else:
        assert one == two


def test_round_trip(tmp_path: Path, helsinki_city: City) -> None:
    path = tmp_path / "helsinki.city"
    save_city(helsinki_city, path)
    assert_same(load_city(path), helsinki_city)
    assert [entry.name for entry in tmp_path.iterdir()] == ["helsinki.city"]


def test_same_city_same_bytes(tmp_path: Path, helsinki_city: City) -> None:
    for name in ("a", "b"):
        save_city(helsinki_city, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_truncated(tmp_path: Path, village_city: City, share: float) -> None:
    path = tmp_path / "cut.city"
    save_city(village_city, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="cut short"):
        load_city(path)


def test_damaged_inside(tmp_path: Path, village_city: City) -> None:
    path = tmp_path / "bad.city"
    save_city(village_city, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="cut short or of another kind"):
        load_city(path)


def test_other_version(tmp_path: Path) -> None:
    path = tmp_path / "future.city"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("city.json", json.dumps({"kind": "mndt city", "schema": SCHEMA + 1, "city": {}}))
    with pytest.raises(InputError, match=f"schema of the city file is {SCHEMA + 1}, allowed is {SCHEMA}"):
        load_city(path)


@pytest.mark.parametrize("content", [b"", b"not a zip at all"])
def test_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.city"
    path.write_bytes(content)
    with pytest.raises(InputError, match="another kind"):
        load_city(path)


def test_missing(tmp_path: Path, village_city: City) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_city(tmp_path / "none.city")
    with pytest.raises(InputError, match="may be written"):
        save_city(village_city, tmp_path / "no folder" / "x.city")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, village_city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.city"
    path.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="no space"):
        save_city(village_city, path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_antennas_are_kept(tmp_path: Path, village_city: City) -> None:
    cuts = (np.linspace(0.0, 30.0, 360), np.linspace(25.0, 0.0, 360))
    tables = tuple(AntennaTable(f"{name}.msi", 17.0, *cuts, 2.1e9, 4.0) for name in ("a", "b"))
    tables += (AntennaTable("c.msi", 2.0, *cuts, None, 0.0),)
    city = dataclasses.replace(village_city, antennas=tables)
    save_city(city, tmp_path / "x.city")
    assert_same(load_city(tmp_path / "x.city"), city)
    assert load_city(tmp_path / "x.city").antennas[2].frequency_hz is None
