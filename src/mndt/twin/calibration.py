"""Real minus predicted, turned into parameters: the smooth part, from the power that users measured.

The twin believes a network to be `Hidden` with unknown constants. Their prior is Gaussian; what users measured is the
map's gain, bent by them, plus a field of shadows for each cell and noise of the measurement. So the fit minimises

    1/2 r' G^-1 r + 1/2 (theta - theta0)' C0^-1 (theta - theta0),  r = y - predicted(theta),

where G holds the shadows' covariance sd^2 exp(-d / correlation) within a cell. Steps are Levenberg-Marquardt's
(Marquardt 1963, doi:10.1137/0111030); the posterior's covariance is Laplace's, (J' G^-1 J + C0^-1)^-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from jaxtyping import Bool, Float64, Int

from mndt.city.raster import rasterise
from mndt.errors import InputError
from mndt.plants import Observation, UserSamples
from mndt.plants.hidden import REFERENCE_M, Hidden
from mndt.state import CellSettings
from mndt.units import w_to_dbm
from mndt.world import World

Array = np.ndarray

Z90: Final = 1.6448536269514722
"""Half the width of a 90 % interval of a Gaussian, in standard deviations."""

IDENTIFIED: Final = 0.5
"""A parameter is identified where its posterior's spread is at most this share of its prior's."""

STEP_DEG: Final = 1.0
"""Antennas are turned by this much each way to see what their bearing does."""


@dataclass(frozen=True)
class Prior:
    """What is believed before anything was measured: standard deviations, assumed; 0 = known."""

    offset_db: float = 3.0
    obstructed_db_per_decade: float = 6.0
    wall_db: float = 4.0
    azimuth_bias_deg: float = 5.0
    tilt_bias_deg: float = 1.0
    shadowing_db: float = 3.0
    shadowing_m: float = 40.0
    noise_db: float = 2.0  # of one measurement


@dataclass(frozen=True)
class Points:
    """Measurements gathered by pixel and serving cell."""

    cell: Int[Array, "points"]
    row: Int[Array, "points"]
    col: Int[Array, "points"]
    rsrp_dbm: Float64[Array, "points"]  # mean over the measurements
    number: Float64[Array, "points"]  # of measurements

    def __len__(self) -> int:
        """Number of points."""
        return len(self.cell)

    def only(self, which: Bool[Array, "points"]) -> Points:
        """Some of them."""
        return Points(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Identified:
    """One parameter after the fit."""

    name: str
    mean: float
    low: float  # of the 90 % interval
    high: float
    prior_sd: float
    sd: float

    @property
    def identified(self) -> bool:
        """Whether the measurements say much more than the prior."""
        return self.sd <= IDENTIFIED * self.prior_sd


@dataclass(frozen=True)
class Calibration:
    """A fit: parameters, how sure they are, and which the measurements say nothing about."""

    names: tuple[str, ...]
    theta: Float64[Array, "parameters"]
    covariance: Float64[Array, "parameters parameters"]
    prior_sd: Float64[Array, "parameters"]
    fisher: Float64[Array, "parameters"]  # eigenvalues in units of the prior, the largest first
    hidden: Hidden  # the same numbers, as the twin takes them
    prior: Prior
    points: Points
    left_db: Float64[Array, "points"]  # what the parameters leave unexplained: shadows and noise
    steps: int

    def report(self) -> list[Identified]:
        """Every parameter with its interval."""
        sd = np.sqrt(np.diag(self.covariance))
        rows = zip(self.names, self.theta, sd, self.prior_sd, strict=True)
        return [
            Identified(name, float(m), float(m - Z90 * s), float(m + Z90 * s), float(p), float(s))
            for name, m, s, p in rows
        ]

    def text(self) -> str:
        """The report for people."""
        head = f"{'parameter':<28}{'mean':>9}{'low':>9}{'high':>9}{'prior sd':>10}{'sd':>8}"
        lines = [
            f"{p.name:<28}{p.mean:>9.2f}{p.low:>9.2f}{p.high:>9.2f}{p.prior_sd:>10.2f}{p.sd:>8.2f}"
            + ("" if p.identified else "  not identified")
            for p in self.report()
        ]
        blind = int(np.count_nonzero(self.fisher < 1.0))
        return "\n".join([head, *lines, f"{blind} directions of {len(self.names)} known no better than before"])


def gather(world: World, samples: Sequence[UserSamples]) -> Points:
    """Mean power by pixel and serving cell; users without a cell say nothing.

    Args:
        world: the twin, whose pixels count.
        samples: of any number of periods under the same settings.

    Raises:
        InputError: nobody measured anything.
    """
    rows, cols, _ = world.channel.maps.level.shape
    cell_m = world.channel.maps.cell_m
    key, power = [], []
    for users in samples:
        told = (users.serving >= 0) & np.isfinite(users.rsrp_dbm)
        row, col = (
            np.clip(np.floor(at_m[told] / cell_m), 0, n - 1).astype(np.int64)
            for at_m, n in ((users.y_m, rows), (users.x_m, cols))
        )
        key.append((users.serving[told].astype(np.int64) * rows + row) * cols + col)
        power.append(users.rsrp_dbm[told].astype(np.float64))
    keys = np.concatenate(key) if key else np.empty(0, np.int64)
    if not len(keys):
        raise InputError("samples", 0, allowed="measurements of users", fix="observe a network that tells them")
    where, inverse, number = np.unique(keys, return_inverse=True, return_counts=True)
    mean = np.bincount(inverse, np.concatenate(power)) / number
    return Points(where // (rows * cols), where // cols % rows, where % cols, mean, number.astype(np.float64))


def samples_of(observations: Sequence[Observation]) -> list[UserSamples]:
    """What users measured, where observations tell."""
    return [found.users for found in observations if found.users is not None]


class Radio:
    """What the twin predicts at points, and how that moves with the parameters.

    Args:
        world: the twin, uncalibrated.
        settings: what the network says it is set to.
        points: where.
    """

    def __init__(self, world: World, settings: CellSettings, points: Points) -> None:
        self._world, self._settings, self._points = world, settings, points
        channel, city = world.channel, world.city
        n, n_cells = len(points), len(city.cells)
        self._per_block_dbm = w_to_dbm(settings.power_w / np.maximum(city.cells.blocks, 1)).astype(np.float64)
        cell_m, layers = channel.site_maps.cell_m, channel.site_maps.layers
        layer = np.asarray(layers.of_cell)[points.cell]
        far_m = np.hypot(
            (points.col + 0.5) * cell_m - layers.x_m[layer], (points.row + 0.5) * cell_m - layers.y_m[layer]
        )
        blocked = (channel.maps.level[points.row, points.col, points.cell] & 1) == 0
        inside = rasterise(city.buildings, city.frame, cell_m).building[points.row, points.col] >= 0
        outdoor = ~np.asarray(city.sites.indoor)[np.asarray(city.cells.site)[points.cell]]
        self._linear = np.zeros((n, n_cells + 2))
        self._linear[np.arange(n), points.cell] = 1.0
        self._linear[:, n_cells] = -np.log10(np.maximum(far_m, 10.0) / REFERENCE_M) * blocked
        self._linear[:, n_cells + 1] = -1.0 * (inside & outdoor)
        self.names = (
            *(f"offset_db {name}" for name in city.cells.name), "obstructed_db_per_decade", "wall_db",
            *(f"azimuth_bias_deg {name}" for name in city.cells.name),
            *(f"tilt_bias_deg {name}" for name in city.cells.name),
        )  # fmt: skip

    def prior_sd(self, prior: Prior) -> Float64[Array, "parameters"]:
        """Standard deviations in the order of `names`."""
        n = len(self._world.city.cells)
        every = [(prior.offset_db, n), (prior.obstructed_db_per_decade, 1), (prior.wall_db, 1)]
        every += [(prior.azimuth_bias_deg, n), (prior.tilt_bias_deg, n)]
        return np.concatenate([np.full(times, sd, np.float64) for sd, times in every])

    def predict_dbm(self, theta: Float64[Array, "parameters"]) -> Float64[Array, "points"]:
        """Power per block, as users measure it."""
        points, n_linear = self._points, self._linear.shape[1]
        settings = hidden_of(theta, len(self._world.city.cells)).aimed(self._settings)
        level = self._world.channel.aimed(settings).level[points.row, points.col, points.cell]
        return np.asarray((level >> 1) / 64.0 + self._per_block_dbm[points.cell] + self._linear @ theta[:n_linear])

    def jacobian(self, theta: Float64[Array, "parameters"], turning: bool) -> Float64[Array, "points parameters"]:
        """Derivatives: exact for what bends losses; for antennas, all turned at once, by central differences,
        as each point hears one cell."""
        n, n_linear = len(self._world.city.cells), self._linear.shape[1]
        out = np.zeros((len(self._points), len(theta)))
        out[:, :n_linear] = self._linear
        for first in (n_linear, n_linear + n) if turning else ():
            turn = np.zeros(len(theta))
            turn[first : first + n] = STEP_DEG
            slope = (self.predict_dbm(theta + turn) - self.predict_dbm(theta - turn)) / (2.0 * STEP_DEG)
            out[np.arange(len(out)), first + self._points.cell] = slope
        return out


def hidden_of(theta: Float64[Array, "parameters"], n_cells: int) -> Hidden:
    """Parameters of the fit as those of a network."""
    n = n_cells
    return Hidden(
        offset_db=tuple(theta[:n].tolist()),
        obstructed_db_per_decade=float(theta[n]),
        wall_db=float(theta[n + 1]),
        azimuth_bias_deg=tuple(theta[n + 2 : 2 * n + 2].tolist()),
        tilt_bias_deg=tuple(theta[2 * n + 2 :].tolist()),
    )


def calibrate(
    world: World, settings: CellSettings, points: Points, prior: Prior | None = None, *, most_steps: int = 10
) -> Calibration:
    """Fit what bends losses and turns antennas to what users measured.

    Args:
        world: the twin, uncalibrated.
        settings: what the network says it is set to.
        points: of `gather`.
        prior: what is believed before.
        most_steps: of Levenberg-Marquardt.

    From a network that tells what its users measure::

        seen = [plant.observe() for _ in range(30)]
        found = calibrate(world, as_built(world.city), gather(world, samples_of(seen)))
        print(found.text())
    """
    prior, radio = prior or Prior(), Radio(world, settings, points)
    sd = radio.prior_sd(prior)
    free = sd > 0
    turning = bool(prior.azimuth_bias_deg or prior.tilt_bias_deg)
    whiten = Whitener(world.channel.maps.cell_m, points, prior)
    theta, damping, steps = np.zeros(len(sd)), 1e-3, 0
    left = whiten(points.rsrp_dbm - radio.predict_dbm(theta))
    cost = float(left @ left)
    jacobian = whiten(radio.jacobian(theta, turning))[:, free] * sd[free]  # in units of the prior
    for steps in range(1, most_steps + 1):  # noqa: B007
        known = jacobian.T @ jacobian + np.eye(int(free.sum()))
        uphill = jacobian.T @ left - theta[free] / sd[free]
        tried = theta.copy()
        tried[free] += sd[free] * np.linalg.solve(known + damping * np.diag(np.diag(known)), uphill)
        left_tried = whiten(points.rsrp_dbm - radio.predict_dbm(tried))
        cost_tried = float(left_tried @ left_tried + np.sum((tried[free] / sd[free]) ** 2))
        if cost_tried > cost:
            damping *= 10.0
            continue
        done = cost - cost_tried <= 1e-4 * max(cost, 1.0)
        theta, left, cost, damping = tried, left_tried, cost_tried, damping / 10.0
        if turning:
            jacobian = whiten(radio.jacobian(theta, turning))[:, free] * sd[free]
        if done:
            break
    fisher = jacobian.T @ jacobian
    covariance = np.zeros((len(sd), len(sd)))
    covariance[np.ix_(free, free)] = np.linalg.inv(fisher + np.eye(len(fisher))) * np.outer(sd[free], sd[free])
    return Calibration(
        names=radio.names,
        theta=theta,
        covariance=covariance,
        prior_sd=sd,
        fisher=np.linalg.eigvalsh(fisher)[::-1],
        hidden=hidden_of(theta, len(world.city.cells)),
        prior=prior,
        points=points,
        left_db=points.rsrp_dbm - radio.predict_dbm(theta),
        steps=steps,
    )


def shadows_db(
    found: Calibration, cell_m: float, at: Points
) -> tuple[Float64[Array, "points"], Float64[Array, "points"]]:
    """Mean and variance of the shadows at some points, given what the parameters left unexplained (kriging).

    Args:
        found: a calibration.
        cell_m: edge of a pixel.
        at: where; their measurements are not read.
    """
    prior, near = found.prior, found.points
    mean, variance = np.zeros(len(at)), np.full(len(at), prior.shadowing_db**2)
    for cell in np.unique(at.cell):
        here, there = np.flatnonzero(at.cell == cell), np.flatnonzero(near.cell == cell)
        if not len(there) or not prior.shadowing_db:
            continue
        among = _covariance(cell_m, near, there, there, prior) + np.diag(_noise(near, there, prior))
        across = _covariance(cell_m, at, here, there, prior, near)
        solved = np.linalg.solve(among, np.column_stack([found.left_db[there], across.T]))
        mean[here] = across @ solved[:, 0]
        variance[here] -= np.einsum("ij,ji->i", across, solved[:, 1:])
    return mean, np.maximum(variance, 0.0)


class Whitener:
    """Makes errors of the points independent and of unit variance: cell by cell, by Cholesky's factor."""

    def __init__(self, cell_m: float, points: Points, prior: Prior) -> None:
        self._parts = []
        for cell in np.unique(points.cell):
            rows = np.flatnonzero(points.cell == cell)
            covariance = _covariance(cell_m, points, rows, rows, prior) + np.diag(_noise(points, rows, prior))
            self._parts.append((rows, np.linalg.cholesky(covariance)))

    def __call__(self, errors: Array) -> Array:
        """Errors, or a column of them for each parameter."""
        from scipy.linalg import solve_triangular

        out = np.empty_like(errors)
        for rows, factor in self._parts:
            out[rows] = solve_triangular(factor, errors[rows], lower=True, check_finite=False)
        return out


# Inside -----------------------------------------------------------------------------------------


def _noise(points: Points, rows: Array, prior: Prior) -> Array:
    """Variance of the mean of each point; levels are rounded to 1/64 dB, so it is never nothing."""
    return np.asarray(prior.noise_db**2 / points.number[rows] + 1e-3)


def _covariance(cell_m: float, a: Points, rows_a: Array, rows_b: Array, prior: Prior, b: Points | None = None) -> Array:
    b = b or a
    apart = np.hypot(a.row[rows_a][:, None] - b.row[rows_b][None, :], a.col[rows_a][:, None] - b.col[rows_b][None, :])
    return np.asarray(prior.shadowing_db**2 * np.exp(-apart * cell_m / prior.shadowing_m))


def with_noise(users: UserSamples, noise_db: float, rng: np.random.Generator) -> UserSamples:
    """The same users with instruments that err."""
    error = (noise_db * rng.standard_normal(len(users.rsrp_dbm))).astype(np.float32)
    return replace(users, rsrp_dbm=np.asarray(users.rsrp_dbm + error, np.float32))
