"""One incident with its names, places and times resolved in a city."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from jaxtyping import Bool, Int

from mndt.city.model import City, Frame
from mndt.city.schema import SERVICES
from mndt.errors import InputError
from mndt.network.incident_parameters import Incident
from mndt.state import Mode, Users

Array = np.ndarray


@dataclass(frozen=True)
class Plan:
    """One incident with its names resolved in a city."""

    kind: str
    begin_s: int
    dark_s: int  # power-cut: first second without batteries
    end_s: int
    target: str  # for the log
    cells: Int[Array, "hit"]  # rows of the cells that fail or are cut off
    area: int  # row of Areas, -1 = a circle
    x_m: float
    y_m: float
    radius_m: float
    magnitude: float  # factor on bits
    share: float
    service: int  # row of SERVICES, -1 = their mix

    def under_way(self, time_s: int) -> bool:
        """Whether it is on in the second that begins at `time_s`."""
        return self.begin_s <= time_s < self.end_s

    def inside(self, users: Users) -> Bool[Array, "users"]:
        """Who is at its place."""
        if self.area >= 0:
            return np.asarray(users.area == self.area)
        dx_m, dy_m = users.x_m - np.float32(self.x_m), users.y_m - np.float32(self.y_m)
        near = dx_m * dx_m + dy_m * dy_m <= np.float32(self.radius_m * self.radius_m)
        return np.asarray(near & (users.mode != Mode.ABSENT))


def resolve(incident: Incident, city: City, *, demand_scale: float, where: str) -> Plan:
    """Find what an incident names.

    Args:
        incident: checked.
        city: in which it happens.
        demand_scale: factor on the sessions of special events.
        where: which incident it is, for messages.

    Raises:
        InputError: a name is unknown, or a place is outside the map.
    """
    x_m, y_m, radius_m = _circle(incident, city.frame, where)
    cells = np.zeros(0, np.intp)
    if incident.cell is not None:
        cells = np.array([_row("cell", incident.cell, city.cells.name, where)])
        target = incident.cell
    elif incident.site is not None:
        cells = np.flatnonzero(city.cells.site == _row("site", incident.site, city.sites.name, where))
        target = incident.site
    elif incident.area is not None:
        if incident.area >= len(city.areas):
            allowed = (
                f"a whole number from 0 to {len(city.areas) - 1}" if len(city.areas) else "nothing: none is mapped"
            )
            raise InputError(
                "area", incident.area, allowed=allowed, fix="choose another, or give a circle", where=where
            )
        target = f"area {incident.area}"
    else:
        target = f"circle of {radius_m:g} m around x {x_m:.0f} m, y {y_m:.0f} m"
        if incident.kind == "power-cut":
            cells = _cells_within(city, x_m, y_m, radius_m, where)
    event = incident.kind == "special-event"
    magnitude = 1.0 if incident.magnitude is None else incident.magnitude
    return Plan(
        kind=incident.kind,
        begin_s=incident.begin_s,
        dark_s=incident.dark_s,
        end_s=incident.end_s,
        target=target,
        cells=cells,
        area=-1 if incident.area is None else incident.area,
        x_m=x_m,
        y_m=y_m,
        radius_m=radius_m,
        magnitude=magnitude * demand_scale if event else magnitude,
        share=0.5 if incident.share is None else incident.share,
        service=-1 if incident.service is None else [s.name for s in SERVICES].index(incident.service),
    )


def _row(field: str, name: str, names: Sequence[str], where: str) -> int:
    if name in names:
        return names.index(name)
    close = get_close_matches(name, names, n=3, cutoff=0.5) or list(names[:3])
    fix = f"did you mean {' or '.join(repr(other) for other in close)}?" if close else "use another city"
    raise InputError(field, f"'{name}'", allowed=f"the name of one of {len(names)} {field}s", fix=fix, where=where)


def _circle(incident: Incident, frame: Frame, where: str) -> tuple[float, float, float]:
    """Centre and radius in metres of the map; zeros without a circle."""
    if incident.radius_m is None:
        return 0.0, 0.0, 0.0
    if incident.x_m is not None and incident.y_m is not None:
        x_m, y_m, shown = incident.x_m, incident.y_m, f"x_m {incident.x_m:g}, y_m {incident.y_m:g}"
    else:
        from pyproj import Transformer

        to_utm = Transformer.from_crs(4326, frame.epsg, always_xy=True)
        easting_m, northing_m = to_utm.transform(incident.longitude_deg, incident.latitude_deg)
        x_m, y_m = easting_m - frame.origin_easting_m, northing_m - frame.origin_northing_m
        shown = f"latitude_deg {incident.latitude_deg:g}, longitude_deg {incident.longitude_deg:g}"
    off_x_m, off_y_m = max(-x_m, 0.0, x_m - frame.width_m), max(-y_m, 0.0, y_m - frame.depth_m)
    if not math.hypot(off_x_m, off_y_m) <= incident.radius_m:  # infinite when a projection has no answer
        raise InputError(
            "the centre", shown, fix="move the circle onto the map", where=where,
            allowed=f"on or within radius_m of the map of {frame.width_m:.0f} x {frame.depth_m:.0f} m",
        )  # fmt: skip
    return x_m, y_m, incident.radius_m


def _cells_within(city: City, x_m: float, y_m: float, radius_m: float, where: str) -> Int[Array, "hit"]:
    """Cells of the stations within a circle: one at least."""
    distance_m = np.hypot(city.sites.x_m - x_m, city.sites.y_m - y_m)[city.cells.site]
    cells = np.flatnonzero(distance_m <= radius_m)
    if not len(cells):
        nearest = int(np.argmin(distance_m))
        name = city.sites.name[int(city.cells.site[nearest])]
        allowed = f"at least {math.ceil(distance_m[nearest])}, where station '{name}' is"
        raise InputError("radius_m", f"{radius_m:g}", allowed=allowed, fix="widen or move the circle", where=where)
    return cells
