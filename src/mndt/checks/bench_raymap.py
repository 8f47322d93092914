"""`mndt bench raymap`: what gain maps of a whole city cost, and how right they are.

The city is the generated one of Table I, 2 x 2 km, 39 stations in the street and 145 in buildings, 5 m pixels.
Times are of the wall except the sweep's, which is CPU time of one core. "Cold" means an empty cache but compiled
kernels; "warm" is loading the maps and aiming every antenna.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mndt.checks import validate_obstructed
from mndt.checks.output import Result, peak_mb
from mndt.city.model import City
from mndt.radio.parameters import RadioParameters

if TYPE_CHECKING:
    from mndt.radio.raytracing import Scene

Array = np.ndarray

PIXEL_M: Final = 5.0


def run(*, rays_million: float = 3.0, quick: bool = False) -> Result:
    """Measure.

    Args:
        rays_million: traced from each outdoor station.
        quick: a quarter of the stations, a tenth of the rays, fewer windows.

    Returns:
        Figures under the keys of the benchmark table, and Sionna RT's own radio map as peer. Without the extra rt
        what needs rays is null, and the city is made by the sweep alone.
    """
    import mndt
    from mndt.radio import _llvm, raytracing

    missing = _llvm.why_not()
    traced = not missing
    city = mndt.synthetic_city()
    if quick:
        city, rays_million = mndt.synthetic_city(outdoor_sites=10, indoor_sites=36), 0.1 * rays_million
    parameters = RadioParameters(
        engine="fused" if traced else "sweep", rays_million=rays_million, resolution_m=PIXEL_M, scenario="UMi"
    )
    figures: dict[str, Any] = _city(city, parameters)
    figures |= _one_site(city, parameters)
    figures |= dict.fromkeys(("s_per_site_rays", "reaim_median_db", "reaim_p90_db"))
    peers = []
    if traced:
        figures |= _rays(city, parameters)
        figures |= raytracing.reaim_errors(city, quick=quick)
        peers = [_peer(city, parameters)]
    obstructed = validate_obstructed.run(engine=parameters.engine, quick=quick)
    figures |= {name: obstructed.figures[name] for name in ("nlos_median_gap_db", "nlos_spread_db")}
    figures["peak_mb"] = peak_mb()
    note = f"no rays: {missing}" if missing else ""
    return Result("raymap", figures, peers=peers, seeds=[0], note=note)


def _city(city: City, parameters: RadioParameters) -> dict[str, float]:
    """The whole city from an empty cache, from a full one, and the look-up."""
    from mndt.parallel import by_rows, set_threads
    from mndt.radio import _kernels
    from mndt.radio.maps import aim, build_maps
    from mndt.world import as_built

    settings = as_built(city)
    with tempfile.TemporaryDirectory() as folder:
        small = replace(parameters, resolution_m=20.0, rays_million=0.01)
        aim(build_maps(city, small, cache_dir=folder), city, settings)  # compiles
        cold_s = _seconds(lambda: build_maps(city, parameters, cache_dir=folder))
        warm_s = _seconds(lambda: aim(build_maps(city, parameters, cache_dir=folder), city, settings))
        loss = build_maps(city, parameters, cache_dir=folder)
        size_mb, maps = loss.nbytes / 1e6, aim(loss, city, settings)
        del loss  # its files go with the folder
    rng, n = np.random.default_rng(0), 13_000
    x_m, y_m = (rng.uniform(0.0, 2000.0, n).astype(np.float32) for _ in range(2))
    level, rank = np.empty((n, len(city.cells)), np.int16), np.empty(n, np.int32)
    weights = np.ones(len(city.cells), np.float32)

    def look_up() -> None:
        by_rows(_kernels.look_up, n, maps.level, 1.0 / maps.cell_m, x_m, y_m, weights, level, rank)

    set_threads(1)
    look_up()
    best_s = min(_seconds(look_up) for _ in range(20))
    return {
        "s_city_cold": cold_s,
        "s_city_warm": warm_s,
        "mb_city": size_mb,
        "links_per_s": level.size / best_s,
    }


def _one_site(city: City, parameters: RadioParameters) -> dict[str, float]:
    """One sweep of the whole city at 2 m, one fusion, one turn of an antenna."""
    from mndt.radio import diffraction, fusion
    from mndt.radio.ground import lay_ground, place_of
    from mndt.radio.layers import layers_of

    surface = diffraction.surface_of(city)
    place = place_of(city, ground := lay_ground(city, parameters, 0), layers_of(city), 0)

    def sweep() -> None:
        diffraction.sweep(surface, place.x_m, place.y_m, place.height_m, place.carrier_ghz, own=place.transparent)

    scenery = fusion.scenery_of(city, ground, parameters)
    sweep_s = min(_seconds(sweep, time.process_time) for _ in range(5))
    whole_s = min(_seconds(lambda: fusion.outdoors(scenery, place, None), time.process_time) for _ in range(3))
    return {"s_per_site_sweep": sweep_s, "s_per_site_fusion": whole_s - sweep_s}


def _seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    work()
    return clock() - began


def _rays(city: City, parameters: RadioParameters) -> dict[str, float]:
    """Tracing three outdoor stations, once the kernels are compiled."""
    from mndt.radio import fusion
    from mndt.radio.ground import lay_ground, place_of
    from mndt.radio.layers import layers_of

    ground, layers = lay_ground(city, parameters, 0), layers_of(city)
    outdoor = np.flatnonzero(~city.sites.indoor[layers.site])[:4]
    places = [place_of(city, ground, layers, int(layer)) for layer in outdoor]
    with tempfile.TemporaryDirectory() as folder:
        fusion.trace(city, places[:1], ground, parameters, Path(folder))
        seconds = _seconds(lambda: fusion.trace(city, places[1:], ground, parameters, Path(folder)))
    return {"s_per_site_rays": seconds / len(places[1:])}


def _peer(city: City, parameters: RadioParameters) -> dict[str, Any]:
    """Sionna RT's own radio map of one station on the same scene, pixels and number of rays."""
    from mndt.radio import raytracing
    from mndt.radio.layers import layers_of

    layers = layers_of(city)
    first = int(np.flatnonzero(~city.sites.indoor[layers.site])[0])
    at_m = float(layers.x_m[first]), float(layers.y_m[first]), float(layers.height_m[first])
    solve = _own_map(raytracing.Scene.of(city), at_m, float(layers.carrier_ghz[first]), parameters)
    reached = float(np.mean(solve() > 0.0))  # compiles
    figures = {"s_per_site": min(_seconds(solve) for _ in range(3)), "pixels_reached_share": reached}
    return {"name": "Sionna RT RadioMapSolver", "version": metadata.version("sionna-rt"), "figures": figures}


def _own_map(
    scene: Scene, at_m: tuple[float, float, float], carrier_ghz: float, parameters: RadioParameters
) -> Callable[[], Array]:
    """Sionna RT's solver with the switches of our traces, ready to go."""
    from mndt.radio.raytracing import TraceParameters, _stage

    stage = _stage(scene, -1, TraceParameters(scattering=True, ground=False), carrier_ghz)
    stage.stand(at_m[0] - scene.width_m / 2, at_m[1] - scene.depth_m / 2, at_m[2])
    solver = stage.tracer.rt.RadioMapSolver()

    def solve() -> Array:
        found = solver(
            stage.scene, center=[0, 0, parameters.user_height_m], orientation=[0, 0, 0],
            size=[scene.width_m, scene.depth_m], cell_size=(PIXEL_M, PIXEL_M),
            samples_per_tx=round(parameters.rays_million * 1e6), max_depth=5, los=False,
            specular_reflection=True, diffuse_reflection=True, refraction=False, diffraction=False, seed=0,
        )  # fmt: skip
        return np.asarray(found.path_gain.numpy())

    return solve
