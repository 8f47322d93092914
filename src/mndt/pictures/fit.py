"""What a fit of propagation is worth, in one picture."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mndt.pictures.style import GRID, INK, MUTED, RUN_COLOURS, quiet_axes
from mndt.radio.measured.evaluation import names_of
from mndt.radio.measured.fitting import RadioFit

SPLITS: Final = {"cells": "other cells", "pixels": "other pixels", "blocks": "other 50 m blocks"}
OURS: Final = "mndt"
MAP_DB: Final = 8.0
"""Ends of the colours of the shadowing map."""


def fit_picture(fit: RadioFit) -> Figure:
    """Errors of all methods, predictions of unseen cells against measurements, and the shadowing map."""
    fig = Figure(figsize=(13.0, 4.6), layout="constrained", facecolor="white")
    left, middle, right = fig.subplots(1, 3, width_ratios=(1.25, 1.0, 1.1))
    _errors(left, fit)
    _scatter(middle, fit)
    x, y, common = fit.shadowing_map()
    dots = right.scatter(x, y, c=common.mean_db, s=3.0, cmap="RdBu", vmin=-MAP_DB, vmax=MAP_DB, linewidths=0)
    cells = fit.case.cells
    right.scatter(cells.x_m, cells.y_m, marker="^", s=18, color=INK, linewidths=0, label="sites")
    right.set_aspect("equal")
    right.set_title("shadowing common to all cells, dB", loc="left", fontsize=10, color=INK)
    right.tick_params(labelsize=8, colors=MUTED)
    fig.colorbar(dots, ax=right, shrink=0.8)
    return fig


def _errors(axes: Axes, fit: RadioFit) -> None:
    """One row for each method, one dot for each split."""
    level, held = fit.case.samples.rsrp_dbm, fit.held_out
    names = names_of(list(held.values()))
    names = [*(name for name in names if name != OURS), OURS]
    for row, (split, result) in enumerate(held.items()):
        errors = result.rmse_db(level)
        at = [k for k, name in enumerate(names) if name in errors]
        label = f"{SPLITS[split]} ({result.coverage(level):.0%} within the 90 % interval)"
        axes.plot([errors[names[k]] for k in at], at, "o", color=RUN_COLOURS[row], markersize=6, label=label)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.get_yticklabels()[-1].set_fontweight("bold")
    axes.invert_yaxis()
    axes.grid(axis="x", color=GRID)
    axes.set_title("RMSE on what was held out, dB", loc="left", fontsize=10, color=INK)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.08), fontsize=8, frameon=False)
    quiet_axes(axes)


def _scatter(axes: Axes, fit: RadioFit) -> None:
    held, level = fit.held_out["cells"], fit.case.samples.rsrp_dbm
    true, said = level[held.rows], held.predicted[OURS]
    ends = np.quantile(np.concatenate((true, said)), [0.002, 0.998])
    axes.hexbin(said, true, gridsize=45, extent=(*ends, *ends), bins="log", cmap="Blues", linewidths=0)
    axes.plot(ends, ends, color=INK, linewidth=0.8)
    axes.set_xlabel("predicted, cell never seen, dBm", fontsize=9, color=INK)
    axes.set_ylabel("measured, dBm", fontsize=9, color=INK)
    axes.set_title("reports of held-out cells", loc="left", fontsize=10, color=INK)
    quiet_axes(axes)
