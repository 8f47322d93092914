"""Pictures of people: where they are by the hour, how they move, what they ask for, one street in space and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mndt.city.model import City, Frame, Ways
from mndt.pictures.bands import Band, draw_bands
from mndt.pictures.curves import clock, time_ticks
from mndt.pictures.style import CELL_COLOURS, FONT, GRID, INK, MUTED, quiet_axes

Array = np.ndarray

INDOORS: Final = LinearSegmentedColormap.from_list("indoors", ("#ffffff", "#9ecae1", "#3182bd", "#08306b"))
OUTDOORS: Final = LinearSegmentedColormap.from_list("outdoors", ("#ffffff", "#fdbe85", "#e6550d", "#6b1d02"))
"""From nobody to many; brightness falls evenly."""

PACE: Final = LinearSegmentedColormap.from_list("pace", ("#a50026", "#f46d43", "#74add1", "#313695"))
"""From standing to the speed limit; red and blue are told apart by every eye."""

LAYER_COLOURS: Final = tuple(CELL_COLOURS[k] for k in (0, 3, 2, 1, 4, 5, 6))

PIXEL_M: Final = 40.0
"""Side of a square in which people are counted."""

BEND: Final = 0.5
"""Exponent of the scale of density: few squares are full, and the others shall be told apart too."""

JUMP_S: Final = 3
"""A vehicle that is off the street for longer has another line when it comes back."""

_PER_HA: Final = 1e4


def density(
    frame: Frame, row: Int[Array, "n"], col: Int[Array, "n"], people: Float[Array, "n"]
) -> Float[Array, "rows cols"]:
    """People per hectare on squares of `PIXEL_M`; row 0 is the south. Who is beyond the border counts at it."""
    rows, cols = (max(1, int(np.ceil(side / PIXEL_M))) for side in (frame.depth_m, frame.width_m))
    at = np.clip(row, 0, rows - 1).astype(np.intp) * cols + np.clip(col, 0, cols - 1).astype(np.intp)
    count = np.bincount(at, people, minlength=rows * cols).reshape(rows, cols)
    return np.asarray(count * _PER_HA / PIXEL_M**2)


def density_maps(city: City, panels: Sequence[tuple[str, tuple[Array, Array]]]) -> Figure:
    """Where people are: a column a stretch of time, indoors above, on the way below.

    Args:
        city: for its roads.
        panels: title; people per hectare indoors and on the way (`density`).
    """
    columns = len(panels)
    side = 10.0 / max(columns, 4)
    height = side * city.frame.depth_m / city.frame.width_m
    layout = ConstrainedLayoutEngine(w_pad=0.015, h_pad=0.015, wspace=0.01, hspace=0.01)
    size = (side * columns + 0.75, 2 * height + 0.35)
    fig = Figure(figsize=size, dpi=140, facecolor="white", layout=layout)
    grid = fig.subplots(2, columns, squeeze=False)
    roads = _road_lines(city.roads)
    for row, (shades, name) in enumerate(((INDOORS, "indoors"), (OUTDOORS, "on the way"))):
        top = max((float(np.percentile(panel[1][row], 99.5)) for panel in panels), default=0.0)
        norm = PowerNorm(BEND, 0.0, max(top, 1.0), clip=True)
        for column, panel in enumerate(panels):
            axes = grid[row, column]
            _density(axes, city, panel[1][row], shades, norm, roads)
            if row == 0:
                axes.set_title(panel[0], fontsize=8, color=INK, fontfamily=FONT, pad=3)
            if column == 0:
                axes.set_ylabel(name, fontsize=9, color=INK, fontfamily=FONT)
        bar = fig.colorbar(ScalarMappable(norm, shades), ax=grid[row, :].tolist(), fraction=0.02, pad=0.01, shrink=0.9)
        bar.outline.set_visible(False)
        bar.ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        bar.ax.tick_params(labelsize=7, length=2, colors=MUTED)
        bar.set_label("people per ha", fontsize=7, color=MUTED)
    return fig


def _density(axes: Axes, city: City, values: Array, shades: Any, norm: PowerNorm, roads: list[Array]) -> None:
    rows, cols = values.shape
    extent = (0.0, cols * PIXEL_M, 0.0, rows * PIXEL_M)
    axes.imshow(values, cmap=shades, norm=norm, origin="lower", extent=extent, interpolation="nearest")
    axes.add_collection(LineCollection(roads, colors="#00000030", linewidths=0.35))
    axes.set_xlim(0, city.frame.width_m)
    axes.set_ylim(0, city.frame.depth_m)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(GRID)


def _road_lines(roads: Ways) -> list[Array]:
    start, points = roads.shape_start, np.column_stack([roads.shape_x_m, roads.shape_y_m])
    return [points[a:b] for a, b in zip(start[:-1].tolist(), start[1:].tolist(), strict=True)]


def stacked(
    time_s: Int[Array, "times"],
    end_s: float,
    layers: Mapping[str, Float[Array, "times"]],
    label: str,
    bands: Sequence[Band] = (),
) -> Figure:
    """Layers over one another by time of day, the first at the bottom.

    Args:
        time_s: when each value begins to hold.
        end_s: when the last one ends.
        layers: name -> values.
        label: of the vertical axis.
        bands: stretches of time to shade.
    """
    fig = Figure(figsize=(6.2, 2.9), layout="constrained", facecolor="white")
    axes = fig.add_subplot()
    edges = np.append(time_s, end_s)
    values = np.array([np.append(v, v[-1:]) for v in layers.values()]).reshape(len(layers), len(edges))
    colours = [LAYER_COLOURS[row % len(LAYER_COLOURS)] for row in range(len(layers))]
    axes.stackplot(edges, values, labels=list(layers), colors=colours, step="post", linewidth=0)
    quiet_axes(axes)
    axes.set_xlim(float(edges[0]), max(float(edges[-1]), float(edges[0]) + 10.0))
    axes.set_ylim(0, float(values.sum(axis=0).max(initial=0.0)) * 1.05 or 1.0)
    axes.xaxis.set_major_locator(time_ticks(float(edges[-1] - edges[0])))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda second, _: clock(second)))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel("time of day")
    axes.set_ylabel(label)
    draw_bands(axes, bands)
    handles, names = axes.get_legend_handles_labels()
    fig.legend(
        handles[::-1], names[::-1], loc="outside right center", frameon=False, fontsize=8.5, labelcolor=MUTED,
        handlelength=1.0, handleheight=1.0,
    )  # fmt: skip
    return fig


def space_time(
    user: Int[Array, "n"],
    bicycle: Bool[Array, "n"],
    time_s: Int[Array, "n"],
    position_m: Float[Array, "n"],
    speed_mps: Float[Array, "n"],
    length_m: float,
    signals_m: Sequence[float],
    limit_mps: float,
) -> Figure:
    """Ways of vehicles along a street: a line each, coloured by speed; a standing vehicle draws a level red line.
    Bicycles have thin lines.

    Args:
        user, bicycle, time_s, position_m, speed_mps: one row a vehicle and second.
        length_m: of the street.
        signals_m: where lights stand.
        limit_mps: speed at the blue end of the colours.
    """
    fig = Figure(figsize=(10.4, 4.4), dpi=140, layout="constrained", facecolor="white")
    axes = fig.add_subplot()
    order = np.lexsort((time_s, user))
    who, when, at, pace = user[order], time_s[order], position_m[order], speed_mps[order]
    joined = (np.diff(who) == 0) & (np.diff(when) <= JUMP_S) & (np.diff(at) > -1.0)
    points = np.stack([when, at], axis=1).astype(float)
    lines = np.stack([points[:-1][joined], points[1:][joined]], axis=1)
    norm = Normalize(0.0, limit_mps * 3.6)
    for signal in signals_m:
        axes.axhline(signal, color=MUTED, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    drawn = LineCollection(
        list(lines),
        cmap=PACE,
        norm=norm,
        linewidths=np.where(bicycle[order][1:][joined], 0.5, 1.1),
        capstyle="round",
        zorder=2,
    )
    drawn.set_array(3.6 * pace[1:][joined])
    axes.add_collection(drawn)
    first, last = (float(when.min()), float(when.max())) if len(when) else (0.0, 60.0)
    axes.set_xlim(first, max(last, first + 10.0))
    axes.set_ylim(0, length_m)
    quiet_axes(axes)
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(time_ticks(last - first))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda second, _: clock(second)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel("time of day")
    axes.set_ylabel("along the street (m)")
    bar = fig.colorbar(ScalarMappable(norm, PACE), ax=axes, fraction=0.02, pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2, colors=MUTED)
    bar.set_label("speed (km/h)", fontsize=9, color=MUTED)
    return fig
