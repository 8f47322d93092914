"""From measurements to parameters of propagation, with a verdict on what never was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mndt.radio.measured import evaluation, law
from mndt.radio.measured.azimuths import Suspect, suspects
from mndt.radio.measured.case import Case, make_case
from mndt.radio.measured.evaluation import Field, HeldOut
from mndt.radio.measured.law import TERMS
from mndt.radio.measured.members import MEMBERS, Fitted, blend, fit_members
from mndt.radio.measured.samples import Ground, MeasuredCells, Samples
from mndt.radio.measured.shadow import Prediction, Shadowing
from mndt.streams import Streams

Array = np.ndarray


@dataclass(frozen=True)
class Parameter:
    """One coefficient of the law: prior, fit, and fit with the selection ignored."""

    name: str
    unit: str
    meaning: str
    prior: float
    prior_sd: float
    value: float
    error: float  # standard error
    plain: float  # with the selection by serving cell ignored


@dataclass(frozen=True)
class RadioParametersFit:
    """What later calibration takes over: plain numbers, no rows."""

    parameters: tuple[Parameter, ...]
    cell_sd_db: float  # spread of the cells' own offsets
    residual_db: float  # spread of reports around the law
    shadowing: Shadowing  # of what the whole ensemble leaves
    weights: dict[str, float]  # of the ensemble's members

    def __getitem__(self, name: str) -> float:
        """The fitted value of a parameter."""
        return next(p.value for p in self.parameters if p.name == name)


@dataclass(frozen=True)
class RadioFit:
    """The result of a fit."""

    case: Case
    parameters: RadioParametersFit
    fitted: Fitted  # on all rows
    field: Field  # rests of all rows under models that did not see their site
    bias_db: float
    offset_db: Float64[Array, "cells"]  # of each cell against the law
    offset_error_db: Float64[Array, "cells"]
    suspects: tuple[Suspect, ...]  # cells that seem to point elsewhere than the inventory says
    held_out: dict[str, HeldOut]  # "cells", "pixels", "blocks"

    def figures(self) -> dict[str, float]:
        """RMSE and coverage of every split, flat."""
        level, out = self.case.samples.rsrp_dbm, {}
        for split, held in self.held_out.items():
            for name, value in held.rmse_db(level).items():
                out[f"rmse_{split}_{_key(name)}_db"] = value
            out[f"coverage_{split}"] = held.coverage(level)
        return out

    def shadowing_map(self) -> tuple[Array, Array, Prediction]:
        """The layer of shadowing common to all cells at places where there are reports: x, y, mean and spread."""
        from mndt.radio.measured import shadow

        places = self.case.contest
        n = len(self.case.cells)
        nobody = np.full(len(places.x_m), n, np.int32)  # a cell, and a site, that nobody measured
        at = shadow.Rests(nobody, nobody, places.x_m, places.y_m, np.zeros(len(nobody)))
        known = self.field
        offset, variance = np.append(known.offset_db, 0.0), np.append(known.offset_var, 0.0)
        return places.x_m, places.y_m, shadow.predict(at, known.given, known.shadowing, offset, variance)


def _key(name: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return "_".join(words)


def fit_radio(samples: Samples, cells: MeasuredCells, ground: Ground, *, seed: int = 0) -> RadioFit:
    """Fit everything, and hold out cells, pixels and blocks to see what it is worth.

    Args:
        samples: measurements, in the frame of the cells.
        cells: the inventory.
        ground: buildings and altitude, or `bare_ground`.
        seed: draws folds, what is kept away, and rows for trees.
    """
    streams = Streams(seed)
    case = make_case(samples, cells, ground)
    fold = evaluation.site_folds(case, streams)
    every = np.arange(len(case))
    crossed = evaluation.cross(case, every, fold, streams, pairs=True)
    held = {"cells": evaluation.held_out_cells(case, crossed, streams)}
    held |= evaluation.held_out_pixels(case, fold, streams)
    fitted = fit_members(case, every, streams.generator("fit members on all"))
    weights = blend(crossed.outer, samples.rsrp_dbm)
    rest = samples.rsrp_dbm - crossed.outer @ weights
    field = evaluation.field_of(case, every, rest - rest.mean(), streams.generator("fit field", 101))
    chosen = fitted.selected
    return RadioFit(
        case=case,
        parameters=RadioParametersFit(
            _parameters(fitted), chosen.law.tau_db, chosen.law.sigma_db, field.shadowing,
            dict(zip(MEMBERS, weights.tolist(), strict=True)),
        ),
        fitted=fitted,
        field=field,
        bias_db=float(rest.mean()),
        offset_db=chosen.law.offset_db,
        offset_error_db=_offset_errors(case, chosen.law),
        suspects=suspects(case),
        held_out=held,
    )  # fmt: skip


def _parameters(fitted: Fitted) -> tuple[Parameter, ...]:
    found, plain = fitted.selected.law, fitted.selected.plain
    error = np.sqrt(np.diag(found.covariance))
    return tuple(
        Parameter(t.name, t.unit, t.meaning, t.mean, t.sd, float(v), float(e), float(p))
        for t, v, e, p in zip(TERMS, found.coefficient, error, plain.coefficient, strict=True)
    )


def _offset_errors(case: Case, found: law.Law) -> Float64[Array, "cells"]:
    blocks = np.bincount(case.samples.cell, case.weight, len(case.cells))
    return np.asarray(1.0 / np.sqrt(blocks / found.sigma_db**2 + 1.0 / max(found.tau_db, 0.1) ** 2))
