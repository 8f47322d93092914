"""Terrain from small files made here."""

import gzip

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.formats import terrain

ROWS, COLS, CELL_M = 5, 7, 5.0
GROUND_M = np.arange(ROWS * COLS, dtype=float).reshape(ROWS, COLS) + 10
BUILDING_M = np.where(np.arange(ROWS * COLS).reshape(ROWS, COLS) % 4 == 0, 12.0, 0.0)


def points(keep=lambda row, col: True):
    """Easting, northing, ground and building of every cell, in a random order."""
    rows = [
        (1000 + (col + 0.5) * CELL_M, 2000 + (row + 0.5) * CELL_M, GROUND_M[row, col], BUILDING_M[row, col])
        for row in range(ROWS)
        for col in range(COLS)
        if keep(row, col)
    ]
    return np.random.default_rng(0).permutation(rows)


def write(path, header, rows, separator=",", decimal="."):
    lines = [separator.join(header), *(separator.join(str(v).replace(".", decimal) for v in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


HEADER = ("x", "y", "ground_m", "building_m")


def test_a_table_in_any_order_is_a_grid(tmp_path):
    got, info = terrain.read(write(tmp_path / "t.csv", HEADER, points()))
    assert (got.cell_m, got.origin_x_m, got.origin_y_m, got.epsg) == (5.0, 1000.0, 2000.0, None)
    np.testing.assert_array_equal(got.ground_m, GROUND_M)
    np.testing.assert_array_equal(got.building_m, BUILDING_M)
    assert (info.kind, info.ground_gaps, info.repeated, info.resampled) == ("table", 0, 0, False)


@pytest.mark.parametrize(("separator", "decimal"), [(";", ","), ("\t", "."), (";", ".")])
def test_separators_decimal_commas_and_names_in_use_are_understood(tmp_path, separator, decimal):
    header = ("X", "Easting of nothing", "Y", "Altitude", "Building Height", "Clutter Index")
    rows = [(x, 0, y, ground, building, 3) for x, y, ground, building in points()]
    got, _ = terrain.read(write(tmp_path / "t.txt", header, rows, separator, decimal))
    np.testing.assert_array_equal(got.ground_m, GROUND_M)
    np.testing.assert_array_equal(got.building_m, BUILDING_M)


def test_a_compressed_table_is_read(tmp_path):
    plain = write(tmp_path / "t.csv", HEADER, points())
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert terrain.read(tmp_path / "t.csv.gz")[0].ground_m[4, 6] == GROUND_M[4, 6]


def test_gaps_are_counted_and_filled_from_the_nearest_cell(tmp_path):
    got, info = terrain.read(write(tmp_path / "t.csv", HEADER, points(lambda row, col: (row, col) != (0, 3))))
    assert (info.ground_gaps, info.building_gaps) == (1, 1)
    assert got.ground_m[0, 3] in (GROUND_M[0, 2], GROUND_M[0, 4], GROUND_M[1, 3])
    assert got.building_m[0, 3] == 0.0


def test_empty_heights_are_gaps_too(tmp_path):
    rows = [list(map(str, row)) for row in points()]
    rows[3][2], rows[4][3] = "", "NaN"
    _, info = terrain.read(write(tmp_path / "t.csv", HEADER, rows))
    assert (info.ground_gaps, info.building_gaps) == (1, 1)


def test_a_place_given_twice_counts_once(tmp_path):
    rows = points()
    got, info = terrain.read(write(tmp_path / "t.csv", HEADER, [*rows, rows[5]]))
    assert info.repeated == 1
    np.testing.assert_array_equal(got.ground_m, GROUND_M)


def test_without_buildings_there_are_none(tmp_path):
    got, _ = terrain.read(write(tmp_path / "t.csv", HEADER[:3], points()[:, :3]))
    assert got.building_m is None


def test_degrees_become_metres_of_the_utm_zone(tmp_path):
    from pyproj import Transformer

    x, y = np.meshgrid(385_000 + 5.0 * np.arange(8), 6_672_000 + 5.0 * np.arange(6))
    lon, lat = Transformer.from_crs(32635, 4326, always_xy=True).transform(x.ravel(), y.ravel())
    rows = zip(lon.round(9), lat.round(9), (x - 385_000).ravel(), strict=True)
    got, info = terrain.read(write(tmp_path / "t.csv", ("lon", "lat", "ground_m"), list(rows)))
    assert got.epsg == 32635
    assert got.cell_m == pytest.approx(5.0, abs=0.002)
    assert (got.origin_x_m, got.origin_y_m) == pytest.approx((384_997.5, 6_671_997.5), abs=0.01)
    np.testing.assert_allclose(got.ground_m[0], 5.0 * np.arange(8), atol=1e-3)
    assert info.ground_gaps == 0


def test_a_slanted_grid_is_laid_straight(tmp_path):
    u, v = np.meshgrid(np.arange(40) * 5.0, np.arange(30) * 5.0)
    turn = np.deg2rad(20.0)
    x, y = u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)
    rows = list(zip(x.ravel(), y.ravel(), (0.1 * x + 0.2 * y).ravel() + 50, strict=True))
    got, info = terrain.read(write(tmp_path / "t.csv", HEADER[:3], rows))
    assert info.resampled
    rows_, cols = got.ground_m.shape
    middle = got.ground_m[rows_ // 2, cols // 2]
    at_x, at_y = got.origin_x_m + (cols // 2 + 0.5) * 5, got.origin_y_m + (rows_ // 2 + 0.5) * 5
    assert middle == pytest.approx(0.1 * at_x + 0.2 * at_y + 50, abs=0.8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no grid"),
        ("x,y,ground_m\n", "no grid"),
        ("x,y,height_over_moon\n1,2,3\n", "column ground_m is missing"),
        ("a,b,ground_m\n1,2,3\n", "column lon is missing"),
        ("x,y,ground_m\n1,2,3\n1,oops,3\n", "line 3: y is 'oops'"),
        ("x,y,ground_m\n1,2,3\n6,2,nix\n", "line 3: ground_m is 'nix'"),
        ("x,y,ground_m\n1,2,3\n6,nan,3\n", "line 3: y is 'nan'"),
        ("x,y,ground_m\n1,2,3\n6,2\n", "empty everywhere|points is"),
        ("x,y,ground_m\n1,2,3\n6,2,3\n", "points is 2"),
        ("lon,lat,ground_m\n385000,6672000,3\n385005,6672000,3\n", "lon is 385005"),
        ("x,y,ground_m\n1,2,\n6,2,\n1,7,\n6,7,\n", "empty everywhere"),
        ("x,y,ground_m\n0,0,1\n1,0,1\n0,1,1\n1,1,1\n900000,900000,1\n", "grid is"),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(tmp_path, text, words):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        terrain.read(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        terrain.read(tmp_path / "nowhere.tif")


def north_up(west, north, wide, high):
    from rasterio.transform import Affine

    return Affine(wide, 0.0, west, 0.0, -high, north)


def save_tiff(path, bands, transform=None, crs="EPSG:32635", nodata=-9999.0):
    rasterio = pytest.importorskip("rasterio")
    transform = north_up(1000, 2000 + ROWS * CELL_M, CELL_M, CELL_M) if transform is None else transform
    height, width = bands[0].shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=len(bands), dtype="float32",
        crs=crs, transform=transform, nodata=nodata,
    ) as out:  # fmt: skip
        for k, band in enumerate(bands, start=1):
            out.write(np.asarray(band, np.float32)[::-1], k)
    return path


def test_a_geotiff_of_two_bands_has_ground_and_buildings(tmp_path):
    path = save_tiff(tmp_path / "t.tif", [GROUND_M, BUILDING_M])
    got, info = terrain.read(path, epsg=32635)
    assert (got.cell_m, got.origin_x_m, got.origin_y_m, got.epsg) == (5.0, 1000.0, 2000.0, 32635)
    np.testing.assert_array_equal(got.ground_m, GROUND_M)
    np.testing.assert_array_equal(got.building_m, BUILDING_M)
    assert (info.kind, info.resampled) == ("geotiff", False)


def test_values_that_mean_none_are_gaps(tmp_path):
    hole = GROUND_M.copy()
    hole[2, 2] = -9999.0
    got, info = terrain.read(save_tiff(tmp_path / "t.tif", [hole]))
    assert info.ground_gaps == 1
    assert got.ground_m[2, 2] in (GROUND_M[1, 2], GROUND_M[3, 2], GROUND_M[2, 1], GROUND_M[2, 3])
    assert got.building_m is None


def test_buildings_may_come_in_a_file_of_their_own_and_on_a_finer_grid(tmp_path):
    fine = north_up(1000, 2000 + ROWS * CELL_M, CELL_M / 5, CELL_M / 5)
    buildings = save_tiff(tmp_path / "b.tif", [np.kron(BUILDING_M, np.ones((5, 5)))], fine)
    got, _ = terrain.read(save_tiff(tmp_path / "g.tif", [GROUND_M]), buildings)
    np.testing.assert_array_equal(got.building_m, BUILDING_M)


def test_a_geotiff_in_degrees_is_laid_onto_the_frame_asked_for(tmp_path):
    from pyproj import Transformer

    east = np.tile(np.arange(100.0), (60, 1))
    path = save_tiff(tmp_path / "t.tif", [east], north_up(24.93, 60.18, 1e-4, 5e-5), "EPSG:4326")
    got, info = terrain.read(path, epsg=32635)
    assert info.resampled
    assert got.epsg == 32635
    x, y = Transformer.from_crs(4326, 32635, always_xy=True).transform(24.93 + 50.5e-4, 60.18 - 30.5 * 5e-5)
    row, col = int((y - got.origin_y_m) / got.cell_m), int((x - got.origin_x_m) / got.cell_m)
    assert got.ground_m[row, col] == pytest.approx(50.0, abs=1.0)
    assert terrain.read(path)[0].epsg == 32635


def test_an_image_without_a_position_is_refused(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = save_tiff(tmp_path / "t.tif", [GROUND_M], rasterio.Affine.identity(), None)
    with pytest.raises(InputError, match="position is missing"):
        terrain.read(path)


def test_a_damaged_geotiff_is_refused(tmp_path):
    path = tmp_path / "t.tif"
    path.write_bytes(b"II*\x00" + b"\x07" * 50)
    with pytest.raises(InputError, match="a complete GeoTIFF"):
        terrain.read(path)


def test_a_second_file_beside_a_table_is_refused(tmp_path):
    path = write(tmp_path / "t.csv", HEADER, points())
    with pytest.raises(InputError, match="beside a GeoTIFF only"):
        terrain.read(path, path)
