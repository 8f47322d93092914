"""Rays traced through the city's buildings with Sionna RT, one station at a time.

A trace is made once, with isotropic antennas: each pixel keeps its gain and the few directions in
which that power left, so that any antenna can be put there later (`mndt.radio.departures`). Powers of
rays are added, not their fields: a map is an average over some wavelengths.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, UInt32

from mndt.city.footprints import MOST_M, solid_parts
from mndt.city.model import City
from mndt.city.raster import Raster
from mndt.errors import InputError
from mndt.parallel import by_rows
from mndt.radio.departures import UNIT, WHOLE, Departures
from mndt.radio.parameters import DRAFT_MILLION

Array = np.ndarray

LEAST_M: Final = 0.5
"""Lower buildings are left out of the scene."""

DEFAULT_RAYS: Final = 3_000_000
DRAFT_RAYS: Final = round(DRAFT_MILLION * 1e6)

_NEAR_UP: Final = 0.03
_NEAR_LEVEL: Final = 0.2
_LEAST_SHARE: Final = 0.01
_EVEN: Final = 0.2  # share of rays spread evenly over the sphere
_SUNK_M: Final = -5.0  # where a building goes that is left out


@dataclass(frozen=True)
class TraceParameters:
    """What is traced, and how finely."""

    rays: int = DEFAULT_RAYS
    depth: int = 5  # reflections and passages of a ray at most
    line_of_sight: bool = True
    reflection: bool = True
    diffraction: bool = False  # around one edge
    scattering: bool = False  # diffuse, at rough walls
    refraction: bool = False  # through walls, as thin slabs
    scattering_coefficient: float = 0.3  # share of the reflected field that is scattered, where it is on
    ground: bool = True  # reflects; else it swallows rays
    wall_m: float = 0.2  # thickness of walls and roofs of concrete
    user_height_m: float = 1.5
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Scene:
    """The city's buildings as one mesh about the middle of the city, in plain arrays."""

    vertices_m: Float32[Array, "vertices 3"]
    faces: UInt32[Array, "faces 3"]
    building: Int32[Array, "faces"]  # that a face belongs to
    width_m: float
    depth_m: float
    repairs: tuple[str, ...]  # what could not be traced, counted, in words

    @classmethod
    def of(cls, city: City) -> Scene:
        """The scene of a city. Buildings that cannot stand are left out and counted."""
        from mndt.radio import _rt_scene

        shapes, crossed = solid_parts(city.buildings)
        good, said = _rt_scene.sound(shapes, city.buildings.height_m, LEAST_M, MOST_M)
        row = np.flatnonzero(good)
        vertices, faces, building = _rt_scene.mesh_of(shapes[row], np.asarray(city.buildings.height_m)[row])
        width_m, depth_m = city.frame.width_m, city.frame.depth_m
        vertices -= np.array([width_m / 2, depth_m / 2, 0.0], np.float32)
        if crossed.any():
            said = [f"{int(crossed.sum())} buildings that cross themselves redrawn", *said]
        return cls(vertices, faces, row[building].astype(np.int32), width_m, depth_m, tuple(said))


@dataclass(frozen=True)
class Rays:
    """What one transmitter's rays bring to the map. Row 0 is the south."""

    gain: Float32[Array, "rows cols"]  # linear, isotropic ends; 0 where nothing arrived, and in buildings
    sight: Bool[Array, "rows cols"]  # nothing stands between antenna and pixel; False in buildings
    departures: Departures

    def arrays(self) -> dict[str, Array]:
        """Everything by name, to be kept."""
        kept = self.departures
        parts = {"gain": self.gain, "sight": self.sight}
        return parts | {"start": kept.start, "toward": kept.toward, "share": kept.share}

    @classmethod
    def of_arrays(cls, arrays: dict[str, Array]) -> Rays:
        """The inverse of `arrays`."""
        departures = Departures(arrays["start"], arrays["toward"], arrays["share"])
        return cls(arrays["gain"], arrays["sight"], departures)


def trace(
    scene: Scene,
    x_m: float,
    y_m: float,
    height_m: float,
    carrier_ghz: float,
    raster: Raster,
    parameters: TraceParameters | None = None,
    *,
    own: int = -1,
) -> Rays:
    """Trace one transmitter over the raster's outdoor pixels.

    Args:
        scene: of the city.
        x_m, y_m, height_m: the antenna, in the city's frame.
        carrier_ghz: carrier frequency.
        raster: pixels of the map.
        parameters: what is traced, and how finely.
        own: a building that is left out; -1: none. An antenna on a roof stands at its edge.

    Raises:
        InputError: the ray tracer is not installed or would kill the process; an antenna under ground.
    """
    wanted = parameters or TraceParameters()
    if not height_m > 0:
        raise InputError("height_m", height_m, allowed="above 0 m", fix="give the antenna's height above ground")
    stage = _stage(scene, own, wanted, carrier_ghz)
    stage.stand(float(x_m - scene.width_m / 2), float(y_m - scene.depth_m / 2), float(height_m))
    outdoors = raster.building < 0
    sight = stage.sight(raster, wanted.user_height_m) & outdoors
    gain, departures = _merge(stage.landed(raster, wanted), outdoors.shape)
    return Rays(gain, sight, departures)


def path_gain(
    scene: Scene,
    at_m: tuple[float, float, float],
    points_m: Float[Array, "points 3"],
    carrier_ghz: float,
    parameters: TraceParameters | None = None,
    *,
    coherent: bool = False,
) -> Float64[Array, "points"]:
    """Gain to single points by exact paths, for studies of a few links: some 10 ms a point.

    Args:
        scene: of the city.
        at_m: the antenna, in the city's frame.
        points_m: the other ends, in the city's frame.
        carrier_ghz: carrier frequency.
        parameters: what is traced, and how finely.
        coherent: add fields instead of powers.

    Returns:
        Linear gain between isotropic, vertically polarised ends; 0 where no path was found.

    Raises:
        InputError: the ray tracer is not installed or would kill the process.
    """
    wanted = parameters or TraceParameters(rays=1_000_000)
    stage = _stage(scene, -1, wanted, carrier_ghz)
    stage.stand(at_m[0] - scene.width_m / 2, at_m[1] - scene.depth_m / 2, at_m[2])
    amplitude = stage.amplitudes(np.asarray(points_m, float) - (scene.width_m / 2, scene.depth_m / 2, 0.0), wanted)
    return np.asarray(abs(amplitude.sum(axis=1)) ** 2 if coherent else (abs(amplitude) ** 2).sum(axis=1))


def reaim_errors(city: City, *, quick: bool = False) -> dict[str, float]:
    """How far re-aimed maps are from maps traced anew with the antenna in place, on the same rays.

    With diffraction and refraction on, for an element and for a column of ten; pixels within 20 dB of
    the pattern's peak, before quantisation.

    Args:
        city: some of its outdoor stations are tried.
        quick: one station and fewer rays.

    Returns:
        `reaim_median_db` and `reaim_p90_db`, the worse of the two patterns, and those of each.
    """
    from mndt.city.raster import rasterise
    from mndt.radio import _rt_aim
    from mndt.radio.layers import layers_of

    scene, raster, layers = Scene.of(city), rasterise(city.buildings, city.frame, 5.0), layers_of(city)
    outdoors = np.flatnonzero(~city.sites.indoor[layers.site])
    tried = outdoors[:: max(1, len(outdoors) // 3)][: 1 if quick else 3]
    wanted = TraceParameters(rays=DRAFT_RAYS if quick else 1_000_000, diffraction=True, refraction=True)
    found: dict[str, list[Array]] = {}
    for i in tried:
        at_m = float(layers.x_m[i]), float(layers.y_m[i]), float(layers.height_m[i])
        errors = _rt_aim.errors_db(scene, at_m, float(layers.carrier_ghz[i]), raster, wanted)
        for name, error in errors.items():
            found.setdefault(name, []).append(error)
    return _rt_aim.figures({name: np.concatenate(parts) for name, parts in found.items()})


# The ray tracer's own scene -----------------------------------------------------------------------


class _Stage:
    """A scene as the ray tracer holds it, with one transmitter."""

    def __init__(self, scene: Scene, wall_m: float, ground: bool) -> None:
        from mndt.radio import _llvm, _rt_scene

        self.tracer = _llvm.load()
        self.half_m = scene.width_m / 2, scene.depth_m / 2
        self.sunk = -1
        self.plane: Any = None
        with _llvm.quiet_third_parties():
            self.scene = _rt_scene.build(self.tracer, scene.vertices_m, scene.faces, wall_m, self.half_m, ground=ground)
            self.scene.add(self.tracer.rt.Transmitter("antenna", position=[0.0, 0.0, 10.0]))

    def tune(self, parameters: TraceParameters, carrier_ghz: float) -> None:
        """Carrier and roughness of the walls."""
        self.scene.frequency = carrier_ghz * 1e9
        for material in self.scene.radio_materials.values():
            material.scattering_coefficient = parameters.scattering_coefficient if parameters.scattering else 0.0

    def sink(self, scene: Scene, building: int) -> None:
        """Take one building away, below the ground; -1: none. The ray tracer's kernels stay good."""
        if building == self.sunk or not len(scene.faces):
            return
        vertices_m = scene.vertices_m.copy()
        vertices_m[np.unique(scene.faces[scene.building == building]), 2] = _SUNK_M
        parts = self.tracer.mi.traverse(self.scene.mi_scene)
        parts["buildings.vertex_positions"] = self.tracer.mi.Float(vertices_m.ravel())
        parts.update()
        self.sunk = building

    def stand(self, x_m: float, y_m: float, z_m: float) -> None:
        """Put the antenna somewhere."""
        self.at = x_m, y_m, z_m
        self.scene.get("antenna").position = self.tracer.mi.Point3f(x_m, y_m, z_m)

    def sight(self, raster: Raster, user_height_m: float) -> Bool[Array, "rows cols"]:
        """Whether nothing stands between the antenna and the centre of each pixel."""
        dr, mi, rt = self.tracer
        rows, cols = raster.building.shape
        number = dr.arange(mi.UInt, rows * cols)
        x = (mi.Float(number % cols) + 0.5) * raster.cell_m - self.half_m[0]
        y = (mi.Float(number // cols) + 0.5) * raster.cell_m - self.half_m[1]
        ray = rt.utils.spawn_ray_to(mi.Point3f(*self.at), mi.Point3f(x, y, user_height_m))
        seen = ~self.scene.mi_scene.ray_test(ray)
        return np.asarray(seen.numpy(), bool).reshape(rows, cols)

    def landed(self, raster: Raster, parameters: TraceParameters, **more: Any) -> Any:
        """All rays that reach the map's outdoor pixels."""
        from mndt.radio import _rt_lattice, _rt_solver

        rows, cols = raster.building.shape
        x_m, y_m = (n * raster.cell_m / 2 - half for n, half in zip((cols, rows), self.half_m, strict=True))
        plane = _rt_solver.Plane(x_m, y_m, parameters.user_height_m, raster.cell_m, rows, cols)
        if self.plane is None or replace(self.plane, surface=None) != plane:
            self.plane = plane
        reach_m = float(np.hypot(abs(self.at[0]) + self.half_m[0], abs(self.at[1]) + self.half_m[1]))
        launched = _rt_lattice.launch(
            parameters.rays, self.at[2] - parameters.user_height_m, reach_m, _EVEN, seed=parameters.seed,
            upward=parameters.scattering or parameters.refraction or parameters.diffraction,
        )  # fmt: skip
        outdoors = raster.building.ravel() < 0
        parts = _rt_solver.landed(
            self.tracer, self.scene, self.plane, launched, parameters.seed,
            max_depth=parameters.depth, los=parameters.line_of_sight,
            specular_reflection=parameters.reflection, diffuse_reflection=parameters.scattering,
            refraction=parameters.refraction, diffraction=parameters.diffraction, **more,
        )  # fmt: skip
        kept = [[column[outdoors[part.pixel]] for column in part] for part in parts]
        return _rt_solver.Landed(*(np.concatenate(columns) for columns in zip(*kept, strict=True)))

    def amplitudes(self, points_m: Float64[Array, "points 3"], parameters: TraceParameters) -> Any:
        """Complex amplitude of each path to each point, 0 where a point has fewer."""
        from mndt.radio import _llvm

        rt, mi = self.tracer.rt, self.tracer.mi
        names = [f"end {i}" for i in range(len(points_m))]
        with _llvm.quiet_third_parties():
            for name, point in zip(names, points_m, strict=True):
                self.scene.add(rt.Receiver(name, position=mi.Point3f(*(float(v) for v in point))))
            try:
                paths = rt.PathSolver()(
                    self.scene, max_depth=parameters.depth, samples_per_src=parameters.rays,
                    los=parameters.line_of_sight, specular_reflection=parameters.reflection,
                    diffuse_reflection=parameters.scattering, refraction=parameters.refraction,
                    diffraction=parameters.diffraction, seed=parameters.seed,
                )  # fmt: skip
                real, imaginary = (np.asarray(part.numpy(), np.float64) for part in paths.a)
            finally:
                for name in names:
                    self.scene.remove(name)
        return (real + 1j * imaginary).reshape(len(points_m), -1)


_STAGES: weakref.WeakKeyDictionary[Scene, dict[tuple[float, bool], _Stage]] = weakref.WeakKeyDictionary()


def _stage(scene: Scene, own: int, parameters: TraceParameters, carrier_ghz: float) -> _Stage:
    """The scene as the ray tracer holds it, made once."""
    known = _STAGES.setdefault(scene, {})
    kind = parameters.wall_m, parameters.ground
    if kind not in known:
        known[kind] = _Stage(scene, *kind)
    stage = known[kind]
    stage.tune(parameters, carrier_ghz)
    stage.sink(scene, own)
    return stage


# From rays to directions -------------------------------------------------------------------------


def _merge(found: Any, shape: tuple[int, ...]) -> tuple[Float32[Array, "rows cols"], Departures]:
    """Gain of every pixel and the directions of departure, close ones merged."""
    from mndt.radio import _rt_kernels as kernels

    n = int(np.prod(shape))
    start = np.concatenate(([0], np.cumsum(np.bincount(found.pixel, minlength=n))))
    order = np.empty(len(found.pixel), np.int32)
    kernels.sort_by_pixel(found.pixel, start[:-1].copy(), order)
    gain, number = np.zeros(n, np.float32), np.zeros(n, np.int64)
    toward, share = np.empty((n, kernels.MOST, 3), np.float32), np.empty((n, kernels.MOST), np.float32)
    by_rows(
        kernels.cluster, n, start, order, found.power, found.toward, _NEAR_UP, _NEAR_LEVEL, _LEAST_SHARE,
        gain, number, toward, share,
    )  # fmt: skip
    kept = np.arange(kernels.MOST) < number[:, None]
    ends = np.concatenate(([0], np.cumsum(number)))
    departures = Departures(
        ends, np.rint(toward[kept] * UNIT).astype(np.int16), np.rint(share[kept] * WHOLE).astype(np.uint16)
    )
    return gain.reshape(shape), departures
