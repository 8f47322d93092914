"""How far a map that was re-aimed is from one traced anew with the antenna in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Float, Float32

from mndt.city.raster import Raster
from mndt.radio import antenna
from mndt.radio.departures import UNIT, WHOLE, Departures
from mndt.radio.raytracing import Scene, TraceParameters, _stage, trace
from mndt.units import db_to_linear, linear_to_db

Array = np.ndarray

NEAR_PEAK_DB: Final = 20.0
"""Pixels count to which the antenna gives no less than this below its strongest direction."""


@dataclass(frozen=True)
class Aim:
    """An antenna in place: `sector`, one element, or `panel`, a column of ten."""

    pattern: str
    boresight_deg: float
    mechanical_tilt_deg: float = 0.0
    electrical_tilt_deg: float = 0.0


AIMS: Final = (
    *(Aim("sector", bearing, mechanical_tilt_deg=tilt) for bearing, tilt in ((20.0, 0.0), (140.0, 6.0), (260.0, 10.0))),
    *(Aim("panel", bearing, electrical_tilt_deg=tilt) for bearing, tilt in ((20.0, 0.0), (140.0, 4.0), (260.0, 8.0))),
)


def predicted(gain: Float32[Array, "rows cols"], departures: Departures, aim: Aim) -> Float[Array, "rows cols"]:
    """The gain with an antenna, from the isotropic one and the departure directions; linear."""
    east, north, up = departures.toward.T / UNIT
    pattern = antenna.gain_db(
        aim.pattern, np.degrees(np.arctan2(east, north)), np.degrees(np.arccos(np.clip(up, -1.0, 1.0))),
        boresight_deg=aim.boresight_deg, mechanical_tilt_deg=aim.mechanical_tilt_deg,
        electrical_tilt_deg=aim.electrical_tilt_deg,
    )  # fmt: skip
    pixel = np.repeat(np.arange(gain.size), np.diff(departures.start))
    mean = np.bincount(pixel, departures.share / WHOLE * db_to_linear(pattern), gain.size)
    return gain * mean.reshape(gain.shape)


def traced_anew(
    scene: Scene, at_m: tuple[float, float, float], carrier_ghz: float, raster: Raster, parameters: TraceParameters,
    aim: Aim,
) -> Float[Array, "rows cols"]:  # fmt: skip
    """The gain with Sionna RT's own antenna in place, on the same rays; linear."""
    stage = _stage(scene, -1, parameters, carrier_ghz)
    rt, mi = stage.tracer.rt, stage.tracer.mi
    x_m, y_m, height_m = at_m
    rows = antenna.COLUMN_ELEMENTS if aim.pattern == "panel" else 1
    usual, mast = stage.scene.tx_array, stage.scene.get("antenna")
    try:
        stage.scene.tx_array = rt.PlanarArray(
            num_rows=rows, num_cols=1, vertical_spacing=0.5, pattern="tr38901", polarization="V"
        )
        turn = np.radians([90.0 - aim.boresight_deg, aim.mechanical_tilt_deg, 0.0])
        mast.orientation = mi.Point3f(*(float(angle) for angle in turn))
        stage.stand(x_m - scene.width_m / 2, y_m - scene.depth_m / 2, height_m)
        phases = _steered(stage.scene.tx_array, carrier_ghz, aim.electrical_tilt_deg)
        found = stage.landed(raster, parameters, precoding_vec=tuple(mi.Float(part) for part in phases))
    finally:
        stage.scene.tx_array, mast.orientation = usual, mi.Point3f(0.0, 0.0, 0.0)
    return np.bincount(found.pixel, found.power, raster.building.size).reshape(raster.building.shape)


def _steered(array: Any, carrier_ghz: float, tilt_deg: float) -> tuple[Array, Array]:
    """Weights of a column's elements that steer it down, real and imaginary."""
    wave_m = 0.299792458 / carrier_ghz
    up_m = np.asarray(array.positions(wave_m)).reshape(3, -1)[2]
    weight = np.exp(2j * np.pi * up_m / wave_m * np.sin(np.radians(tilt_deg))) / np.sqrt(len(up_m))
    return weight.real, weight.imag


def errors_db(
    scene: Scene, at_m: tuple[float, float, float], carrier_ghz: float, raster: Raster, parameters: TraceParameters,
    aims: Sequence[Aim] = AIMS,
) -> dict[str, Float[Array, "pixels"]]:  # fmt: skip
    """Absolute errors of re-aiming by pattern, of all pixels within 20 dB of the pattern's peak.

    Args:
        scene: of the city.
        at_m: the antenna, in the city's frame.
        carrier_ghz: carrier frequency.
        raster: pixels of the map.
        parameters: what is traced; both ways by the same rays.
        aims: antennas to try.
    """
    rays = trace(scene, *at_m, carrier_ghz, raster, parameters)
    found: dict[str, list[Array]] = {}
    for aim in aims:
        anew, ours = traced_anew(scene, at_m, carrier_ghz, raster, parameters, aim), predicted(*_parts(rays), aim)
        peak = antenna.ELEMENT_GAIN_DBI + (10.0 if aim.pattern == "panel" else 0.0)
        seen = rays.gain > 0.0
        towards_db = linear_to_db(anew[seen] / rays.gain[seen])
        near = towards_db >= peak - NEAR_PEAK_DB
        found.setdefault(aim.pattern, []).append(abs(linear_to_db(ours[seen][near] / anew[seen][near])))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _parts(rays: Any) -> tuple[Array, Departures]:
    return rays.gain, rays.departures


def figures(errors: dict[str, Float[Array, "pixels"]]) -> dict[str, float]:
    """`reaim_median_db` and `reaim_p90_db`, the worse of the patterns, and those of each."""
    each = {name: (float(np.median(e)), float(np.percentile(e, 90))) for name, e in errors.items()}
    named = {
        f"reaim_{what}_db_{name}": pair[i] for name, pair in each.items() for i, what in ((0, "median"), (1, "p90"))
    }
    worst = {f"reaim_{what}_db": max(pair[i] for pair in each.values()) for i, what in ((0, "median"), (1, "p90"))}
    return worst | named
