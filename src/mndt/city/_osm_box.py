"""The box of a map in degrees, and the metric frame that belongs to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from jaxtyping import Float64

from mndt.city.model import Frame
from mndt.errors import InputError

Array = np.ndarray

LARGEST_KM2: Final = 400.0
ALLOWED: Final = "west,south,east,north in degrees, west < east and south < north, latitudes -80 to 84"
_KM_PER_DEG: Final = 111.195  # of latitude, on the sphere of radius 6371 km
_STATIONS_PER_KM2, _USERS_PER_KM2 = 184 / 4, 13_000 / 4  # the paper's Table I
_SAMPLES_PER_SIDE: Final = 20


@dataclass(frozen=True)
class Box:
    """A box on the WGS 84 ellipsoid in degrees."""

    west: float
    south: float
    east: float
    north: float

    def __str__(self) -> str:
        return ",".join(f"{value:.6f}".rstrip("0").rstrip(".") for value in self.edges)

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        return self.west, self.south, self.east, self.north

    @property
    def rough_km2(self) -> float:
        """Area on the sphere, for checks of size."""
        width = (self.east - self.west) * math.cos(math.radians((self.south + self.north) / 2))
        return width * (self.north - self.south) * _KM_PER_DEG**2

    def grown(self, margin_m: float) -> Box:
        """The box with a margin on every side, kept on the globe."""
        lat = margin_m / 1000 / _KM_PER_DEG
        lon = lat / max(math.cos(math.radians(max(abs(self.south), abs(self.north)))), 0.05)
        return Box(
            max(self.west - lon, -180), max(self.south - lat, -90), min(self.east + lon, 180), min(self.north + lat, 90)
        )

    def overlap(self, other: Box) -> Box | None:
        """What two boxes share, None if nothing."""
        west, south = max(self.west, other.west), max(self.south, other.south)
        east, north = min(self.east, other.east), min(self.north, other.north)
        return Box(west, south, east, north) if west < east and south < north else None

    @property
    def flipped(self) -> Box:
        """The box with latitudes and longitudes exchanged."""
        return Box(self.south, self.west, self.north, self.east)


def _refused(value: object, fix: str) -> InputError:
    return InputError("bbox", value, allowed=ALLOWED, fix=fix)


def parse_box(value: Sequence[float] | str) -> Box:
    """A box from four numbers or from the text "W,S,E,N".

    Raises:
        InputError: not four numbers, no such place, no size, or its edges in the wrong order.

    >>> str(parse_box("24.93,60.16,24.95,60.18"))
    '24.93,60.16,24.95,60.18'
    """
    plain = isinstance(value, str) or not hasattr(value, "__iter__")
    given = value if plain else ",".join(map(str, value))
    try:
        numbers = [float(part) for part in str(given).split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise _refused(f"'{given}'", "give four numbers")
    box = Box(*numbers)
    if max(abs(box.south), abs(box.north)) > 84 >= max(abs(box.west), abs(box.east)):
        raise _refused(box, f"latitude and longitude look swapped, did you mean {box.flipped}?")
    if max(abs(box.west), abs(box.east)) > 180 or box.south < -80 or box.north > 84:
        raise _refused(box, "use WGS 84 degrees, not metres of a map projection")
    if box.west == box.east or box.south == box.north:
        raise _refused(box, "the box has no size, move its corners apart")
    if box.west > box.east or box.south > box.north:
        east, north = max(box.west, box.east), max(box.south, box.north)
        west, south = min(box.west, box.east), min(box.south, box.north)
        raise _refused(box, f"the edges are in the wrong order, did you mean {Box(west, south, east, north)}?")
    return box


def choose_box(asked: Box | None, extract: Box | None) -> Box | None:
    """The box to read: what was asked for, cut to what the extract holds; None = everything.

    Raises:
        InputError: the two do not overlap, or the box is larger than `LARGEST_KM2`.
    """
    box = asked or extract
    if asked is not None and extract is not None:
        box = asked.overlap(extract)
        if box is None:
            swapped = asked.flipped.overlap(extract) is not None
            fix = f"latitude and longitude look swapped, did you mean {asked.flipped}?" if swapped else "move the box"
            raise InputError("bbox", asked, allowed=f"inside the extract's own box {extract}", fix=fix)
    if box is not None and box.rough_km2 > LARGEST_KM2:
        km2 = box.rough_km2
        raise InputError(
            "bbox" if asked else "box of the extract",
            f"{box} ({km2:,.0f} km2)",
            allowed=f"up to {LARGEST_KM2:.0f} km2",
            fix=f"at the paper's density it would hold {km2 * _STATIONS_PER_KM2:,.0f} stations and "
            f"{km2 * _USERS_PER_KM2:,.0f} users, give a smaller box west,south,east,north",
        )
    return box


def covering(lon_lat: Float64[Array, "points 2"]) -> Box:
    """The box around points, for an extract that names none.

    Raises:
        InputError: the box is larger than `LARGEST_KM2`.
    """
    low, high = np.round(lon_lat.min(axis=0), 7), np.round(lon_lat.max(axis=0), 7)
    box = Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    return choose_box(None, box) or box


def utm_epsg(lon_deg: float, lat_deg: float) -> int:
    """EPSG code of the UTM zone of a place, with the wider zones of Norway and Svalbard.

    >>> utm_epsg(24.94, 60.17), utm_epsg(151.2, -33.9), utm_epsg(5.3, 60.4)
    (32635, 32756, 32632)
    """
    zone = min(int((lon_deg + 180) // 6) + 1, 60)
    if 56 <= lat_deg < 64 and 3 <= lon_deg < 12:
        zone = 32
    elif lat_deg >= 72 and 0 <= lon_deg < 42:
        zone = 31 + 2 * int((lon_deg + 3) // 12)
    return (32600 if lat_deg >= 0 else 32700) + zone


@dataclass(frozen=True)
class Ground:
    """A box, its frame, and the way from degrees to metres.

    Meridians and parallels are slightly turned and bent in UTM. The frame is the upright rectangle
    around the box, hence its narrow wedges beyond the box stay empty; `frame.area_km2` is the box itself.
    """

    box: Box
    frame: Frame

    @cached_property
    def _transform(self) -> Any:
        return _transformer(self.frame.epsg)

    def to_xy(self, lon_lat: Float64[Array, "points 2"]) -> Float64[Array, "points 2"]:
        """Metres east and north of the frame's lower-left corner."""
        x, y = self._transform(lon_lat[:, 0], lon_lat[:, 1])
        return np.column_stack([x - self.frame.origin_easting_m, y - self.frame.origin_northing_m])


def _transformer(epsg: int) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs(4326, epsg, always_xy=True).transform


def ground_of(box: Box) -> Ground:
    """The frame of a box: UTM zone of its centre, origin at the lower-left corner."""
    epsg = utm_epsg((box.west + box.east) / 2, (box.south + box.north) / 2)
    t = np.arange(_SAMPLES_PER_SIDE) / _SAMPLES_PER_SIDE
    side, zero, one = t, np.zeros_like(t), np.ones_like(t)
    lon = box.west + (box.east - box.west) * np.concatenate([side, one, 1 - side, zero])
    lat = box.south + (box.north - box.south) * np.concatenate([zero, side, one, 1 - side])
    x, y = _transformer(epsg)(lon, lat)
    west, south = math.floor(x.min()), math.floor(y.min())
    width, depth = math.ceil(x.max()) - west, math.ceil(y.max()) - south
    x, y = x - west, y - south  # near zero, lest large products cancel
    area_m2 = 0.5 * abs(float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)))
    return Ground(box, Frame(epsg, float(west), float(south), float(width), float(depth), area_m2 / 1e6))
