"""GeoTIFF written: rasters in a UTM frame, north up, as any GIS opens them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32

from mndt.errors import InputError
from mndt.files import whole_file

Array = np.ndarray

NODATA: Final = -9999.0


@dataclass(frozen=True)
class Band:
    """One raster; row 0 is the south."""

    name: str
    values: Float32[Array, "rows cols"]  # nan: no data
    unit: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def write(
    path: str | Path,
    bands: Sequence[Band],
    *,
    cell_m: float,
    epsg: int,
    west_m: float,
    south_m: float,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write bands of equal shape to one file: float32, compressed, `NODATA` where there is no value.

    Args:
        path: the file; it appears complete or not at all.
        bands: one or more.
        cell_m: edge of a pixel.
        epsg: of the metric frame.
        west_m, south_m: easting and northing of the lower-left corner.
        tags: about the whole, e.g. the attribution.

    Raises:
        InputError: the folder does not exist or may not be written.
    """
    import rasterio

    path, (rows, cols) = Path(path), bands[0].values.shape
    transform = rasterio.Affine(cell_m, 0.0, west_m, 0.0, -cell_m, south_m + rows * cell_m)  # line 0 is the north
    profile = {
        "driver": "GTiff", "width": cols, "height": rows, "count": len(bands), "dtype": "float32",
        "crs": f"EPSG:{epsg}", "transform": transform,
        "nodata": NODATA, "compress": "deflate", "predictor": 3, "tiled": min(rows, cols) > 256,
    }  # fmt: skip
    with whole_file(path) as part:
        try:
            part.touch()
        except OSError as error:
            fix = f"choose another place ({error.strerror})"
            raise InputError("--out", f"'{path}'", allowed="a file in a folder that exists", fix=fix) from error
        with rasterio.open(part, "w", **profile) as file:
            file.update_tags(**(tags or {}))
            for number, band in enumerate(bands, 1):
                north_first = band.values[::-1]
                file.write(np.where(np.isfinite(north_first), north_first, NODATA).astype(np.float32), number)
                file.set_band_description(number, band.name)
                file.set_band_unit(number, band.unit)
                if band.tags:
                    file.update_tags(number, **band.tags)
