"""A week of energy beside the traffic it serves, a panel a setting (the paper's Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mndt.files import whole_file
from mndt.pictures.style import GRID, INK, MUTED, quiet_axes, run_colour, to_png

Array = np.ndarray

TITLES: Final = {"a": "demand of the slot known", "b": "only the past known", "c": "the past known, hot reserve"}
"""Setting -> what stands above its panel."""


def week(
    panels: Mapping[str, Mapping[str, Float[Array, "slots"]]], traffic: Float[Array, "slots"], slot_s: int
) -> Figure:
    """Energy of each method in kWh a slot over days, solid; traffic dashed on an axis of its own.

    Args:
        panels: setting -> label -> energy.
        traffic: sum over all places, from the second day on.
        slot_s: length of a slot.
    """
    fig = Figure(figsize=(10.0, 3.0 * len(panels) + 0.8), layout="constrained", facecolor="white", dpi=150)
    days = 1.0 + np.arange(len(traffic)) * slot_s / 86400.0
    labels = list(dict.fromkeys(label for panel in panels.values() for label in panel))
    for place, (setting, panel) in enumerate(panels.items(), start=1):
        axes = fig.add_subplot(len(panels), 1, place)
        quiet_axes(axes)
        axes.grid(axis="y", color=GRID)
        for label, energy in panel.items():
            axes.plot(days, energy, color=run_colour(labels.index(label)), linewidth=1.1, label=label)
        axes.set_ylim(bottom=0.0)
        axes.set_ylabel("energy of a slot (kWh)", color=MUTED)
        axes.set_title(f"({setting}) {TITLES.get(setting, '')}", loc="left", fontsize=10, color=INK, fontweight="bold")
        _traffic(axes, days, traffic)
    fig.axes[-2].set_xlabel("days since the beginning", color=MUTED)
    seen = {label: line for axes in fig.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    fig.legend(seen.values(), seen.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    return fig


def _traffic(axes: Axes, days: Float[Array, "slots"], traffic: Float[Array, "slots"]) -> None:
    other = axes.twinx()
    quiet_axes(other)
    other.plot(days, traffic / traffic.max(), color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)), label="traffic")
    other.set_ylim(0.0, 1.05)
    other.set_ylabel("traffic, peak = 1", color=MUTED)


def save_week(
    panels: Mapping[str, Mapping[str, Float[Array, "slots"]]], traffic: Float[Array, "slots"], slot_s: int, path: Path
) -> Path:
    """Draw and write; the folder is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_bytes(to_png(week(panels, traffic, slot_s)))
    return path
