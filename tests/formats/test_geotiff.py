"""A GeoTIFF opened again says the same values at the same places."""

import numpy as np
import pytest
import rasterio

from mndt.errors import InputError
from mndt.formats import geotiff

WEST_M, SOUTH_M, CELL_M = 385_412.0, 6_671_452.0, 5.0


def bands() -> list[geotiff.Band]:
    values = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    values[1, 2] = np.nan
    return [geotiff.Band("rsrp", values, "dBm"), geotiff.Band("server", -values, "", {"value_0": "a-1"})]


def write(path) -> None:
    geotiff.write(
        path, bands(), cell_m=CELL_M, epsg=32635, west_m=WEST_M, south_m=SOUTH_M, tags={"attribution": "© Mapmakers"}
    )


def test_values_lie_where_they_belong_north_up(tmp_path):
    write(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.crs.to_epsg() == 32635
        assert tuple(file.bounds) == (WEST_M, SOUTH_M, WEST_M + 20.0, SOUTH_M + 15.0)
        assert file.transform.e < 0.0 < file.transform.a  # the first line is the north
        for row, col in ((0, 0), (2, 3), (0, 3), (2, 0)):
            place = (WEST_M + (col + 0.5) * CELL_M, SOUTH_M + (row + 0.5) * CELL_M)
            assert next(file.sample([place])).tolist() == [4.0 * row + col, -(4.0 * row + col)]


def test_gaps_units_names_and_notices_travel_along(tmp_path):
    write(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.dtypes == ("float32", "float32")
        assert file.nodata == geotiff.NODATA
        assert file.read(1, masked=True).mask.sum() == 1
        assert file.read(1, masked=True).mask[1, 2]
        assert (file.descriptions, file.units) == (("rsrp", "server"), ("dBm", None))
        assert file.tags()["attribution"] == "© Mapmakers"
        assert file.tags(2)["value_0"] == "a-1"


def test_a_place_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path):
    with pytest.raises(InputError, match="a file in a folder that exists"):
        write(tmp_path / "none" / "a.tif")
    assert not list(tmp_path.iterdir())
