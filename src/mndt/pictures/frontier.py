"""What satisfying demands costs in throughput: a panel a scenario, a curve a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mndt.files import whole_file
from mndt.pictures.style import GRID, INK, MUTED, RUN_COLOURS, quiet_axes, run_colour, run_dash, to_png

FLOOR: Final = 0.95
MARKERS: Final = "osD^vphX"
LEAST: Final = 0.85
"""Satisfaction at the left edge; what lies beyond is named in a corner."""


class Point(NamedTuple):
    """Share of the demand that was satisfied, throughput by that of ignoring demands."""

    satisfaction: float
    throughput: float


Curves = Mapping[str, Sequence[Point]]
"""Method -> points of it."""


def frontier(panels: Mapping[str, Curves], paper: Mapping[str, Point]) -> Figure:
    """Throughput against satisfaction; upwards and to the right is better.

    Args:
        panels: scenario -> curves.
        paper: the points of the paper, drawn into every panel.
    """
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    fig = Figure(figsize=(5.2 * columns, 3.7 * rows + 0.6), layout="constrained", facecolor="white", dpi=150)
    longest = {name: len(points) for curves in panels.values() for name, points in curves.items()}
    names = sorted(longest, key=lambda name: longest[name] < 2)  # curves first: they need the colours most
    for place, (scenario, curves) in enumerate(panels.items(), start=1):
        axes = fig.add_subplot(rows, columns, place)
        _panel(axes, curves, paper, names)
        axes.set_title(scenario, loc="left", fontsize=10, color=INK, fontweight="bold")
    handles, labels = fig.axes[0].get_legend_handles_labels()
    own = dict(zip(labels, handles, strict=True))
    fig.legend(own.values(), own.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    return fig


def _panel(axes: Axes, curves: Curves, paper: Mapping[str, Point], names: Sequence[str]) -> None:
    axes.axvline(100 * FLOOR, color=MUTED, linewidth=1.0, linestyle=(0, (1.2, 1.8)))
    beyond = []
    for name, points in curves.items():
        row = names.index(name)
        ordered = sorted(points)
        shown = [point for point in ordered if point.satisfaction >= LEAST]
        if not shown:
            beyond.append(f"{name}: {100 * ordered[-1].satisfaction:.0f} %, {ordered[-1].throughput:.2f}")
        at = np.array(shown).reshape(-1, 2)
        colour = run_colour(row) if row < len(RUN_COLOURS) else INK
        axes.plot(
            100 * at[:, 0], at[:, 1], color=colour, linestyle=run_dash(row) if len(points) > 1 else "none",
            linewidth=1.5, markersize=5.5,
            marker=MARKERS[row % len(MARKERS)], markeredgecolor="white", markeredgewidth=0.6, label=name,
        )  # fmt: skip
    for key, point in paper.items():
        axes.plot(
            100 * point.satisfaction, point.throughput, marker="+", markersize=10, markeredgewidth=1.8,
            color=INK, linestyle="none", label="paper",
        )  # fmt: skip
        left = point.satisfaction > 0.97  # no room to the right
        axes.annotate(
            key.replace("_", " "), (100 * point.satisfaction, point.throughput), xytext=(-6 if left else 6, -10),
            textcoords="offset points", ha="right" if left else "left", fontsize=7.5, color=MUTED,
        )  # fmt: skip
    if beyond:
        axes.text(0.02, 0.03, "further left: " + "; ".join(beyond), transform=axes.transAxes, fontsize=7, color=MUTED)
    quiet_axes(axes)
    axes.grid(axis="both", color=GRID, linewidth=0.8)
    axes.set_xlim(100 * LEAST, 100.5)
    axes.set_xlabel("satisfied share of the demand (%)")
    axes.set_ylabel("throughput, ignoring demands = 1")


def save_frontier(panels: Mapping[str, Curves], paper: Mapping[str, Point], path: Path) -> Path:
    """Draw `frontier` into a PNG file, whole or not at all."""
    png = to_png(frontier(panels, paper))
    with whole_file(path) as part:
        part.write_bytes(png)
    return path
