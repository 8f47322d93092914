"""A world of a few cells that steps in milliseconds, built once for all tests of plants and plans."""

from __future__ import annotations

from functools import cache

from mndt.city.synthetic import synthetic_city
from mndt.radio.parameters import RadioParameters
from mndt.world import World, build_world


@cache
def small_world() -> World:
    city = synthetic_city(lanes=120, areas=30, outdoor_sites=2, indoor_sites=3, size_m=400.0)
    return build_world(city, radio=RadioParameters(engine="tr38901", resolution_m=8.0))
