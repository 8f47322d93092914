"""`mndt validate fdtd`: the field solver beside closed forms, then the ray tracer beside the field solver.

First a perfectly conducting half plane and a right-angled corner in the field of a line source, where
the exact series is known; and what the absorbing boundary throws back. Then a street between concrete
walls with a side street, once by Maxwell's equations in a horizontal slice, once by rays between walls
so high that ground and roofs do not matter, the electric field upright in both.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Complex128, Float, Float64

from mndt.checks.output import Figure, Result
from mndt.radio import fdtd
from mndt.units import LIGHT_MPS, db_to_linear, linear_to_db

Array = np.ndarray

CARRIER_GHZ: Final = 1.0
"""The lowest for which ITU-R P.2040 gives concrete, and so the cheapest field."""

CELLS: Final = 10
"""For a wavelength in concrete; some 23 in air."""

DEPTH: Final = 8
"""Reflections of a ray at most."""

RAYS: Final = 30_000
"""Launched to find the paths; seven times as many find the same."""

WINDOW: Final = 2
"""Wavelengths across the square in which the field's power is averaged, to take interference out."""

_BEYOND_M, _HIGH_M, _WALL_M = 300.0, 400.0, 10.0  # of the ray tracer's walls: past the slice, their height, thickness
_LEVEL: Final = 0.02  # rays flatter than this stay between the walls, rad
_EVERY: Final = 4


def run(*, quick: bool = False) -> Result:
    """All comparisons.

    Args:
        quick: a street of half the size and fewer cells at the wedge.

    Returns:
        `wedge_error_db`, `wedge_median_db`, `boundary_reflection_db`, `rt_error_db` and its parts,
        `cost_ratio`; those of the ray tracer are None where it cannot run.
    """
    from mndt.radio import _llvm

    figures: dict[str, Figure] = {**wedge_figures(32 if quick else 40), "boundary_reflection_db": boundary_db()}
    missing = _llvm.why_not()
    if missing:
        nothing = dict.fromkeys(("rt_error_db", "rt_p90_db", "rt_street_db", "rt_side_db", "rt_spherical_db"))
        figures |= {**nothing, "cost_ratio": None, "fdtd_seconds": None, "rt_seconds": None}
        return Result("fdtd", figures, note=f"no street without rays: {missing}")
    figures |= street_figures(Street.of(0.5 if quick else 1.0))
    return Result("fdtd", figures, note="errors are absolute; wedge: the worst point, street: the median point")


# A conducting wedge ---------------------------------------------------------------------------------


def wedge_field(
    wavenumber: float,
    turns: float,
    source: tuple[float, float],
    radius_m: Float[Array, "points"],
    angle_rad: Float[Array, "points"],
) -> Complex128[Array, "points"]:
    """Line source beside a perfectly conducting wedge, electric field along the edge: the exact series.

    -(j / n) sum over m >= 1 of J_{m/n}(k r<) H^(2)_{m/n}(k r>) sin(m a / n) sin(m a' / n), the scale in
    which free space is -j/4 H0^(2)(k r). C. A. Balanis, Advanced Engineering Electromagnetics, the
    chapter on diffraction. It converges quickly where the radii of source and points differ.

    Args:
        wavenumber: k in rad/m.
        turns: n, the open angle divided by pi: 2 for a half plane, 1.5 for a corner.
        source: its radius in m and its angle in rad from the first face.
        radius_m: of the points.
        angle_rad: of the points, from the first face.
    """
    from scipy.special import hankel2, jv

    inner, outer = (wavenumber * pick(radius_m, source[0]) for pick in (np.minimum, np.maximum))
    largest = float(inner.max())
    m = np.arange(1, int(turns * (largest + 8.0 * np.cbrt(largest) + 10.0)) + 1)[:, None]
    regular = jv(m / turns, inner)
    used = np.abs(regular) > 1e-250  # beyond, its partner overflows, and the product is nothing
    terms = np.where(used, regular * hankel2(np.where(used, m / turns, 0.0), outer), 0.0)
    series = (terms * np.sin(m * angle_rad / turns) * np.sin(m * source[1] / turns)).sum(axis=0)
    return np.asarray(-1j / turns * series)


def wedge_errors_db(cells: int, turns: float) -> Float64[Array, "points"]:
    """Field solver minus closed form around an edge, on two circles, from the lit face to the shadowed one.

    The source stands 3.6 wavelengths from the edge; the circles of 5 and 6.5 wavelengths cross the
    reflection's boundary, the lit region, the shadow's boundary and the deep shadow.

    Args:
        cells: for a wavelength.
        turns: 2: a half plane; 1.5: a right-angled corner.
    """
    carrier_hz = CARRIER_GHZ * 1e9
    wavelength_m = LIGHT_MPS / carrier_hz
    size = 14 * cells + 24
    edge = size // 2
    scene = fdtd.Slice.empty(size, size, wavelength_m / cells)
    first = edge if turns == 2 else 0
    scene.conductor[first : edge + 1, : edge + 1] = True
    north, east = 3 * cells, -2 * cells
    field = fdtd.simulate(scene, (edge + north, edge + east), carrier_hz)
    angle = np.radians(np.arange(10.0, 180.0 * turns - 9.0, 2.5))
    circles = [radius * cells * np.stack((np.sin(angle), -np.cos(angle))) for radius in (5.0, 6.5)]
    rows, cols = np.rint(np.concatenate(circles, axis=1)).astype(int)
    exact = wedge_field(
        2.0 * np.pi / wavelength_m, turns, _polar(north, east, scene.cell_m), *_polar(rows, cols, scene.cell_m)
    )
    return np.asarray(linear_to_db(np.abs(field.green[edge + rows, edge + cols]) ** 2 / np.abs(exact) ** 2))


def _polar(north: Any, east: Any, cell_m: float) -> tuple[Any, Any]:
    """Radius, and the angle from a face that points west, clockwise."""
    return np.hypot(north, east) * cell_m, (np.pi - np.arctan2(north, east)) % (2.0 * np.pi)


def wedge_figures(cells: int) -> dict[str, Figure]:
    """The worst and the median error at a half plane and a corner."""
    began = time.process_time()
    errors_db = np.abs(np.concatenate([wedge_errors_db(cells, turns) for turns in (2.0, 1.5)]))
    seconds = time.process_time() - began
    return {
        "wedge_error_db": float(errors_db.max()),
        "wedge_median_db": float(np.median(errors_db)),
        "wedge_points": len(errors_db),
        "wedge_seconds": seconds,
    }


def boundary_db(cells: int = 20, size: int = 120) -> float:
    """The absorbing boundary's echo beside the field at the same point, the worst point of a small plane.

    The truth is the same source in a plane three times as wide, with a layer twice as deep.
    """
    carrier_hz = CARRIER_GHZ * 1e9
    cell_m, deep = LIGHT_MPS / carrier_hz / cells, 12

    def field(n: int, layer: int) -> Array:
        scene = fdtd.Slice.empty(n, n, cell_m)
        return fdtd.simulate(scene, (n // 2, n // 2), carrier_hz, absorber=(layer, layer), until=1e-9).green

    inner = size // 2 - deep - 1
    near, far = (
        green[n // 2 - inner : n // 2 + inner + 1, n // 2 - inner : n // 2 + inner + 1]
        for n, green in ((size, field(size, deep)), (3 * size, field(3 * size, 2 * deep)))
    )
    return float(linear_to_db(np.max(np.abs(near - far) / np.abs(far)) ** 2))


# A street -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Street:
    """A street from west to east with a side street to the north, in a slice of `width_m` x `depth_m`."""

    width_m: float
    depth_m: float
    blocks_m: Float64[Array, "blocks 4"]  # west, south, east, north; they go on beyond the slice
    antenna_m: tuple[float, float]
    points_m: Float64[Array, "points 2"]
    side: Bool[Array, "points"]  # in the side street

    @classmethod
    def of(cls, size: float) -> Street:
        """At size 1: 40 m of a street 16 m wide, 10 m of a side street 8 m wide, walls filled with concrete."""
        width_m, south_m, north_m = 40.0 * size, 2.0, 2.0 + 16.0 * size
        depth_m, west_m, east_m = north_m + 10.0 * size, 24.0 * size, 32.0 * size
        low, right, top = -_BEYOND_M, width_m + _BEYOND_M, depth_m + _BEYOND_M
        blocks_m = np.array(
            [(low, low, right, south_m), (low, north_m, west_m, top), (east_m, north_m, right, top)], np.float64
        )
        antenna_m = 10.0 * size, south_m + 6.4 * size
        main = _lattice((2.0, width_m - 1.0), (south_m + 1.5, north_m - 1.0), 1.5)
        main = main[np.hypot(*(main - antenna_m).T) > 4.0]
        aside = _lattice((west_m + 1.2, east_m - 1.0), (north_m + 1.0, depth_m - 1.0), 1.0)
        side = np.arange(len(main) + len(aside)) >= len(main)
        return cls(width_m, depth_m, blocks_m, antenna_m, np.concatenate((main, aside)), side)

    @property
    def distance_m(self) -> Float64[Array, "points"]:
        """From the antenna to the points."""
        return np.asarray(np.hypot(*(self.points_m - self.antenna_m).T))


def _lattice(x_m: tuple[float, float], y_m: tuple[float, float], step_m: float) -> Float64[Array, "points 2"]:
    x, y = np.meshgrid(np.arange(*x_m, step_m), np.arange(*y_m, step_m), indexing="ij")
    return np.column_stack((x.ravel(), y.ravel()))


def street_figures(street: Street) -> dict[str, Figure]:
    """Rays against field at the points of a street, and what each cost.

    `rt_error_db` is the median absolute difference of the losses beyond free space, rays' powers added
    as a line source's: `rt_spherical_db` leaves them as they are, a point source's.
    """
    field_db, fdtd_s, updates_per_s = field_excess_db(street)
    cylinder_db, sphere_db, rays_s = rays_excess_db(street)
    gap_db = np.abs(cylinder_db - field_db)
    return {
        "rt_error_db": float(np.median(gap_db)),
        "rt_p90_db": float(np.quantile(gap_db, 0.9)),
        "rt_street_db": float(np.median(gap_db[~street.side])),
        "rt_side_db": float(np.median(gap_db[street.side])),
        "rt_spherical_db": float(np.median(np.abs(sphere_db - field_db))),
        "points": len(gap_db),
        "cost_ratio": fdtd_s / rays_s,
        "fdtd_seconds": fdtd_s,
        "rt_seconds": rays_s,
        "cell_updates_per_s": updates_per_s,
    }


def field_excess_db(street: Street) -> tuple[Float64[Array, "points"], float, float]:
    """Loss beyond free space by the field solver, averaged about each point; seconds; cells updated a second."""
    from mndt.radio._rt_scene import CONCRETE, properties

    permittivity, conductivity = properties(CONCRETE, CARRIER_GHZ)
    wavelength_m = LIGHT_MPS / (CARRIER_GHZ * 1e9)
    cell_m = wavelength_m / (CELLS * np.sqrt(permittivity))
    scene = fdtd.Slice.empty(int(street.depth_m / cell_m), int(street.width_m / cell_m), cell_m)
    for west, south, east, north in np.rint(np.maximum(street.blocks_m, 0.0) / cell_m).astype(int):
        scene.permittivity[south:north, west:east] = permittivity
        scene.conductivity[south:north, west:east] = conductivity
    col, row = (int(at / cell_m) for at in street.antenna_m)
    field = fdtd.simulate(scene, (row, col), CARRIER_GHZ * 1e9, every=_EVERY)
    relative = db_to_linear(-field.excess_db())
    reach = round(WINDOW / 2 * wavelength_m / cell_m / _EVERY)
    at = np.rint(street.points_m[:, ::-1] / cell_m / _EVERY).astype(int)
    mean = [relative[i - reach : i + reach + 1, j - reach : j + reach + 1].mean() for i, j in at]
    updates = scene.permittivity.size * field.steps
    return -linear_to_db(np.array(mean)), field.seconds, updates / field.seconds


def rays_excess_db(street: Street) -> tuple[Float64[Array, "points"], Float64[Array, "points"], float]:
    """Loss beyond free space by rays, with cylindrical and with spherical spreading; seconds once compiled.

    A ray of length L from a point source has the power of free space at L times what walls and edges
    leave of it. A line source's loses d / L against the straight line of length d, a point source's
    (d / L)^2: the rest is the same in both.
    """
    from mndt.radio import _llvm

    tracer = _llvm.load()
    with _llvm.quiet_third_parties():
        scene = _ray_scene(tracer, street)
        solver = tracer.rt.PathSolver()
        for _ in range(2):  # the first compiles
            began = time.process_time()
            paths = solver(scene, max_depth=DEPTH, samples_per_src=RAYS, refraction=False, diffraction=True)
            real, imaginary = (np.asarray(part, np.float64) for part in paths.a)
            seconds = time.process_time() - began
        delay_s, fall_rad = np.asarray(paths.tau, np.float64), np.asarray(paths.theta_t, np.float64)
    n = len(street.points_m)
    power, delay_s, fall_rad = (
        (real**2 + imaginary**2).reshape(n, -1),
        delay_s.reshape(n, -1),
        fall_rad.reshape(n, -1),
    )
    level = (delay_s > 0) & (np.abs(fall_rad - np.pi / 2) < _LEVEL)
    length_m = np.where(level, delay_s * LIGHT_MPS, np.inf)
    wavelength_m = LIGHT_MPS / (CARRIER_GHZ * 1e9)
    left = np.where(level, power * (4.0 * np.pi * np.where(level, length_m, 0.0) / wavelength_m) ** 2, 0.0)
    detour = street.distance_m[:, None] / length_m
    cylinder_db, sphere_db = (-linear_to_db((left * detour**order).sum(axis=1)) for order in (1, 2))
    return cylinder_db, sphere_db, seconds


def _ray_scene(tracer: Any, street: Street) -> Any:
    """The street between very high walls for the ray tracer, antennas halfway up."""
    import shapely

    from mndt.radio import _rt_scene

    shapes = shapely.box(*street.blocks_m.T)
    vertices, faces, _ = _rt_scene.mesh_of(shapes, np.full(len(shapes), _HIGH_M))
    half_m = street.width_m / 2 + _BEYOND_M, street.depth_m / 2 + _BEYOND_M
    scene = _rt_scene.build(tracer, vertices, faces, _WALL_M, half_m)
    scene.frequency = CARRIER_GHZ * 1e9
    scene.add(tracer.rt.Transmitter("antenna", position=[*map(float, street.antenna_m), _HIGH_M / 2]))
    for number, (x_m, y_m) in enumerate(street.points_m.tolist()):
        scene.add(tracer.rt.Receiver(f"point {number}", position=[x_m, y_m, _HIGH_M / 2]))
    return scene
