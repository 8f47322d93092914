"""Which column of a travel diary holds what, under the names people give them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_FROM: Final = ("from", "origin", "orig", "o", "start", "dep", "departure")
_TO: Final = ("to", "destination", "dest", "d", "end", "arr", "arrival")

PLAIN: Final = {
    "person": ("person", "person_id", "personid", "pid", "user", "user_id", "userid", "uid", "id", "agent", "agent_id",
               "individual", "traveller", "respondent"),
    "date": ("date", "day_date", "travel_date"),
    "day": ("day", "day_index", "day_id", "day_number", "travel_day", "day_no"),
    "weekday": ("weekday", "day_of_week", "dow", "week_day", "weekday_name"),
    "departure": ("departure", "departure_time", "departure_s", "depart", "depart_time", "depart_s", "dep_time",
                  "start_time", "start", "t_start", "begin", "leave", "left", "t_dep", "time_of_departure",
                  "started_at", "dep", "start_s", "departure_time_s"),
    "arrival": ("arrival", "arrival_time", "arrival_s", "arrive", "arrive_time", "arrive_s", "arr_time", "end_time",
                "end", "t_end", "reach", "t_arr", "time_of_arrival", "finished_at", "arr", "end_s",
                "arrival_time_s"),
    "purpose": ("purpose", "activity", "activity_type", "trip_purpose", "to_purpose", "motive", "reason", "act"),
    "mode": ("mode", "travel_mode", "transport_mode", "main_mode", "means", "transport"),
}  # fmt: skip

_BASES: Final = {
    "x": ("x", "x_m", "x_km", "easting", "xm"),
    "y": ("y", "y_m", "y_km", "northing", "ym"),
    "lon": ("lon", "longitude", "lng", "long", "lon_deg"),
    "lat": ("lat", "latitude", "lat_deg"),
    "place": ("place", "place_id", "zone", "zone_id", "location", "location_id", "loc", "area", "area_id", "poi", "id"),
}

_UNITS: Final = ("s", "sec", "seconds", "min", "minutes", "h", "hours")


def plain(name: str) -> str:
    """A column's name in small letters, digits and underscores."""
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


def find(columns: Sequence[str]) -> dict[str, str]:
    """The column of each of our names that is there: those of `PLAIN`, and x, y, lon, lat, place alone and
    with ``from_`` and ``to_`` before them.

    >>> find(["uid", "Origin X (m)", "dep_time", "lat_to"])
    {'person': 'uid', 'departure': 'dep_time', 'from_x': 'Origin X (m)', 'to_lat': 'lat_to'}
    """
    named: dict[str, str] = {}
    for column in columns:
        named.setdefault(plain(column), column)
    found: dict[str, str] = {}
    for ours, names in PLAIN.items():
        variants = [*names]
        if ours in ("departure", "arrival"):
            variants += [f"{name}_{unit}" for name in names for unit in _UNITS]
        first = next((named[name] for name in variants if name in named), None)
        if first is not None:
            found[ours] = first
    for base, names in _BASES.items():
        for side, prefixes in (("from_", _FROM), ("to_", _TO)):
            variants = [w for name in names for p in prefixes for w in (f"{p}_{name}", f"{name}_{p}", f"{p}{name}")]
            if base == "place":
                variants += list(prefixes[:3])
            used = set(found.values())
            first = next((named[name] for name in variants if name in named and named[name] not in used), None)
            if first is not None:
                found[side + base] = first
        first = next((named[name] for name in names if name in named and named[name] not in found.values()), None)
        if first is not None and (base != "place" or first.lower() != "id"):
            found[base] = first
    return found


def scale(column: str) -> float:
    """Metres that one unit of a column of coordinates stands for."""
    return 1000.0 if plain(column).endswith("_km") or "_km_" in plain(column) else 1.0
