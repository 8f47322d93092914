"""`mndt fit radio` from files to a folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from mndt.cli import main
from mndt.fit_inputs import read_inputs
from mndt.radio.pathloss import free_space_db

SIDE_M, SITES = 900.0, 6


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small operator: six sites of three sectors, a house every 100 m, serving cells reported."""
    folder = tmp_path_factory.mktemp("operator")
    rng = np.random.default_rng(7)
    places = rng.uniform(100, SIDE_M - 100, (SITES, 2))
    lines = ["cell,x,y,height_m,azimuth_deg,electrical_tilt_deg,power_dbm,frequency_mhz,antenna"]
    lines += [
        f"{3 * s + k},{x:.1f},{y:.1f},25,{120 * k},5,15,1800,K742" for s, (x, y) in enumerate(places) for k in range(3)
    ]
    (folder / "cells.csv").write_text("\n".join(lines) + "\n")
    xy = np.floor(rng.uniform(0, SIDE_M, (900, 2)) / 5.0) * 5.0 + 2.5
    to = xy[:, None] - places[None]
    slant = np.hypot(np.hypot(to[..., 0], to[..., 1]), 23.5)
    level = 27.0 - free_space_db(slant, 1.8) - 15.0 * np.log10(slant / 100.0)
    sector = np.arange(3) * 120.0
    phi = (np.degrees(np.arctan2(to[..., 0], to[..., 1]))[..., None] - sector + 180.0) % 360.0 - 180.0
    every = (level[..., None] - np.minimum(12.0 * (phi / 65.0) ** 2, 25.0)).reshape(len(xy), -1)
    every += rng.normal(0, 5.0, every.shape)
    served = every.argmax(axis=1)
    rows = [f"{c}.0,{x},{y},{every[k, c]:.1f}" for k, (c, (x, y)) in enumerate(zip(served, xy, strict=True))]
    rows += ["99,10,10,-80", "1,10,10,-10", "1,,10,-80"]
    (folder / "rsrp.csv").write_text("\n".join(["cell,x,y,rsrp_dbm", *rows]) + "\n")
    grid = [(x + 5.0, y + 5.0) for y in np.arange(0, SIDE_M, 10.0) for x in np.arange(0, SIDE_M, 10.0)]
    ground = [f"{x},{y},{0.01 * x:.2f},{12 if x % 100 < 20 and y % 100 < 20 else 0}" for x, y in grid]
    (folder / "terrain.csv").write_text("\n".join(["x,y,ground_m,building_m", *ground]) + "\n")
    return folder


def _fit(files: Path, out: Path, *more: str, measurements: str = "rsrp.csv", sites: str = "cells.csv") -> Result:
    words = ["fit", "radio", "--measurements", str(files / measurements), "--sites", str(files / sites)]
    return CliRunner().invoke(main, [*words, "--out", str(out), *more])


@pytest.fixture(scope="module")
def fitted(files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    out = tmp_path_factory.mktemp("fits") / "fit"
    return _fit(files, out, "--terrain", str(files / "terrain.csv"), "--json"), out


def test_it_writes_a_folder_and_says_what_it_found(fitted: tuple[Result, Path]) -> None:
    result, out = fitted
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {
        "cells.csv", "fit.json", "fit.png", "fit.txt", "held_out.parquet", "shadowing.csv",
    }  # fmt: skip
    assert "RMSE in dB on" in result.stdout
    assert (out / "fit.png").read_bytes().startswith(b"\x89PNG")
    figures = json.loads(result.stdout.splitlines()[-1])["figures"]
    assert figures["rmse_cells_mndt_db"] < figures["rmse_cells_log_distance_db"]
    assert 0.8 < figures["coverage_cells"] < 0.98
    assert json.loads((out / "fit.json").read_text())["figures"] == pytest.approx(figures)


def test_what_was_left_out_is_counted(fitted: tuple[Result, Path]) -> None:
    result, _ = fitted
    assert "left out 1 of 903 reports: without a cell, a position or a level" in result.stderr
    assert "left out 1 of 903 reports: with a level outside -160 to -20 dBm" in result.stderr
    assert "left out 1 of 903 reports: of 1 unknown cells" in result.stderr


def test_held_out_rows_hold_their_intervals(fitted: tuple[Result, Path]) -> None:
    _, out = fitted
    table = pq.read_table(out / "held_out.parquet")
    split, low, high, said = (table[name].to_numpy() for name in ("split", "low_dbm", "high_dbm", "predicted_dbm"))
    assert set(split) == {"cells", "pixels", "blocks"}
    assert (split == "cells").sum() == 900  # every report once
    assert ((low < said) & (said < high)).all()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_fit(files: Path, tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        result = _fit(files, tmp_path / name)
        assert result.exit_code == 0, result.output
        assert "no buildings are known" in result.stderr
        texts.append((tmp_path / name / "fit.json").read_text())
    assert texts[0] == texts[1]


def test_degrees_and_metres_agree(files: Path, tmp_path: Path) -> None:
    from pyproj import Transformer

    back = Transformer.from_crs(32635, 4326, always_xy=True)
    for name in ("rsrp.csv", "cells.csv"):
        head, *lines = (files / name).read_text().splitlines()
        rows = [line.split(",") for line in lines if ",," not in line]
        for row in rows:
            lon, lat = back.transform(385_000 + float(row[1]), 6_672_000 + float(row[2]))
            row[1:3] = [f"{lon:.8f}", f"{lat:.8f}"]
        (tmp_path / name).write_text("\n".join([head.replace("x,y", "lon,lat"), *(",".join(row) for row in rows)]))
    flat = read_inputs(files / "rsrp.csv", files / "cells.csv", terrain=None, buildings=None, city=None)
    round_ = read_inputs(tmp_path / "rsrp.csv", tmp_path / "cells.csv", terrain=None, buildings=None, city=None)
    np.testing.assert_allclose(round_.samples.x_m - 385_000, flat.samples.x_m, atol=0.01)
    np.testing.assert_allclose(round_.cells.y_m - 6_672_000, flat.cells.y_m, atol=0.01)
    np.testing.assert_array_equal(round_.cells.site, flat.cells.site)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rsrp, cells: (rsrp[:100], cells), "allowed is at least 200 from at least 4 sites"),
        (lambda rsrp, cells: ([rsrp[0], *(f"x{line}" for line in rsrp[1:])], cells), "names that are in the inventory"),
        (lambda rsrp, cells: (rsrp, [cells[0].replace(",x,", ",z,"), *cells[1:]]), "column latitude_deg"),
        (lambda rsrp, cells: (rsrp, [*cells, cells[-1]]), "a second time"),
        (
            lambda rsrp, cells: ([rsrp[0], *(f"{r.split(',')[0]},500,500,-90" for r in rsrp[1:])], cells),
            "with reports is 1",
        ),
        (lambda rsrp, cells: (rsrp, [cells[0], cells[1].replace(",25,", ",9000,"), *cells[2:]]), "height_m is 9000"),
        (lambda rsrp, cells: ([rsrp[0].replace("x,y", "lon,lat"), *rsrp[1:]], cells), "in degrees here and in metres"),
    ],
)
def test_files_that_do_not_fit_are_refused_in_a_sentence(
    files: Path, tmp_path: Path, change: object, words: str
) -> None:
    tables = ((files / name).read_text().splitlines() for name in ("rsrp.csv", "cells.csv"))
    for name, lines in zip(("rsrp.csv", "cells.csv"), change(*tables), strict=True):  # type: ignore[operator]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    result = _fit(tmp_path, tmp_path / "out")
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


def test_reports_off_the_terrain_are_refused(files: Path, tmp_path: Path) -> None:
    lines = (files / "terrain.csv").read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    (tmp_path / "terrain.csv").write_text(
        "\n".join([lines[0], *(",".join([str(float(r[0]) + 9e4), *r[1:]]) for r in rows)]) + "\n"
    )
    result = _fit(files, tmp_path / "out", "--terrain", str(tmp_path / "terrain.csv"))
    assert result.exit_code == 2
    assert "one coordinate system" in result.stderr


def test_a_map_gives_buildings_and_its_frame(files: Path, tmp_path: Path) -> None:
    from mndt.city.store import save_city
    from mndt.city.synthetic import synthetic_city

    city = synthetic_city(lanes=200, areas=60, outdoor_sites=2, indoor_sites=2, size_m=SIDE_M)
    save_city(city, tmp_path / "city.npz")
    rsrp, cells, frame = files / "rsrp.csv", files / "cells.csv", city.frame
    here = read_inputs(rsrp, cells, terrain=None, buildings=None, city=str(tmp_path / "city.npz"))
    assert (here.ground.building >= 0).mean() > 0.1
    for name in ("rsrp.csv", "cells.csv"):  # the same places in the map's UTM zone
        head, *lines = (files / name).read_text().splitlines()
        rows = [line.split(",") for line in lines if ",," not in line]
        for row in rows:
            row[1:3] = [f"{float(row[1]) + frame.origin_easting_m}", f"{float(row[2]) + frame.origin_northing_m}"]
        (tmp_path / name).write_text("\n".join([head, *(",".join(row) for row in rows)]))
    there = read_inputs(
        tmp_path / "rsrp.csv", tmp_path / "cells.csv", terrain=files / "terrain.csv", buildings=None,
        city=str(tmp_path / "city.npz"),
    )  # fmt: skip
    np.testing.assert_allclose(there.samples.x_m, here.samples.x_m, atol=1e-6)
    np.testing.assert_array_equal(there.ground.building, here.ground.building)
