"""`mndt validate loop`: networks whose hidden parameters are known, calibrated, predicted, and watched for drift."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from mndt.checks.output import Figure, Result
from mndt.city.synthetic import synthetic_city
from mndt.parallel import track
from mndt.plants import UserSamples
from mndt.plants.emulated import EmulatedPlant
from mndt.plants.foreign import foreign
from mndt.plants.hidden import Hidden, draw_hidden, impose
from mndt.radio.parameters import RadioParameters
from mndt.twin.calibration import Calibration, Points, Prior, calibrate, gather, hidden_of, samples_of, shadows_db
from mndt.twin.calibration import with_noise as measured
from mndt.twin.calibration_ensemble import invert
from mndt.twin.drift import begin_drift, innovations
from mndt.units import w_to_dbm
from mndt.world import World, as_built, build_world

Array = np.ndarray

NOISE_DB: Final = 2.0
"""Error of one measurement of a user; assumed."""

WITHIN_STEPS: Final = 30
CYCLES: Final = 5
CLOSE: Final = 1.1  # times the error of the true parameters

OTHER_LAWS: Final = Prior(offset_db=6.0, shadowing_db=6.0)
"""Wider, as nothing about the other laws is known; chosen before any was looked at."""


def run(*, quick: bool = False, seed: int = 0) -> Result:
    """Calibrate emulated networks and compare with what they hide.

    Args:
        quick: a tenth of the trials, within a minute.
        seed: the first trial's; the others follow.
    """
    trials, ensembles, shifts, quiet, others = (20, 1, 5, 400, 2) if quick else (200, 8, 60, 4000, 8)
    world = small()
    figures: dict[str, Figure] = {}
    figures |= intervals(world, seed, trials)
    figures |= cycles(world, seed + 10_000, max(trials // 20, 2))
    figures |= whole_simulator(world, seed + 20_000, ensembles)
    figures |= drift(world, seed + 30_000, shifts, quiet)
    figures |= other_structure(world, seed + 40_000, others)
    return Result("loop", figures, seeds=[seed])


def small() -> World:
    """Five cells: trials must be cheap."""
    city = synthetic_city(lanes=120, areas=30, outdoor_sites=2, indoor_sites=3, size_m=400.0)
    return build_world(city, radio=RadioParameters(engine="tr38901", resolution_m=8.0))


def intervals(world: World, seed: int, trials: int) -> dict[str, Figure]:
    """How often 90 % intervals of identified parameters hold the truth."""
    inside, ratios = [], []
    for trial in track(range(trials), "calibrating"):
        hidden = draw_hidden(world, seed + trial)
        found = calibrate(world, as_built(world.city), gather(world, watch(_plant(world, hidden, trial), trial)))
        truth = dict(zip(found.names, theta_of(hidden), strict=True))
        told = [row for row in found.report() if row.identified]
        inside += [row.low <= truth[row.name] <= row.high for row in told]
        ratios += [row.sd / row.prior_sd for row in told]
    return {
        "trials": trials,
        "coverage_90": float(np.mean(inside)),
        "intervals": len(inside),
        "identified_per_trial": len(inside) / trials,
        "sd_ratio_to_prior": float(np.mean(ratios)),
    }


def cycles(world: World, seed: int, trials: int) -> dict[str, Figure]:
    """Cycles of half a minute until power in other runs is predicted nearly as by the true parameters."""
    needed, ratio = [], np.empty((trials, CYCLES))
    for trial in track(range(trials), "predicting"):
        hidden = draw_hidden(world, seed + trial)
        plant, seen = _plant(world, hidden, trial), []
        fresh = gather_one_by_one(world, watch(_plant(world, hidden, 500 + trial), 500 + trial))
        floor = rmse(fresh.rsrp_dbm - predicted_dbm(impose(world, hidden), fresh))
        for cycle in range(CYCLES):
            seen += watch(plant, 1000 * trial + cycle)
            found = calibrate(world, as_built(world.city), gather(world, seen))
            ratio[trial, cycle] = rmse(fresh.rsrp_dbm - calibrated_dbm(world, found, fresh)) / floor
        close = np.flatnonzero(ratio[trial] <= CLOSE)
        needed.append(int(close[0]) + 1 if len(close) else CYCLES + 1)
    return {
        "cycles_to_noise_floor": max(needed),
        "cycles_to_noise_floor_median": float(np.median(needed)),
        "error_ratio_first_cycle": float(ratio[:, 0].mean()),
        "error_ratio_last_cycle": float(ratio[:, -1].mean()),
    }


def whole_simulator(world: World, seed: int, trials: int) -> dict[str, Figure]:
    """Demand and noise rise from KPIs of cells, by an ensemble of simulations."""
    sd = np.array([0.2, 1.0])
    inside, ratios = [], []
    for trial in track(range(trials), "simulating members"):
        truth = sd * np.random.default_rng(seed + trial).standard_normal(2)
        data = _kpis(world, truth, 7000 + trial)
        scatter = np.stack([_kpis(world, np.zeros(2), 8000 + other) for other in range(6)]).var(axis=0, ddof=1)
        # the data scatter by their own seed, the members' common seed by another
        variance = 2.0 * scatter + 1e-4
        found = invert(
            partial(_kpis, world, seed=9000 + trial),
            data, variance, np.zeros(2), sd, members=16, seed=seed + trial,
        )  # fmt: skip
        inside.append(np.abs(found.mean - truth) <= 1.645 * found.sd)
        ratios.append(found.sd / sd)
    share, ratio = np.mean(inside, axis=0), np.mean(ratios, axis=0)
    return {
        "ensemble_trials": trials,
        "ensemble_coverage_90_demand": float(share[0]),
        "ensemble_coverage_90_noise": float(share[1]),
        "ensemble_sd_ratio_demand": float(ratio[0]),
        "ensemble_sd_ratio_noise": float(ratio[1]),
    }


def drift(world: World, seed: int, trials: int, quiet: int) -> dict[str, Figure]:
    """Shifts of 3 dB of a cell that are noticed in time, and alarms where nothing shifted."""
    delays = []
    for trial in track(range(trials), "shifting"):
        hidden = draw_hidden(world, seed + trial)
        rng = np.random.default_rng(seed + trial)
        offset = np.asarray(hidden.offset_db) + 0.0
        offset[rng.integers(len(offset))] += rng.choice([-3.0, 3.0])
        before, watcher = _calibrated(world, hidden, trial)
        after = EmulatedPlant(
            world, replace(hidden, offset_db=tuple(offset.tolist())), seed=trial, memory=before.memory
        )
        alarms = watcher.alarms(after, WITHIN_STEPS, rng)
        delays.append(alarms[0] if alarms else WITHIN_STEPS + 1)
    found, networks = 0, 4
    for trial in track(range(networks), "watching in quiet"):
        plant, watcher = _calibrated(world, draw_hidden(world, seed + 5000 + trial), 5000 + trial)
        found += len(watcher.alarms(plant, quiet // networks, np.random.default_rng(seed + trial)))
    noticed = np.array(delays) <= WITHIN_STEPS
    return {
        "shifts": trials,
        "detected_share": float(noticed.mean()),
        "delay_median_steps": float(np.median(delays)),
        "quiet_steps": quiet,
        "false_alarms_per_1000": 1000.0 * found / quiet,
    }


def other_structure(world: World, seed: int, trials: int) -> dict[str, Figure]:
    """Mean absolute errors of power under other laws: two minutes later, and of a cell nobody measured."""
    later: dict[str, list[float]] = {"calibrated": [], "uncalibrated": [], "persistence": []}
    unseen: dict[str, list[float]] = {"calibrated": [], "uncalibrated": [], "persistence": []}
    for trial in track(range(trials), "meeting other laws"):
        plant = EmulatedPlant(foreign(world, seed + trial), seed=trial, period_s=5)
        seen = watch(plant, trial)
        for _ in range(24):
            plant.observe()
        new = watch(plant, 600 + trial)
        points, fresh = gather(world, seen), gather_one_by_one(world, new)
        found = calibrate(world, as_built(world.city), points, OTHER_LAWS)
        later["calibrated"].append(mae(fresh.rsrp_dbm - calibrated_dbm(world, found, fresh)))
        later["uncalibrated"].append(mae(fresh.rsrp_dbm - predicted_dbm(world, fresh)))
        later["persistence"].append(mae(_since(seen, new)))
        cell = trial % len(world.city.cells)
        known, left_out = points.only(points.cell != cell), fresh.only(fresh.cell == cell)
        found = calibrate(world, as_built(world.city), known, OTHER_LAWS)
        unseen["calibrated"].append(mae(left_out.rsrp_dbm - calibrated_dbm(world, found, left_out)))
        unseen["uncalibrated"].append(mae(left_out.rsrp_dbm - predicted_dbm(world, left_out)))
        # nothing to persist for a cell nobody measured: the mean of the others
        unseen["persistence"].append(mae(left_out.rsrp_dbm - np.average(known.rsrp_dbm, weights=known.number)))
    figures: dict[str, Figure] = {"other_laws": trials}
    for name, errors in (("later", later), ("unseen_cell", unseen)):
        figures |= {f"mae_db_{name}_{who}": float(np.mean(values)) for who, values in errors.items()}
    return figures


# Inside -----------------------------------------------------------------------------------------


class Watcher:
    """A calibrated twin that looks at every second of a network."""

    def __init__(self, world: World, found: Calibration) -> None:
        self._world = world
        rows, cols, n_cells = world.channel.maps.level.shape
        cell, row, col = (index.ravel() for index in np.indices((n_cells, rows, cols)))
        everywhere = Points(cell, row, col, np.zeros(len(cell)), np.ones(len(cell)))
        shadows, variance = shadows_db(found, world.channel.maps.cell_m, everywhere)
        level_dbm = predicted_dbm(impose(world, found.hidden), everywhere)
        self._mean_dbm = (level_dbm + shadows).reshape(n_cells, rows, cols)
        self._variance = variance.reshape(n_cells, rows, cols)

    def alarms(self, plant: EmulatedPlant, steps: int, rng: np.random.Generator) -> list[int]:
        """Steps, from 1, at which the twin asks for calibration; sums begin anew after each."""
        n_cells = len(self._world.city.cells)
        state, found = begin_drift(n_cells), []
        for step in range(1, steps + 1):
            users = plant.observe().users
            assert users is not None
            at = gather_one_by_one(self._world, [measured(users, NOISE_DB, rng)])
            place = at.cell, at.row, at.col
            error = at.rsrp_dbm - self._mean_dbm[place]
            state = state.add(innovations(error, self._variance[place], at.cell, n_cells, NOISE_DB))
            if state.alarm:
                found.append(step)
                state = begin_drift(n_cells)
        return found


def _calibrated(world: World, hidden: Hidden, seed: int) -> tuple[EmulatedPlant, Watcher]:
    """A network after half a minute, seen from now on every second, and the twin that was fitted to it."""
    plant = _plant(world, hidden, seed)
    found = calibrate(world, as_built(world.city), gather(world, watch(plant, seed)))
    return EmulatedPlant(world, hidden, seed=seed, memory=plant.memory), Watcher(world, found)


def _plant(world: World, hidden: Hidden, seed: int) -> EmulatedPlant:
    return EmulatedPlant(world, hidden, seed=seed, period_s=5)


def watch(plant: EmulatedPlant, seed: int, periods: int = 6) -> list[UserSamples]:
    """What users measure, with errors of their own."""
    rng = np.random.default_rng([seed, 77])
    return [measured(users, NOISE_DB, rng) for users in samples_of([plant.observe() for _ in range(periods)])]


def theta_of(hidden: Hidden) -> Array:
    """A network's parameters in the order of the fit."""
    parts = hidden.offset_db, hidden.obstructed_db_per_decade, hidden.wall_db
    return np.concatenate([np.atleast_1d(part) for part in (*parts, hidden.azimuth_bias_deg, hidden.tilt_bias_deg)])


def gather_one_by_one(world: World, samples: list[UserSamples]) -> Points:
    """Every measurement a point of its own."""
    parts = []
    for users in samples:
        told = (users.serving >= 0) & np.isfinite(users.rsrp_dbm)
        cell_m, (rows, cols, _) = world.channel.maps.cell_m, world.channel.maps.level.shape
        row, col = (
            np.clip(np.floor(at_m[told] / cell_m), 0, n - 1).astype(np.int64)
            for at_m, n in ((users.y_m, rows), (users.x_m, cols))
        )
        parts.append((users.serving[told].astype(np.int64), row, col, users.rsrp_dbm[told].astype(np.float64)))
    cell, row, col, rsrp_dbm = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Points(cell, row, col, rsrp_dbm, np.ones(len(cell)))


def predicted_dbm(world: World, at: Points) -> Array:
    """Power per block by a world's maps, antennas as built."""
    settings, cells = as_built(world.city), world.city.cells
    level = world.channel.aimed(settings).level[at.row, at.col, at.cell]
    return np.asarray((level >> 1) / 64.0 + w_to_dbm(settings.power_w / np.maximum(cells.blocks, 1))[at.cell])


def calibrated_dbm(world: World, found: Calibration, at: Points) -> Array:
    """Power per block by a calibrated twin, known shadows included."""
    shadows, _ = shadows_db(found, world.channel.maps.cell_m, at)
    return np.asarray(predicted_dbm(impose(world, hidden_of(found.theta, len(world.city.cells))), at) + shadows)


def _kpis(world: World, theta: Array, seed: int) -> Array:
    """Offered traffic and rate of users of every cell, over ten seconds, as logarithms."""
    busy, rise_db = theta
    hidden = Hidden(demand_scale=float(np.exp(busy)), noise_rise_db=float(rise_db))
    kpis = EmulatedPlant(world, hidden, seed=seed, period_s=10).observe().kpis
    rates = np.concatenate([kpis["X.OfferedDl"], kpis["X.SumRate"]])
    return np.asarray(np.log(np.maximum(np.nan_to_num(rates), 1.0)))


def _since(seen: list[UserSamples], new: list[UserSamples]) -> Array:
    """Change of each user's power since it was last measured, while it has the same cell."""
    last, errors = seen[-1], []
    for users in new:
        same = (users.serving >= 0) & (users.serving == last.serving)
        same &= np.isfinite(users.rsrp_dbm) & np.isfinite(last.rsrp_dbm)
        errors.append((users.rsrp_dbm - last.rsrp_dbm)[same])
    return np.concatenate(errors)


def rmse(error: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(error**2)))


def mae(error: Array) -> float:
    """Mean absolute value."""
    return float(np.mean(np.abs(error)))
