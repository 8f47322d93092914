"""Sionna RT's radio-map solver, told to write down every ray instead of adding them up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from mndt.radio._llvm import RayTracer, quiet_third_parties
from mndt.radio._rt_lattice import Launch, directions

Array = np.ndarray

CHUNK: Final = 500_000
"""Rays traced together: bounds the memory, 1.2 kB a ray."""

_ROOM: Final = 3  # crossings of the plane for each ray of a chunk
_ONE_AT_A_TIME = threading.Lock()


class Landed(NamedTuple):
    """Rays that crossed the map's plane, one row each."""

    pixel: Int32[Array, "landed"]
    power: Float32[Array, "landed"]  # what it adds to the pixel's gain
    toward: Float32[Array, "landed 3"]  # unit vector of departure


@dataclass
class Plane:
    """The map's plane in the scene's frame."""

    x_m: float  # of its centre
    y_m: float
    height_m: float
    cell_m: float
    rows: int
    cols: int
    surface: Any = None  # the ray tracer's rectangle, made once: kernels are compiled for it


def landed(tracer: RayTracer, scene: Any, plane: Plane, rays: Launch, seed: int, **switches: Any) -> Iterator[Landed]:
    """Trace the scene's only transmitter and yield all rays that cross the plane, part by part.

    The order is the same whenever the arguments are.

    Args:
        tracer: the loaded ray tracer.
        scene: with one transmitter.
        plane: where rays are counted.
        rays: launched.
        seed: of what happens at walls.
        switches: arguments of Sionna RT's solver.
    """
    diffraction = switches.pop("diffraction")
    n = len(rays.turn)
    parts = -(-n // CHUNK)
    ends = [n * i // parts for i in range(parts + 1)]
    for number, (low, high) in enumerate(pairwise(ends)):
        part = Launch(*(column[low:high] for column in rays))
        part = part._replace(weight=part.weight * np.float32((high - low) / n))  # the solver makes each part a whole
        yield _launched(tracer, scene, plane, part, seed + number, diffraction=False, **switches)
    if diffraction:  # edges are looked for with some rays of all directions, and sampled once
        part = Launch(*(column[::parts] for column in rays))
        yield _launched(tracer, scene, plane, part, seed + parts, diffraction=True, **switches)


def _launched(
    tracer: RayTracer, scene: Any, plane: Plane, rays: Launch, seed: int, *, diffraction: bool, **switches: Any
) -> Landed:
    n, room = len(rays.turn), _ROOM * len(rays.turn)
    mi = tracer.mi
    with _ONE_AT_A_TIME, quiet_third_parties():
        square = mi.Point2f(mi.Float(rays.turn), mi.Float(rays.fall))
        while True:
            book = _Book(tracer, n, room, diffraction)
            with _in_place(PlanarRadioMap=_recorder(tracer, plane, book), fibonacci_lattice=lambda _: square):
                tracer.rt.RadioMapSolver()(
                    scene, center=[plane.x_m, plane.y_m, plane.height_m], orientation=[0, 0, 0],
                    size=[plane.cols * plane.cell_m, plane.rows * plane.cell_m],
                    cell_size=(plane.cell_m, plane.cell_m), samples_per_tx=n, seed=seed, diffraction=diffraction,
                    **switches,
                )  # fmt: skip
            taken = int(book.taken[0])
            if taken <= room:
                return book.read(taken, rays)
            room = taken


@contextmanager
def _in_place(**ours: Any) -> Iterator[None]:
    """Let the solver find our things under the names of its own."""
    from sionna.rt.radio_map_solvers import radio_map_solver as module

    usual = {name: getattr(module, name) for name in ours}
    try:
        for name, thing in ours.items():
            setattr(module, name, thing)
        yield
    finally:
        for name, thing in usual.items():
            setattr(module, name, thing)


class _Book:
    """Where rays are written down."""

    def __init__(self, tracer: RayTracer, n_rays: int, room: int, diffraction: bool) -> None:
        dr, mi, _ = tracer
        self.room, self.diffraction = room, diffraction
        self.taken = dr.zeros(mi.UInt, 1)
        self.pixel, self.ray = dr.zeros(mi.UInt, room), dr.zeros(mi.UInt, room)
        self.power = dr.zeros(mi.TensorXf, (1, 1, room))
        self.number = dr.arange(mi.UInt, n_rays)
        self.bent = [dr.zeros(mi.Float, n_rays) for _ in range(3 * diffraction)]
        dr.eval(self.number)

    def read(self, taken: int, rays: Launch) -> Landed:
        """What is written, ray by ray."""
        pixel, ray, power = (np.asarray(part.numpy())[:taken] for part in (self.pixel, self.ray, self.power.array))
        order = np.lexsort((pixel, ray))
        order = order[power[order] > 0.0]  # written so that NaN falls out
        pixel, ray, power = pixel[order].astype(np.int32), ray[order], power[order]
        if self.diffraction:
            return Landed(pixel, power, np.stack([part.numpy()[ray] for part in self.bent], axis=1))
        return Landed(pixel, power * rays.weight[ray], directions(rays, ray))


def _recorder(tracer: RayTracer, plane: Plane, book: _Book) -> Any:
    """A kind of planar map that keeps rays apart: each has a place of its own in the map's array."""
    dr, mi, rt = tracer

    class Recorder(rt.PlanarRadioMap):  # type: ignore[misc, name-defined]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            plane.surface = self._meas_plane = plane.surface or self._meas_plane  # type: ignore[has-type]
            self._pathgain_map = book.power

        def add_paths(self, e_fields: Any, array_w: Any, si: Any, k_world: Any, tx_indices: Any, active: Any,
                      diffracted_paths: bool, *rest: Any, **named: Any) -> None:  # fmt: skip
            if diffracted_paths != book.diffraction:
                return
            if diffracted_paths:
                tx, point = (
                    named.get(name, rest[i] if i < len(rest) else None)
                    for i, name in ((1, "tx_positions"), (3, "diff_point"))
                )
                away = dr.normalize(point - dr.gather(mi.Point3f, tx, tx_indices))
                for axis, part in zip(book.bent, away, strict=True):
                    dr.scatter(axis, part, book.number, active)
            self._place = dr.scatter_inc(book.taken, mi.UInt(0), active)
            active = active & (self._place < book.room)
            dr.scatter(book.pixel, mi.UInt(super()._local_to_cell_ind(si.uv)), self._place, active)
            dr.scatter(book.ray, book.number, self._place, active)
            super().add_paths(e_fields, array_w, si, k_world, tx_indices, active, diffracted_paths, *rest, **named)
            del self._place

        def _local_to_cell_ind(self, p_local: Any) -> Any:
            return self._place  # the place in the array to which the map adds the ray's power

    return Recorder
