"""KML that other programs can read: well-formed, pictures found, positions in degrees."""

import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.formats import kml

SPACE = "{http://www.opengis.net/kml/2.2}"
OVERLAY = kml.Overlay("gain <dB>", b"picture", 24.93, 60.16, 24.95, 60.18)
SHAPE = kml.Shape("a & b", "25 m", np.array([24.94, 24.95, 24.94]), np.array([60.17, 60.17, 60.18]), "#0072b2")


def write(path):
    return kml.write(path, "A & B", overlay=OVERLAY, shapes=[SHAPE], text="© Mapmakers", legend_png=b"legend")


def test_a_kmz_holds_everything(tmp_path):
    assert write(tmp_path / "a.kmz") == [tmp_path / "a.kmz"]
    with zipfile.ZipFile(tmp_path / "a.kmz") as archive:
        assert archive.namelist() == ["doc.kml", "map.png", "legend.png"]
        assert archive.read("map.png") == b"picture"
        root = ElementTree.fromstring(archive.read("doc.kml"))
    assert [href.text for href in root.iter(f"{SPACE}href")] == ["map.png", "legend.png"]
    box = root.find(f".//{SPACE}LatLonBox")
    assert {part.tag.removeprefix(SPACE): float(part.text) for part in box} == {
        "north": 60.18, "south": 60.16, "east": 24.95, "west": 24.93,
    }  # fmt: skip
    assert root.find(f".//{SPACE}Placemark/{SPACE}name").text == "a & b"
    points = root.find(f".//{SPACE}coordinates").text.split()
    assert (len(points), points[0], points[-1]) == (4, "24.9400000,60.1700000,0", "24.9400000,60.1700000,0")
    assert root.find(f".//{SPACE}PolyStyle/{SPACE}color").text == "d9b27200"


def test_a_kml_has_its_pictures_beside_it(tmp_path):
    written = write(tmp_path / "a.kml")
    assert [path.name for path in written] == ["a.kml", "a-map.png", "a-legend.png"]
    root = ElementTree.parse(tmp_path / "a.kml").getroot()
    for href in root.iter(f"{SPACE}href"):
        assert (tmp_path / href.text).is_file()


def test_the_same_map_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.kmz")
    assert (tmp_path / "a.kmz").read_bytes() == (tmp_path / "b.kmz").read_bytes()


@pytest.mark.parametrize("name", ["none/a.kml", "none/a.kmz"])
def test_a_place_that_cannot_be_written_is_told(tmp_path, name):
    with pytest.raises(InputError, match="a file in a folder that exists"):
        write(tmp_path / name)
    assert not list(tmp_path.iterdir())
