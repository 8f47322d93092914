"""Sionna RT's radio-map solver, told to write down every ray instead of adding them up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt32

from mndt.radio._llvm import RayTracer, quiet_third_parties

Array = np.ndarray

_ONE_AT_A_TIME = threading.Lock()


class Landed(NamedTuple):
    """Rays that crossed the map's plane, one row each, in an order that means nothing."""

    pixel: UInt32[Array, "landed"]
    power: Float32[Array, "landed"]  # what it adds to the pixel's gain
    ray: UInt32[Array, "landed"]  # row of `toward`
    toward: Float32[Array, "rays 3"]  # unit vectors of departure


class Plane(NamedTuple):
    """The map's plane in the scene's frame."""

    x_m: float  # of its centre
    y_m: float
    height_m: float
    cell_m: float
    rows: int
    cols: int


def landed(tracer: RayTracer, scene: Any, plane: Plane, n_rays: int, room: int, **switches: Any) -> Landed:
    """Trace the scene's only transmitter and return all rays that cross the plane.

    Args:
        tracer: the loaded ray tracer.
        scene: with one transmitter.
        plane: where rays are counted.
        n_rays: launched.
        room: how many crossings to make room for; a second trace follows where more are found.
        switches: arguments of Sionna RT's solver.
    """
    with _ONE_AT_A_TIME, quiet_third_parties():
        while True:
            recorder, made = _recorder(tracer, n_rays, room, bool(switches["diffraction"]))
            with _in_place_of_maps(tracer, recorder):
                tracer.rt.RadioMapSolver()(
                    scene, center=[plane.x_m, plane.y_m, plane.height_m], orientation=[0, 0, 0],
                    size=[plane.cols * plane.cell_m, plane.rows * plane.cell_m],
                    cell_size=(plane.cell_m, plane.cell_m), samples_per_tx=n_rays, **switches,
                )  # fmt: skip
            found = made[-1].found()
            if found is not None:
                return found
            room = made[-1].count


@contextmanager
def _in_place_of_maps(tracer: RayTracer, recorder: Any) -> Iterator[None]:
    """Let the solver make recorders where it would make planar maps."""
    from sionna.rt.radio_map_solvers import radio_map_solver as module

    usual = module.PlanarRadioMap
    module.PlanarRadioMap = recorder
    try:
        yield
    finally:
        module.PlanarRadioMap = usual


def _recorder(tracer: RayTracer, n_rays: int, room: int, diffraction: bool) -> tuple[Any, list[Any]]:
    """A kind of planar map that keeps rays apart: each has a place of its own in the map's array.

    Returns:
        The class, and a list to which each object that is made of it adds itself.
    """
    dr, mi, rt = tracer
    made: list[Any] = []

    class Recorder(rt.PlanarRadioMap):  # type: ignore[misc, name-defined]
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._taken = dr.zeros(mi.UInt, 1)
            self._pixel = dr.zeros(mi.UInt, room)
            self._ray = dr.zeros(mi.UInt, room)
            self._pathgain_map = dr.zeros(mi.TensorXf, (1, 1, room))
            self._lane = dr.arange(mi.UInt, n_rays)
            self._bent = [dr.zeros(mi.Float, n_rays) for _ in range(3 * diffraction)]
            dr.eval(self._lane)
            self._slot: Any = None
            made.append(self)

        def add_paths(self, e_fields: Any, array_w: Any, si: Any, k_world: Any, tx_indices: Any, active: Any,
                      diffracted_paths: bool, *rest: Any, **named: Any) -> None:  # fmt: skip
            ray = self._lane
            if diffracted_paths:
                tx, point = (named.get(name, rest[i] if i < len(rest) else None)
                             for i, name in ((1, "tx_positions"), (3, "diff_point")))  # fmt: skip
                away = dr.normalize(point - dr.gather(mi.Point3f, tx, tx_indices))
                for axis, part in zip(self._bent, away, strict=True):
                    dr.scatter(axis, part, self._lane, active)
                ray = ray + n_rays
            slot = dr.scatter_inc(self._taken, mi.UInt(0), active)
            active = active & (slot < room)
            self._slot = slot
            dr.scatter(self._pixel, mi.UInt(super()._local_to_cell_ind(si.uv)), slot, active)
            dr.scatter(self._ray, ray, slot, active)
            super().add_paths(e_fields, array_w, si, k_world, tx_indices, active, diffracted_paths, *rest, **named)
            self._slot = None

        def _local_to_cell_ind(self, p_local: Any) -> Any:
            return self._slot  # the place in the array to which the map adds the ray's power

        def found(self) -> Landed | None:
            self.count = int(self._taken[0])
            if self.count > room:
                return None
            pixel, ray, power = (
                part.numpy()[: self.count] for part in (self._pixel, self._ray, self._pathgain_map.array)
            )
            square = rt.utils.fibonacci_lattice(n_rays)
            toward = [mi.warp.square_to_uniform_sphere(square).numpy().T]
            if self._bent:
                toward.append(np.stack([part.numpy() for part in self._bent], axis=1))
            return Landed(pixel, power, ray, np.ascontiguousarray(np.concatenate(toward)))

    return Recorder, made
