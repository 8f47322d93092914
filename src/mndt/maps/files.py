"""Radio maps as files: a picture, a GeoTIFF, or an overlay for Google Earth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from jaxtyping import Float64, UInt8

from mndt.errors import InputError
from mndt.files import whole_file
from mndt.maps.rasters import Raster

if TYPE_CHECKING:
    from mndt.city.model import City, Frame
    from mndt.formats.kml import Shape
    from mndt.pictures.rasters import Look

Array = np.ndarray

SUFFIXES: Final = (".png", ".tif", ".tiff", ".kml", ".kmz")
_FINER: Final = 3  # pixels of an overlay along the edge of one of the map, which lies askew to it


@dataclass(frozen=True)
class Sheet:
    """A map with what is written on it."""

    city: City
    raster: Raster
    title: str
    lines: tuple[str, ...] = ()
    cells: tuple[int, ...] = ()  # those it is about


def check_out(path: Path) -> None:
    """See that a file can be made, before minutes of work.

    Raises:
        InputError: another ending, or no such folder.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError("--out", f"'{path}'", allowed=f"a file {', '.join(SUFFIXES)}", fix="change the ending")
    if not path.parent.is_dir():
        raise InputError("--out", f"'{path}'", allowed="a file in a folder that exists", fix="make the folder first")


def write(path: Path, sheet: Sheet) -> list[Path]:
    """Write a map; the ending of the file decides what it is.

    Returns:
        The files written: a ``.kml`` has its pictures beside it.

    Raises:
        InputError: as `check_out`.
    """
    check_out(path)
    suffix = path.suffix.lower()
    if suffix in (".kml", ".kmz"):
        return write_kml(path, sheet)
    if suffix in (".tif", ".tiff"):
        write_geotiff(path, sheet.city, [sheet.raster], sheet.title)
        return [path]
    from mndt.pictures import to_png
    from mndt.pictures.rasters import raster_map

    raster = sheet.raster
    look = look_of(sheet.city, raster)
    fig = raster_map(
        sheet.city, raster.values, raster.cell_m, look, title=sheet.title, lines=sheet.lines, cells=sheet.cells
    )
    png = to_png(fig, palette=False)
    with whole_file(path) as part:
        part.write_bytes(png)
    return [path]


def look_of(city: City, raster: Raster) -> Look:
    """The colours of a map."""
    from mndt.pictures import rasters

    kind = raster.kind
    if kind.name == "los":
        return rasters.sight_look()
    if not kind.unit:
        return rasters.server_look(city, kind.title)
    worse_up = kind.better < 0
    if raster.difference:
        return rasters.change_look(
            raster.values, f"change of the {kind.title} ({raster.unit})", less_is_better=worse_up
        )
    return rasters.level_look(raster.values, f"{kind.label} ({kind.unit})", less_is_better=worse_up)


def write_geotiff(path: Path, city: City, rasters: Sequence[Raster], title: str) -> None:
    """The rasters as bands of one file, in the city's UTM frame."""
    from mndt.formats import geotiff

    frame = city.frame
    bands = [
        geotiff.Band(
            f"{raster.kind.name} change" if raster.difference else raster.kind.name,
            raster.values,
            raster.unit,
            {f"value_{row}": name for row, name in enumerate(raster.names)},
        )
        for raster in rasters
    ]
    geotiff.write(
        path, bands, cell_m=rasters[0].cell_m, epsg=frame.epsg, west_m=frame.origin_easting_m,
        south_m=frame.origin_northing_m, tags={"title": title, "attribution": city.attribution},
    )  # fmt: skip


def write_kml(path: Path, sheet: Sheet) -> list[Path]:
    """The raster laid over the ground, the cells as shapes on it, the legend in a corner of the screen."""
    from mndt.formats import kml
    from mndt.pictures import rasters, style

    look = look_of(sheet.city, sheet.raster)
    picture, box = onto_degrees(look.rgba(sheet.raster.values), sheet.raster.cell_m, sheet.city.frame)
    overlay = kml.Overlay(sheet.title, style.pixels_png(picture), *box)
    legend = style.to_png(rasters.legend_picture(look, sheet.title, sheet.lines))
    text = "; ".join(filter(None, (*sheet.lines, sheet.city.attribution)))
    return kml.write(path, sheet.title, overlay=overlay, shapes=_shapes(sheet), text=text, legend_png=legend)


def onto_degrees(
    image: UInt8[Array, "rows cols 4"], cell_m: float, frame: Frame
) -> tuple[UInt8[Array, "north_rows east_cols 4"], tuple[float, float, float, float]]:
    """An image of the metric frame on a grid of degrees, its first row in the north.

    UTM's north is not the meridian's, so the picture of the frame stands askew in degrees; every pixel takes
    the colour of the place it covers, those beyond the frame are see-through.

    Returns:
        The image, and its west, south, east and north end in degrees.
    """
    rows, cols = image.shape[:2]
    side = np.linspace(0.0, 1.0, 33)
    around_x = np.concatenate((side, side, 0 * side, 0 * side + 1)) * cols * cell_m
    around_y = np.concatenate((0 * side, 0 * side + 1, side, side)) * rows * cell_m
    longitude_deg, latitude_deg = _to_degrees(frame, around_x, around_y)
    west, south, east, north = longitude_deg.min(), latitude_deg.min(), longitude_deg.max(), latitude_deg.max()
    across, down = _FINER * cols, _FINER * rows
    east_deg = west + (np.arange(across) + 0.5) * (east - west) / across
    north_deg = north - (np.arange(down) + 0.5) * (north - south) / down
    x_m, y_m = _to_metres(frame, *np.meshgrid(east_deg, north_deg))
    col, row = np.floor(x_m / cell_m).astype(int), np.floor(y_m / cell_m).astype(int)
    inside = (col >= 0) & (col < cols) & (row >= 0) & (row < rows)
    out = np.zeros((down, across, 4), np.uint8)
    out[inside] = image[row[inside], col[inside]]
    return out, (float(west), float(south), float(east), float(north))


def _to_degrees(frame: Frame, x_m: Any, y_m: Any) -> tuple[Float64[Array, "..."], Float64[Array, "..."]]:
    from pyproj import Transformer

    transformer = Transformer.from_crs(frame.epsg, 4326, always_xy=True)
    longitude_deg, latitude_deg = transformer.transform(x_m + frame.origin_easting_m, y_m + frame.origin_northing_m)
    return np.asarray(longitude_deg), np.asarray(latitude_deg)


def _to_metres(frame: Frame, longitude_deg: Any, latitude_deg: Any) -> tuple[Array, Array]:
    from pyproj import Transformer

    easting_m, northing_m = Transformer.from_crs(4326, frame.epsg, always_xy=True).transform(
        longitude_deg, latitude_deg
    )
    return easting_m - frame.origin_easting_m, northing_m - frame.origin_northing_m


def _shapes(sheet: Sheet) -> list[Shape]:
    from mndt.formats.kml import Shape
    from mndt.pictures import layers

    city, shapes = sheet.city, []
    outlines, colours = layers.cell_outlines(city), layers.cell_colours(city)
    for row in sheet.cells or range(len(city.cells)):
        cells = city.cells
        text = (
            f"{city.sites.name[cells.site[row]]}, {cells.pattern[row]}, {cells.azimuth_deg[row]:.0f} deg, "
            f"tilt {cells.mechanical_tilt_deg[row]:g} + {cells.electrical_tilt_deg[row]:g} deg, "
            f"{cells.height_m[row]:g} m, {cells.carrier_hz[row] / 1e9:g} GHz"
        )
        shapes.append(Shape(cells.name[row], text, *_to_degrees(city.frame, *outlines[row].T), colours[row]))
    return shapes
