"""How long a step takes at several sizes of the network, and how fast that grows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from mndt.errors import InputError
from mndt.files import whole_file
from mndt.pictures.style import GRID, INK, MUTED, quiet_axes, run_colour, to_png

Array = np.ndarray

_KEY: Final = re.compile(r"steps_per_s_(\d+)x(\d+)")

Series = dict[int, float]
"""Size -> seconds a step."""


def scaling(figures: Mapping[str, Any]) -> Figure:
    """Seconds a step over the number of users and of cells, with lines of the fitted exponents.

    The lines are ``seconds ~ size^exponent`` through the middle of the logarithms, where a least-squares
    fit passes; dotted beside them growth in proportion to the size.

    Args:
        figures: of `mndt bench step`: steps_per_s_{users}x{cells}, exponent_users, exponent_cells.

    Raises:
        InputError: fewer than two sizes of users or of cells.
    """
    users, cells, fixed = series(figures)
    fig = Figure(figsize=(10.0, 3.9), layout="constrained", facecolor="white", dpi=150)
    left, right = fig.subplots(1, 2, sharey=True)
    _panel(left, users, float(figures["exponent_users"]), f"users, at {fixed[1]:,} cells", 0)
    _panel(right, cells, float(figures["exponent_cells"]), f"cells, at {fixed[0]:,} users", 1)
    left.set_ylabel("seconds a step")
    return fig


def save_scaling(figures: Mapping[str, Any], path: Path) -> Path:
    """Draw `scaling` into a PNG file, whole or not at all.

    Raises:
        InputError: fewer than two sizes of users or of cells.
    """
    png = to_png(scaling(figures))
    with whole_file(path) as part:
        part.write_bytes(png)
    return path


def series(figures: Mapping[str, Any]) -> tuple[Series, Series, tuple[int, int]]:
    """Seconds a step by users and by cells, and the number of users and of cells that stay fixed meanwhile.

    >>> sizes = {"steps_per_s_10x3": 4.0, "steps_per_s_20x3": 2.0, "steps_per_s_10x6": 2.5}
    >>> series(sizes)
    ({10: 0.25, 20: 0.5}, {3: 0.25, 6: 0.4}, (10, 3))

    Raises:
        InputError: fewer than two sizes of users or of cells.
    """
    took = {
        (int(found[1]), int(found[2])): 1.0 / float(rate)
        for key, rate in figures.items()
        if (found := _KEY.fullmatch(key)) and rate
    }
    n_users, n_cells = (_commonest([size[kind] for size in took]) for kind in (0, 1))
    by_users = {size[0]: s for size, s in sorted(took.items()) if size[1] == n_cells}
    by_cells = {size[1]: s for size, s in sorted(took.items()) if size[0] == n_users}
    if min(len(by_users), len(by_cells)) < 2:
        raise InputError(
            "figures", f"{len(took)} sizes", allowed="two numbers of users and of cells at least",
            fix="measure without --quick, with everyone moving",
        )  # fmt: skip
    return by_users, by_cells, (n_users, n_cells)


def _commonest(numbers: list[int]) -> int:
    return max(sorted(set(numbers)), key=numbers.count, default=0)


def _panel(axes: Axes, took: Series, exponent: float, label: str, row: int) -> None:
    """Measured points, the line of their exponent, and a line in proportion."""
    size, seconds = np.array(list(took), np.float64), np.array(list(took.values()))
    middle, height = np.exp(np.log(size).mean()), np.exp(np.log(seconds).mean())
    ends = np.array([size.min() / 1.25, size.max() * 1.25])
    colour = run_colour(row)
    axes.loglog(ends, height * (ends / middle), color=MUTED, linewidth=1.2, linestyle=(0, (1.2, 1.8)))
    axes.loglog(ends, height * (ends / middle) ** exponent, color=colour, linewidth=1.6, alpha=0.75)
    axes.loglog(size, seconds, marker="o", markersize=6.5, linestyle="none", color=colour, markeredgecolor="white")
    quiet_axes(axes)
    axes.grid(axis="both", color=GRID, linewidth=0.8)
    axes.set_xlim(*ends)
    axes.xaxis.set_major_locator(FixedLocator(size.tolist()))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.set_xlabel(label)
    axes.set_title(f"exponent {exponent:.2f}", loc="left", fontsize=11, color=INK, fontweight="bold")
    axes.text(
        0.98, 0.04, "dotted: in proportion (exponent 1)", transform=axes.transAxes, ha="right", fontsize=8, color=MUTED
    )
