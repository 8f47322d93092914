"""Traces of many stations: one after the other, each kept on disk as soon as it is made.

The ray tracer uses all cores for one station, so stations side by side would only share them. A
killed run finds the traces it has finished in the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mndt.city.model import City
from mndt.parallel import track
from mndt.radio import cache
from mndt.radio.raytracing import Rays, Scene, TraceParameters, trace

if TYPE_CHECKING:
    from mndt.radio.ground import Ground, Place
    from mndt.radio.parameters import RadioParameters

TRACE_VERSION = 3
"""Raised whenever the same inputs give other traces."""


def trace_places(
    city: City, places: Sequence[Place], ground: Ground, parameters: RadioParameters, directory: Path
) -> dict[int, Rays]:
    """Reflected and scattered rays of every place, by its layer, from the cache or traced and kept there.

    Raises:
        InputError: the ray tracer is not installed, or would kill the process.
    """
    from mndt.city.raster import Raster

    scene = Scene.of(city)
    raster = Raster(ground.pixel_m, np.zeros_like(ground.depth_m), ground.building)
    wanted = TraceParameters(
        rays=round(parameters.rays_million * 1e6),
        line_of_sight=False,  # the direct path is known in closed form, and counts once
        ground=False,  # its image is part of TR 38.901's distance laws, and of the fading
        scattering=True,
        user_height_m=parameters.user_height_m,
    )
    found = {}
    for place in track(places, "tracing rays", len(places)):
        key = _key(scene, place, ground, wanted)
        arrays = cache.load(directory, key)
        if arrays is None:
            rays = trace(
                scene, place.x_m, place.y_m, place.height_m, place.carrier_ghz, raster, wanted, own=place.transparent
            )
            arrays = rays.arrays()
            cache.store(directory, key, arrays, f"{city.name}: rays of site {place.site}, {wanted.rays:,} launched")
        found[place.layer] = Rays.of_arrays(arrays)
    return found


def _key(scene: Scene, place: Place, ground: Ground, parameters: TraceParameters) -> str:
    """Hash of everything that a trace depends on."""
    numbers = (TRACE_VERSION, place.x_m, place.y_m, place.height_m, place.carrier_ghz, place.transparent)
    said = repr((*numbers, ground.pixel_m, ground.building.shape, parameters))
    digest = hashlib.sha256(said.encode())
    for array in (scene.vertices_m, scene.faces, ground.building):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]
