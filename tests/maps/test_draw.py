"""From the command line to files that hold the right values in the right places."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image

from mndt.city.model import Frame
from mndt.city.store import save_city
from mndt.cli import main
from mndt.formats import msi
from mndt.maps import draw, files
from mndt.maps.files import onto_degrees
from mndt.radio import antenna
from small_city import small_city


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A city of four cells and its scenario; gain maps are kept in it."""
    folder = tmp_path_factory.mktemp("maps")
    save_city(small_city(), folder / "city.npz")
    text = (
        'name = "small"\n[city]\nsource = "file"\nfile = "city.npz"\n[radio]\nresolution_m = 5.0\nshadowing = false\n'
    )
    (folder / "scenario.toml").write_text(text)
    return folder


@pytest.fixture(autouse=True)
def _here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MNDT_CACHE", str(folder / "cache"))


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["map", "scenario.toml", *words])
    assert result.exit_code == code, result.output
    return result.output


def values(path: str) -> np.ndarray:
    """The first band with row 0 in the south."""
    with rasterio.open(path) as file:
        return file.read(1)[::-1]


def test_a_tilt_changes_the_gain_by_what_the_antenna_says(folder):
    said = run(
        "--cell",
        "mast-2",
        "--layer",
        "gain",
        "--after",
        "mechanical_tilt_deg=8",
        "--set",
        "radio.engine=tr38901",
        "--out",
        "tilt.tif",
    )
    assert "mast-2: mechanical tilt 0° -> 8°" in said
    city = small_city()
    row, col = np.indices((60, 40))
    east, north, down = (col + 0.5) * 5.0 - 100.0, (row + 0.5) * 5.0 - 150.0, 25.0 - 1.5
    azimuth = np.degrees(np.arctan2(east, north))
    zenith = 180.0 - np.degrees(np.arctan2(np.hypot(east, north), down))
    at = {"boresight_deg": city.cells.azimuth_deg[1]}
    tilted = antenna.gain_db("sector", azimuth, zenith, mechanical_tilt_deg=8.0, **at)
    level = antenna.gain_db("sector", azimuth, zenith, **at)
    away = zenith < 170.0
    np.testing.assert_allclose(values("tilt.tif")[away], (tilted - level)[away], atol=0.06)
    with rasterio.open("tilt.tif") as file:
        assert file.crs.to_epsg() == city.frame.epsg
        assert (file.bounds.left, file.bounds.bottom) == (0.0, 0.0)
        assert file.tags()["attribution"] == "© Mapmakers"


def test_before_and_after_are_both_free_to_choose(folder):
    words = ("--cell", "mast-1", "--layer", "gain", "--out", "x.tif")
    run(*words, "--before", "azimuth=90", "--after", "azimuth=180")
    there = values("x.tif")
    run(*words, "--before", "azimuth=180", "--after", "azimuth=90")
    np.testing.assert_allclose(values("x.tif"), -there)
    run(*words, "--before", "azimuth=90")
    first = values("x.tif")
    run(*words, "--set", "cells.mast-1.azimuth=90", "--after", "azimuth=0")
    np.testing.assert_allclose(values("x.tif"), first)
    assert there.std() > 1.0


def test_an_antenna_file_can_be_tried_on_a_cell(folder):
    degree = np.arange(360.0)
    narrow = np.minimum(12.0 * (np.minimum(degree, 360.0 - degree) / 30.0) ** 2, 30.0)
    msi.write("narrow.msi", msi.Cuts(narrow, narrow, 20.0), "narrow", frequency_hz=3.5e9, electrical_tilt_deg=0.0)
    run("--cell", "mast-1", "--layer", "gain", "--after", "pattern=narrow.msi", "--after", "etilt=0", "--out", "x.tif")
    change = values("x.tif")
    assert change[55, 20] == pytest.approx(10.84, abs=0.05)  # ahead, 10.5 degrees down: 20 - 1.47 dBi for 8 - 0.31
    assert change[50, 39] < -5.0  # 44 degrees aside


def test_electrical_tilt_of_an_element_is_told_to_do_nothing(folder):
    said = run("--cell", "mast-1", "--layer", "gain", "--after", "etilt=2", "--out", "x.png")
    assert "electrical tilt turns panels and antenna files, not the pattern sector" in said
    assert "worse" in said


@pytest.mark.parametrize("layer", ["gain", "loss", "los", "rsrp", "best-server", "sinr"])
def test_every_layer_is_a_picture_a_raster_and_an_overlay(folder, layer):
    pictures = ("png",) if layer in ("gain", "best-server") else ()
    for ending in (*pictures, "tif", "kmz"):
        run("--site", "mast", "--layer", layer, "--outdoors", "--out", f"{layer}.{ending}")
    if pictures:
        with Image.open(f"{layer}.png") as picture:
            assert picture.size[0] > 500
    with rasterio.open(f"{layer}.tif") as file:
        inside = file.read(1, masked=True).mask[::-1]
    assert inside[46, 28]  # in the tower
    if layer in ("gain", "loss", "los"):
        assert not inside[10, 10]  # in the courtyard
    with zipfile.ZipFile(f"{layer}.kmz") as archive:
        picture = Image.open(io.BytesIO(archive.read("map.png")))
    assert picture.mode == "RGBA"
    assert np.asarray(picture)[..., 3].min() == 0


def test_the_default_file_is_named_after_what_it_shows(folder):
    run("--cell", "mast-1", "--layer", "sinr", "--after", "power_dbm=40")
    assert Path("map-sinr-mast-1-change.png").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--out", "x.jpg"), "allowed is a file .png, .tif, .tiff, .kml, .kmz"),
        (("--out", "none/x.png"), "a folder that exists"),
        (("--layer", "snr"), "did you mean 'sinr'"),
        (("--layer", "los"), "with --site or --cell"),
        (("--site", "mst"), "did you mean 'mast'"),
        (("--site", "mast", "--layer", "los", "--after", "tilt=3"), "which no setting changes"),
        (("--after", "tilt=3"), "of no cell"),
        (("--set", "radio.resolution=3"), "did you mean 'resolution_m'"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_leaves_no_file(folder, words, sentence):
    before = set(folder.rglob("*.*"))
    said = run(*words, code=2)
    assert sentence in said
    assert said.count("\n") <= 2
    assert not [path for path in set(folder.rglob("*.*")) - before if "cache" not in path.parts]


def test_pixels_of_an_overlay_lie_where_they_belong():
    from pyproj import Transformer

    frame = Frame(32635, 385_400.0, 6_671_400.0, 1000.0, 1700.0)
    image = np.zeros((170, 100, 4), np.uint8)
    image[..., 3] = 255
    image[120, 30, 0] = 255  # row 0 is the south
    degrees, (west, south, east, north) = onto_degrees(image, 10.0, frame)
    rows, cols = np.nonzero(degrees[..., 0])
    longitude = west + (cols.mean() + 0.5) * (east - west) / degrees.shape[1]
    latitude = north - (rows.mean() + 0.5) * (north - south) / degrees.shape[0]
    x_m, y_m = Transformer.from_crs(4326, 32635, always_xy=True).transform(longitude, latitude)
    assert (x_m - 385_400.0, y_m - 6_671_400.0) == (pytest.approx(305.0, abs=3.0), pytest.approx(1205.0, abs=3.0))
    corners = degrees[[0, 0, -1, -1], [0, -1, 0, -1], 3]
    assert corners.sum() < 4 * 255  # the frame stands askew in degrees
    assert degrees[..., 3].mean() > 0.9 * 255


def test_maps_of_a_run_in_one_file(folder, monkeypatch):
    network = draw.network_of(*draw.open_network("scenario.toml"))
    monkeypatch.setattr(draw, "_run_network", lambda *_: network)
    runner = CliRunner()
    assert runner.invoke(main, ["export", "geotiff", "a-run", "--out", "run.tif"]).exit_code == 0
    with rasterio.open("run.tif") as file:
        assert file.descriptions == ("rsrp", "best-server", "sinr")
        assert file.tags(2)["value_0"] == "mast-1"
    assert runner.invoke(main, ["export", "kml", "a-run", "--out", "run.kmz"]).exit_code == 0
    with zipfile.ZipFile("run.kmz") as archive:
        assert archive.read("doc.kml").count(b"<Placemark>") == 4
    refused = runner.invoke(main, ["export", "kml", "a-run", "--out", "run.tif"])
    assert (refused.exit_code, "a file .kml or .kmz" in refused.output) == (2, True)


def test_the_picture_carries_its_title_scale_and_attribution():
    from mndt.maps.rasters import KINDS, Raster
    from mndt.pictures.rasters import raster_map

    city = small_city()
    raster = Raster(np.linspace(-120.0, -60.0, 2400, dtype=np.float32).reshape(60, 40), 5.0, KINDS["gain"])
    fig = raster_map(city, raster.values, 5.0, files.look_of(city, raster), title="gain of x", lines=["one", "two"])
    written = {text.get_text() for axes in fig.axes for text in axes.texts}
    assert {"gain of x", "one", "two", "N", "50 m", "© Mapmakers"} <= written
    assert any(axes.get_xlabel() == "gain, antenna included (dB)" for axes in fig.axes)
