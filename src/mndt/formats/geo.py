"""Positions of files, in degrees or in metres of a SUMO net, as metres in a city's box."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from mndt.errors import InputError

Array = np.ndarray


@dataclass(frozen=True)
class Box:
    """Where a city's metres begin: a UTM zone and the point (0, 0) of the city in it."""

    epsg: int
    origin_easting_m: float
    origin_northing_m: float

    def from_degrees(self, lon_deg: Array, lat_deg: Array) -> tuple[Float64[Array, "n"], Float64[Array, "n"]]:
        """Metres of WGS 84 positions."""
        east, north = _transformer(4326, self.epsg).transform(lon_deg, lat_deg)
        return np.asarray(east) - self.origin_easting_m, np.asarray(north) - self.origin_northing_m


@dataclass(frozen=True)
class NetPlace:
    """How a SUMO net lies on the earth, from its <location>, or in the city, by a given offset.

    The net's coordinates are projected ones plus `shift_m` (netOffset). Without a projection,
    `offset_m` is where the net's origin lies in the city's box.
    """

    projection: str = "!"
    shift_m: tuple[float, float] = (0.0, 0.0)
    offset_m: tuple[float, float] | None = None

    def metres(self, box: Box, x: Array, y: Array) -> tuple[Float64[Array, "n"], Float64[Array, "n"]]:
        """The net's coordinates as metres in the city's box."""
        if self.offset_m is not None:
            return np.asarray(x, float) + self.offset_m[0], np.asarray(y, float) + self.offset_m[1]
        east, north = np.asarray(x, float) - self.shift_m[0], np.asarray(y, float) - self.shift_m[1]
        lon, lat = _transformer(self.projection, 4326).transform(east, north)
        return box.from_degrees(lon, lat)


@lru_cache(maxsize=8)
def _transformer(source: int | str, target: int | str) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs(source, target, always_xy=True)


def net_place(path: str | Path, offset_m: tuple[float, float] | None = None) -> NetPlace:
    """How a SUMO net lies on the earth; only the head of the file is read.

    Args:
        path: the .net.xml, plain or gzip.
        offset_m: where its origin lies in the city's box; needed for nets without a projection.

    Raises:
        InputError: no net, or neither a projection nor an offset.
    """
    if offset_m is not None:
        return NetPlace(offset_m=offset_m)
    from mndt.formats._sumo_xml import Element, read_sumo_xml

    found: list[NetPlace] = []

    def location(element: Element) -> None:
        shift = element.shape("netOffset")
        found.append(NetPlace(element.text("projParameter", "!"), shift[0] if shift else (0.0, 0.0)))

    def rest(element: Element) -> None:
        raise _EnoughError

    with suppress(_EnoughError):
        read_sumo_xml(Path(path), ("net",), {"location": location, "edge": rest, "junction": rest}, {})
    place = found[0] if found else NetPlace()
    if place.projection in ("!", "-", "."):
        raise InputError(
            "projParameter", f"'{place.projection}'", allowed="a net with a projection",
            fix="say with mobility.offset_m where the net's origin lies in the city", where=str(path),
        )  # fmt: skip
    try:
        _transformer(place.projection, 4326)
    except Exception as error:  # whatever PROJ finds wrong with it
        raise InputError(
            "projParameter", f"'{place.projection}'", allowed="a projection that PROJ knows",
            fix="correct the net, or give mobility.offset_m", where=str(path),
        ) from error  # fmt: skip
    return place


class _EnoughError(Exception):
    """The head has been read."""
