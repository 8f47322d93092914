"""Gain maps: built once per city, kept on disk, aimed per cell, looked up every second.

Two kinds of map share one encoding. A level q (int16) holds a gain of ``(q >> 1) / 64`` dB, and its
lowest bit tells line of sight. Row 0 is the south, pixel (row, col) is centred on
((col + 0.5) cell_m, (row + 0.5) cell_m), and all layers or cells of a pixel lie side by side.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int16

from mndt.city.model import City
from mndt.errors import InputError
from mndt.radio import cache, statistical
from mndt.radio.aiming import GainMaps, aim, coverage_dbm, re_aim
from mndt.radio.departures import DepartureMaps, straight
from mndt.radio.ground import Place, each_place, lay_ground, place_of
from mndt.radio.layers import LARGEST_DB, STEPS_PER_DB, Layers, encode, layers_of
from mndt.radio.parameters import RadioParameters

__all__ = [
    "LARGEST_DB",
    "STEPS_PER_DB",
    "GainMaps",
    "RadioParameters",
    "SiteMaps",
    "aim",
    "build_maps",
    "coverage_dbm",
    "encode",
    "estimate",
    "re_aim",
]

Array = np.ndarray

ENGINE_VERSION = 2
"""Raised whenever the same inputs give other maps: it is part of the cache key."""


@dataclass(frozen=True)
class SiteMaps:
    """Loss from every place of transmission, as negative gain, without antenna patterns."""

    cell_m: float
    level: Int16[Array, "rows cols layers"]  # read-only, usually memory-mapped
    layers: Layers
    user_height_m: float
    departures: DepartureMaps | None = None  # None: every link leaves straight for its pixel

    @property
    def nbytes(self) -> int:
        """Size of levels and departures in bytes."""
        return int(self.level.nbytes) + (self.departures.nbytes if self.departures else 0)

    def loss_db(self) -> Float32[Array, "rows cols layers"]:
        """L_d + L_s in positive dB, unpacked."""
        return np.asarray((self.level >> 1) / np.float32(-STEPS_PER_DB), dtype=np.float32)

    def sight(self) -> Bool[Array, "rows cols layers"]:
        """Line of sight, unpacked."""
        return (self.level & 1).astype(bool)


def build_maps(
    city: City,
    parameters: RadioParameters,
    *,
    seed: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
) -> SiteMaps:
    """The loss from every site to every pixel, from the cache or computed and kept there.

    Args:
        city: buildings, sites and cells.
        parameters: propagation model; fading and noise do not enter the maps.
        seed: of shadowing, wall losses and indoor line of sight.
        cache_dir: where maps are kept; see `mndt.radio.cache.cache_directory`.
        n_jobs: layers computed at a time; default all cores. The result does not depend on it.

    Raises:
        InputError: a city without cells.
    """
    if not len(city.cells):
        raise InputError(
            "cells", 0, allowed="at least 1", fix="place sites or read an inventory first", where=city.name
        )
    layers = layers_of(city)
    directory, key = cache.cache_directory(cache_dir), _key(city, layers, parameters, seed)
    arrays = cache.load(directory, key)
    if arrays is None:
        level, departures = _compute(city, layers, parameters, seed, directory, n_jobs)
        rows, cols, n = level.shape
        what = f"{city.name}: {n} layers of {rows} x {cols} pixels of {parameters.resolution_m:g} m, seed {seed}"
        arrays = {"level": level} | {part.name: getattr(departures, part.name) for part in fields(departures)}
        cache.store(directory, key, arrays, f"{what}, {parameters.engine}")
        level.flags.writeable = False
    departures = DepartureMaps(**{part.name: arrays[part.name] for part in fields(DepartureMaps)})
    return SiteMaps(parameters.resolution_m, arrays["level"], layers, parameters.user_height_m, departures)


def map_shape(city: City, parameters: RadioParameters) -> tuple[int, int]:
    """Rows and columns of the maps of a city."""
    rows, cols = (
        max(1, int(np.ceil(length / parameters.resolution_m))) for length in (city.frame.depth_m, city.frame.width_m)
    )
    return rows, cols


def _compute(
    city: City, layers: Layers, parameters: RadioParameters, seed: int, directory: Path, n_jobs: int | None
) -> tuple[Int16[Array, "rows cols layers"], DepartureMaps]:
    ground = lay_ground(city, parameters, seed)
    level = np.empty((*ground.building.shape, len(layers)), np.int16)
    places = [place_of(city, ground, layers, layer) for layer in range(len(layers))]
    if parameters.engine == "tr38901":

        def fill(place: Place) -> None:
            statistical.fill_layer(level, place, ground, parameters, seed)

        each_place(fill, places, n_jobs)
        return level, straight(len(layers))
    from mndt.radio import fusion  # its kernels are not needed otherwise

    return level, fusion.fill_layers(level, places, city, ground, parameters, seed, directory, n_jobs)


def _key(city: City, layers: Layers, parameters: RadioParameters, seed: int) -> str:
    """Hash of everything that the levels depend on."""
    buildings, sites = city.buildings, city.sites
    arrays: Iterable[Array] = (
        *(buildings.height_m, buildings.use, buildings.ring_start, buildings.ring_is_hole),
        *(buildings.point_start, buildings.point_x_m, buildings.point_y_m),
        *(layers.site, layers.carrier_ghz, layers.height_m, layers.x_m, layers.y_m),
        *(sites.indoor, sites.building),
    )
    numbers = (
        *(ENGINE_VERSION, parameters.scenario, float(parameters.resolution_m), float(parameters.user_height_m)),
        *(parameters.o2i, parameters.shadowing, seed, float(city.frame.width_m), float(city.frame.depth_m)),
        *(parameters.engine, parameters.rays_million if parameters.engine == "fused" else 0.0),
    )
    digest = hashlib.sha256(repr(numbers).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def estimate(city: City, parameters: RadioParameters) -> tuple[float, float]:
    """Seconds on one core and megabytes that `build_maps` will take without the cache."""
    rows, cols = map_shape(city, parameters)
    layers = layers_of(city)
    links, roofs = rows * cols * len(layers), city.frame.area_km2 * 1e6 / 4.0
    outdoor = int(np.sum(~np.asarray(city.sites.indoor)[layers.site]))
    seconds, megabytes = 6.0 + 150e-9 * links, (2.0 * links + 60.0 * rows * cols + 20.0 * roofs) / 1e6
    if parameters.engine != "tr38901":
        seconds += len(layers) * (150e-9 * roofs)
        megabytes += 20e-6 * outdoor * rows * cols
    if parameters.engine == "fused":
        seconds += outdoor * (0.5 + 2.0 * parameters.rays_million)
    return seconds, megabytes
