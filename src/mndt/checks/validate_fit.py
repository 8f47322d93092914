"""`mndt validate fit`: fit a made-up operator's file whose truth is known, and see what is found again."""

from __future__ import annotations

import numpy as np

from mndt.checks._operator_file import OperatorFile, make
from mndt.checks.output import Figure, Result
from mndt.radio.measured import law
from mndt.radio.measured.features import Surroundings, links
from mndt.radio.measured.fitting import RadioFit, fit_radio

Array = np.ndarray


def run(*, seed: int = 0, quick: bool = False) -> Result:
    """Fit propagation to a generated operator's file and compare with what it hides.

    Args:
        seed: of the city, its hidden parameters and its reports.
        quick: fewer reports and sites, within a minute.

    Figures: RMSE and coverage of `mndt fit radio` on held-out cells, pixels and blocks; how far the fit is below
    log-distance on held-out cells; and, for links that no phone reported as they did not serve, bias
    and RMSE of the law with the selection undone and ignored.
    """
    rows, sites, size_m = (10_000, 16, 1200.0) if quick else (60_000, 25, 1600.0)
    truth = make(seed=seed, rows=rows, sites=sites, size_m=size_m)
    fit = fit_radio(truth.samples, truth.cells, truth.ground, seed=seed)
    found = fit.figures()
    others = ("constant", "log_distance", "tr_38_901", "trees")
    below = {f"below_{name}_cells_db": found[f"rmse_cells_{name}_db"] - found["rmse_cells_mndt_db"] for name in others}
    figures: dict[str, Figure] = {**found, **below, **unserved(truth, fit), **bearings(truth, fit)}
    return Result("fit", figures, seeds=[seed])


def unserved(truth: OperatorFile, fit: RadioFit, n: int = 20_000) -> dict[str, Figure]:
    """Errors of the law, known offsets included, on any link, whether a phone would report it or not."""
    rng = np.random.default_rng(0)
    rows, cols = truth.indoor.shape
    edge = truth.ground.cell_m
    cell = rng.integers(0, len(truth.cells), n).astype(np.int32)
    place = rng.integers(0, rows * cols, n)
    x, y = (place % cols + 0.5) * edge, (place // cols + 0.5) * edge
    level = truth.mean_dbm.reshape(len(truth.cells), -1)[cell, place]
    asked = links(cell, x, y, truth.cells, Surroundings(truth.ground))
    design, chosen = law.design(asked), fit.fitted.selected
    out: dict[str, Figure] = {}
    for name, fitted in (("", chosen.law), ("_selection_ignored", chosen.plain)):
        error = fitted.mean_dbm(design, asked, known=True) - level
        out[f"unserved_bias{name}_db"] = float(error.mean())
        out[f"unserved_rmse{name}_db"] = float(np.sqrt(np.mean(error**2)))
    return out


def bearings(truth: OperatorFile, fit: RadioFit) -> dict[str, Figure]:
    """Cells with a wrong azimuth in the inventory that were found, and cells accused wrongly."""
    gap = (truth.cells.azimuth_deg - truth.azimuth_deg + 180.0) % 360.0 - 180.0
    wrong = set(np.flatnonzero(np.abs(gap) > 30.0).tolist())
    accused = {suspect.cell for suspect in fit.suspects}
    return {
        "azimuths_wrong": len(wrong),
        "azimuths_found": len(wrong & accused),
        "azimuths_accused_wrongly": len(accused - wrong),
    }
