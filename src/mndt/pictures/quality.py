"""How good a decision is for the time it takes: a panel a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mndt.files import whole_file
from mndt.pictures.style import GRID, INK, MUTED, quiet_axes, run_colour, to_png

OURS: Final = "ours"
"""First word of the labels that are joined by a line."""
BUDGET_MS: Final = 250.0
MARKERS: Final = "sD^vphX"

Panel = Mapping[str, tuple[float, float]]
"""Label -> milliseconds, quality."""


def quality(panels: Mapping[str, Panel]) -> Figure:
    """Quality over time on a logarithmic axis; upwards and to the left is better."""
    fig = Figure(figsize=(4.4 * len(panels), 4.6), layout="constrained", facecolor="white", dpi=150)
    for place, (name, panel) in enumerate(panels.items(), start=1):
        axes = fig.add_subplot(1, len(panels), place)
        _panel(axes, panel)
        axes.set_title(name, loc="left", fontsize=10, color=INK, fontweight="bold")
    fig.axes[0].set_ylabel("worth, 100 times the time = 1")
    handles, labels = fig.axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    return fig


def _panel(axes: Axes, panel: Panel) -> None:
    others = [label for label in panel if not label.startswith(OURS)]
    mine = sorted((point, label) for label, point in panel.items() if label.startswith(OURS))
    for row, label in enumerate(others):
        axes.plot(
            *panel[label], linestyle="none", marker=MARKERS[row % len(MARKERS)], markersize=7, label=label,
            color=run_colour(row + 1), markeredgecolor="white", markeredgewidth=0.6,
        )  # fmt: skip
    axes.plot(*zip(*(point for point, _ in mine), strict=True), "o-", color=run_colour(0), linewidth=1.5, label=OURS)
    for k, (point, label) in enumerate(mine):
        axes.annotate(
            label.removeprefix(f"{OURS}, ").replace(OURS, "as shipped"), point, xytext=(2, 7 if k % 2 else -13),
            textcoords="offset points", fontsize=7.5, color=MUTED, ha="center",
        )  # fmt: skip
    axes.axvline(BUDGET_MS, color=MUTED, linewidth=1.0, linestyle=(0, (1.2, 1.8)))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g}"))
    quiet_axes(axes)
    axes.grid(axis="both", color=GRID, linewidth=0.8)
    axes.set_xlabel("milliseconds of one core a step")


def save_quality(panels: Mapping[str, Panel], path: Path) -> Path:
    """Draw `quality` into a PNG file, whole or not at all."""
    png = to_png(quality(panels))
    with whole_file(path) as part:
        part.write_bytes(png)
    return path
