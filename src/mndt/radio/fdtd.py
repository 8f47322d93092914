"""Maxwell's equations in a horizontal slice of a street: a slow referee for models of rays.

Two-dimensional FDTD with the electric field upright (TMz) on Yee's grid [1], in vacuum, lossy dielectrics
and perfect conductors, inside a convolutional absorbing layer (CPML) [2]. A short pulse is sent and the
field at the carrier is its running Fourier sum, so one simulation gives the steady state of a line source.

A line source spreads like a cylinder: compare field beside the free field (`Field.excess_db`), never
absolute losses, with models in three dimensions.

[1] K. S. Yee, IEEE Trans. Antennas Propag. 14(3), 1966, 302-307, doi:10.1109/TAP.1966.1138693
[2] J. A. Roden and S. D. Gedney, Microw. Opt. Technol. Lett. 27(5), 2000, 334-339,
    doi:10.1002/1098-2760(20001205)27:5<334::AID-MOP14>3.0.CO;2-A
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Complex64, Complex128, Float, Float32, Float64

from mndt.errors import InputError
from mndt.parallel import bar
from mndt.units import LIGHT_MPS, linear_to_db

Array = np.ndarray

VACUUM_F_PER_M: Final = 8.854_187_8188e-12
"""Permittivity of vacuum, CODATA 2022."""

COURANT: Final = 0.99 / math.sqrt(2.0)
"""c dt / dx: just inside the bound of stability in two dimensions, 1 / sqrt(2)."""

LEAST_CELLS: Final = 8
"""Cells for a wavelength in the densest material at least."""

_GRADING, _STRETCH, _SHIFT = 3, 5.0, 0.1  # polynomial order, largest kappa, alpha relative to the carrier's omega eps_0
_WIDTH: Final = 1.5  # of the pulse, in periods
_SAMPLES: Final = 4  # of the running Fourier sum in a period, at least


@dataclass(frozen=True, eq=False)
class Slice:
    """What fills the plane. Row 0 is the south; cells are square and centred on their field point."""

    cell_m: float
    permittivity: Float32[Array, "rows cols"]  # relative
    conductivity: Float32[Array, "rows cols"]  # S/m
    conductor: Bool[Array, "rows cols"]  # perfect: no field

    @classmethod
    def empty(cls, rows: int, cols: int, cell_m: float) -> Slice:
        """Vacuum.

        >>> Slice.empty(3, 4, 0.01).permittivity.shape
        (3, 4)
        """
        shape = rows, cols
        return cls(cell_m, np.ones(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, bool))

    @property
    def step_s(self) -> float:
        """Length of a time step."""
        return COURANT * self.cell_m / LIGHT_MPS


@dataclass(frozen=True, eq=False)
class Field:
    """The steady field of a line source at the carrier, e^(+j omega t).

    `green` is scaled so that it is -j/4 H0^(2)(k r) in vacuum. Its rows and columns are every
    `every`-th of the slice's, from the first on.
    """

    green: Complex64[Array, "sampled_rows sampled_cols"]
    every: int
    cell_m: float  # of the slice
    source: tuple[int, int]  # row and column in the slice
    carrier_hz: float
    steps: int
    left: float  # share of the pulse's energy still there in the end
    seconds: float  # of a core

    def distance_m(self) -> Float64[Array, "sampled_rows sampled_cols"]:
        """From the source to each sample."""
        down, across = (np.arange(n) * self.every - at for n, at in zip(self.green.shape, self.source, strict=True))
        return np.asarray(np.hypot(down[:, None], across) * self.cell_m)

    def excess_db(self) -> Float64[Array, "sampled_rows sampled_cols"]:
        """Loss beyond the free field at the same distance; negative where it is stronger. 0 at the source."""
        distance_m = self.distance_m()
        at = distance_m > 0
        ratio = np.ones(distance_m.shape)
        ratio[at] = np.abs(self.green[at]) ** 2 / np.abs(free_field(distance_m[at], self.carrier_hz)) ** 2
        return -linear_to_db(ratio)


def free_field(distance_m: Float[Array, "*points"], carrier_hz: float) -> Complex128[Array, "*points"]:
    """Line source in vacuum: -j/4 H0^(2)(k r), which solves (laplacian + k^2) u = -delta and goes outwards.

    >>> near, far = abs(free_field(np.array([10.0, 40.0]), 1e9))
    >>> round(float(near / far), 3)
    2.0
    """
    from scipy.special import hankel2

    return np.asarray(-0.25j * hankel2(0, 2.0 * np.pi * carrier_hz / LIGHT_MPS * np.asarray(distance_m)))


def simulate(
    scene: Slice,
    source: tuple[int, int] | tuple[int, Float[Array, "cols"]],
    carrier_hz: float,
    *,
    every: int = 1,
    absorber: tuple[int, int] = (12, 12),
    until: float = 1e-5,
    most_s: float | None = None,
) -> Field:
    """The field at the carrier of one source.

    Args:
        scene: what fills the plane, the absorbing layer included; materials go on into it.
        source: row and column of a line source; or a row and the amplitude of every cell in it.
        carrier_hz: carrier frequency.
        every: keep every so many-th row and column of the field.
        absorber: cells of the absorbing layer at south and north, at west and east; 0: a perfect conductor.
        until: stop when this share of the pulse's energy is left.
        most_s: simulated seconds at most; otherwise sixteen times what light needs across the plane.

    Raises:
        InputError: cells too large for the carrier, layers thicker than the plane, or a source in them.
    """
    began = time.process_time()
    row, amplitudes, place = _source(scene, source)
    _check(scene, place, carrier_hz, absorber)
    grid = _Grid(scene, carrier_hz, absorber)
    omega, step_s = 2.0 * np.pi * carrier_hz, scene.step_s
    width_s = _WIDTH / carrier_hz
    block = max(1, int(1.0 / (carrier_hz * step_s * _SAMPLES)))
    reach_s = math.hypot(*scene.permittivity.shape) * scene.cell_m / LIGHT_MPS
    sent_s, most_s = 6.0 * width_s, most_s or 16.0 * reach_s
    total = np.zeros(grid.ez[::every, ::every].shape, np.complex64)
    sent, largest, n, left = 0j, 0.0, 0, 1.0
    with bar("time steps of the field", math.ceil(most_s / step_s / block)) as advance:
        while n * step_s < most_s and left > until:
            times_s = (n + np.arange(block)) * step_s
            pulse = np.exp(-(((times_s - 3.0 * width_s) / width_s) ** 2)) * np.sin(omega * (times_s - 3.0 * width_s))
            grid.run(row, amplitudes, pulse.astype(np.float32))
            n += block
            sent += complex(np.sum(pulse * np.exp(-1j * omega * times_s)))
            total += grid.ez[::every, ::every] * np.complex64(np.exp(-1j * omega * step_s * (n - 1)))
            advance()
            if n // block % 8 == 0:
                energy = grid.energy()
                largest = max(largest, energy)
                left = energy / largest if n * step_s > sent_s else 1.0
    scale = LIGHT_MPS**2 * step_s / (1j * omega * scene.cell_m**2) * block / sent
    seconds = time.process_time() - began
    green = (total * np.complex64(scale)).astype(np.complex64)
    return Field(green, every, scene.cell_m, place, carrier_hz, n, left, seconds)


class _Grid:
    """Fields, coefficients and the absorbing layer's memory."""

    def __init__(self, scene: Slice, carrier_hz: float, absorber: tuple[int, int]) -> None:
        rows, cols = scene.permittivity.shape
        self.ez, self.hx, self.hy = (np.zeros((rows, cols), np.float32) for _ in range(3))
        loss = scene.conductivity * np.float32(scene.step_s / (2.0 * VACUUM_F_PER_M)) / scene.permittivity
        self.keep = ((1 - loss) / (1 + loss)).astype(np.float32)
        self.gain = (np.float32(COURANT) / scene.permittivity / (1 + loss)).astype(np.float32)
        for coefficient in (self.keep, self.gain):
            coefficient[scene.conductor] = 0.0
            coefficient[[0, -1]] = coefficient[:, [0, -1]] = 0.0
        self.layers = tuple(
            np.stack([_layer(deep, max(absorber), offset, scene, carrier_hz) for deep in absorber])
            for offset in (0.0, 0.5)
        )
        self.depths = np.array(absorber, np.int64)
        self.memory = (
            np.zeros((2, 2 * absorber[0], cols), np.float32),
            np.zeros((rows, 2, 2 * absorber[1]), np.float32),
        )

    def run(self, row: int, source: Float32[Array, "cols"], values: Float32[Array, "steps"]) -> None:
        """As many steps as there are values."""
        from mndt.radio._fdtd import advance

        advance(
            self.ez, self.hx, self.hy, self.keep, self.gain, np.float32(COURANT), row, source, values,
            *self.layers, *self.memory, self.depths,
        )  # fmt: skip

    def energy(self) -> float:
        """Proportional to the electric field's energy, from a sample of the cells."""
        return float(np.square(self.ez[::4, ::4], dtype=np.float64).sum())


def _layer(deep: int, most: int, offset: float, scene: Slice, carrier_hz: float) -> Float32[Array, "3 most"]:
    """Factors b, c and 1 / kappa - 1 of an absorbing layer from its border inwards, recursive as in [2].

    Graded as a polynomial; the best largest conductivity is 0.8 (order + 1) / (impedance dx).
    """
    factors = np.zeros((3, most), np.float32)
    if deep == 0:
        return factors
    # The field points of the layer lie one cell (E) and half a cell (H) and so on from the conductor behind it.
    depth = np.clip((deep - (np.arange(deep) + 1.0 - offset)) / deep, 0.0, 1.0)
    loss = depth**_GRADING * 0.8 * (_GRADING + 1) * COURANT  # sigma dt / eps_0
    kappa = 1.0 + (_STRETCH - 1.0) * depth**_GRADING
    shift = (1.0 - depth) * _SHIFT * 2.0 * np.pi * carrier_hz * scene.step_s  # alpha dt / eps_0
    b = np.exp(-(loss / kappa + shift))
    c = np.divide(loss, kappa * (loss + kappa * shift), out=np.zeros(deep), where=loss > 0) * (b - 1.0)
    factors[:, :deep] = b, c, 1.0 / kappa - 1.0
    return factors


def _source(
    scene: Slice, source: tuple[int, int] | tuple[int, Float[Array, "cols"]]
) -> tuple[int, Float32[Array, "cols"], tuple[int, int]]:
    """Row of the source, amplitude of each of its cells, and its strongest cell."""
    row, where = source
    cols = scene.permittivity.shape[1]
    if np.ndim(where) == 0:
        amplitudes = np.zeros(cols, np.float32)
        if 0 <= int(where) < cols:
            amplitudes[int(where)] = 1.0
        return row, amplitudes, (row, int(where))
    amplitudes = np.asarray(where, np.float32)
    return row, amplitudes, (row, int(np.abs(amplitudes).argmax()))


def _check(scene: Slice, place: tuple[int, int], carrier_hz: float, absorber: tuple[int, int]) -> None:
    shape = scene.permittivity.shape
    densest = math.sqrt(float(np.where(scene.conductor, 1.0, scene.permittivity).max()))
    largest_m = LIGHT_MPS / (carrier_hz * densest * LEAST_CELLS)
    if not 0 < scene.cell_m <= largest_m:
        fix = f"{LEAST_CELLS} cells for a wavelength in the densest material are the least"
        raise InputError("cell_m", scene.cell_m, allowed=f"up to {largest_m:.4g} m here", fix=fix)
    if any(n < 2 * deep + 4 or deep < 0 for n, deep in zip(shape, absorber, strict=True)):
        raise InputError("absorber", absorber, allowed="less than half the plane", fix="make the plane larger")
    inside = all(deep < at < n - 1 - deep for at, n, deep in zip(place, shape, absorber, strict=True))
    if not inside or scene.conductor[place]:
        raise InputError(
            "source", place, allowed="a cell inside, in no conductor and no absorbing layer", fix="move it"
        )
