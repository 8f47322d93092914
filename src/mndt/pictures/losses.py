"""Path loss over distance: what a map has beside what a standard says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from mndt.pictures.style import INK, MUTED, RUN_COLOURS, quiet_axes

Array = np.ndarray

_DASHES: Final[tuple[Any, ...]] = ("solid", (0, (5, 1.6)), (0, (1.2, 1.2)))


@dataclass(frozen=True)
class Curve:
    """A loss by distance, with what lies one spread to either side."""

    name: str
    distance_m: Float[Array, "bins"]
    loss_db: Float[Array, "bins"]
    low_db: Float[Array, "bins"]
    high_db: Float[Array, "bins"]


def loss_curves(measured: Curve, standards: Sequence[Curve]) -> Figure:
    """A map's loss as a line in its band; standards as broken lines between thin ones. Loss grows downwards."""
    fig = Figure(figsize=(6.2, 4.4), layout="constrained", facecolor="white")
    axes = fig.add_subplot()
    axes.set_xscale("log")
    axes.fill_between(
        measured.distance_m, measured.low_db, measured.high_db, color=RUN_COLOURS[0], alpha=0.18, linewidth=0
    )
    axes.plot(measured.distance_m, measured.loss_db, color=RUN_COLOURS[0], linewidth=2.0, label=measured.name)
    for row, curve in enumerate(standards, start=1):
        colour, dash = RUN_COLOURS[row], _DASHES[row]
        axes.plot(curve.distance_m, curve.loss_db, color=colour, linewidth=1.6, linestyle=dash, label=curve.name)
        for edge in (curve.low_db, curve.high_db):
            axes.plot(curve.distance_m, edge, color=colour, linewidth=0.6, alpha=0.8)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(LogLocator(subs=()))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set(xlabel="distance on the map (m)", ylabel="loss (dB)")
    quiet_axes(axes)
    legend = axes.legend(frameon=False, fontsize=8.5, loc="upper right", handlelength=2.4, labelcolor=INK)
    legend.get_frame().set_edgecolor(MUTED)
    return fig
