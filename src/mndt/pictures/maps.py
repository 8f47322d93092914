"""Maps: the city with its cells and users, its coverage, and who serves where.

Each picture is a stack of layers over a strip with the legend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Float32, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mndt.city.model import City
from mndt.pictures import layers
from mndt.pictures.style import CELL_COLOURS, DPI, FONT, INK, MUTED, UNSERVED
from mndt.state import Users

Array = np.ndarray

STRIP_PX: Final = 190
"""Height of the strip below a map."""


def city_map(
    city: City, users: Users | None = None, serving: Int[Array, "users"] | None = None, *, title: str = ""
) -> Figure:
    """The city with its roads, buildings, cells and, if given, its users.

    Args:
        city: what to draw.
        users: who is where; absent ones are left out.
        serving: cell of each user, -1 = not connected; colours the users.
        title: one line above the legend; the city's name when left out.
    """
    stack = [layers.ground(city)]
    if users is not None:
        here = np.flatnonzero(users.mode >= 0)
        cell = None if serving is None else serving[here]
        stack.append(layers.users_layer(city, users.x_m[here], users.y_m[here], cell))
    fig = _picture(city, *stack)
    marks: list[Line2D | Patch] = [
        Line2D([], [], color=layers.CASING, linewidth=3.5, label="road"),
        Line2D([], [], color=layers.FOOTWAY, linewidth=1.5, label="footway"),
        Patch(facecolor=layers.PARK, label="park"),
        Line2D([], [], color=INK, marker=(3, 0, 180), linestyle="none", markersize=6, label="sector"),
        Line2D([], [], color=INK, marker="o", linestyle="none", markersize=3, label="indoor cell"),
    ]
    if users is not None:
        dot: dict[str, Any] = {"marker": "o", "markersize": 3}
        cross: dict[str, Any] = {"marker": "x", "markersize": 4}
        marks.append(Line2D([], [], color=CELL_COLOURS[0], linestyle="none", label="user, by serving cell", **dot))
        marks.append(Line2D([], [], color=UNSERVED, linestyle="none", label="not connected", **cross))
    legend(strip(fig, title or city.name), marks)
    colour_bar(fig, layers.HEIGHT_SHADES, (0, layers.TALL_M), "building height (m)", (0, 10, 20, 30, 40))
    return fig


def coverage_map(city: City, rsrp_dbm: Float32[Array, "rows cols"], cell_m: float) -> Figure:
    """Best-server RSRP in dBm under the outlines of the buildings.

    Args:
        city: for its buildings, cells and attribution.
        rsrp_dbm: reference signal received power from the best cell; row 0 is the south.
        cell_m: side of a pixel.
    """
    fig = _picture(city, layers.rsrp_layer(rsrp_dbm, cell_m), layers.outlines(city, "#00000066"))
    legend(strip(fig, f"{city.name}: best-server RSRP"), [Line2D([], [], color=MUTED, linewidth=1, label="building")])
    low, high = layers.rsrp_range_dbm(rsrp_dbm)
    colour_bar(
        fig, layers.RSRP_SHADES, (low, high), "RSRP of the best cell (dBm)", np.arange(low, high + 1, 10).tolist()
    )
    return fig


def server_map(city: City, best_cell: Int[Array, "rows cols"], cell_m: float) -> Figure:
    """Which cell is heard best where, in the colours of the cells; row 0 is the south."""
    fig = _picture(city, layers.server_layer(city, best_cell, cell_m), layers.outlines(city, "#00000066"))
    legend(strip(fig, f"{city.name}: best server"), [Line2D([], [], color=MUTED, linewidth=1, label="building")])
    return fig


def _picture(city: City, *below: layers.Layer) -> Figure:
    """The layers, the cells over them, scale bar and arrow, and room for the legend."""
    fig, axes, scale = layers.canvas(city.frame, strip_px=STRIP_PX)
    for layer in (*below, layers.sites(city), layers.furniture(city.attribution)):
        layer(axes, scale)
    return fig


def strip(fig: Figure, title: str) -> Axes:
    """The strip below a map, with its title."""
    axes = fig.add_axes((0, 0, 1, STRIP_PX / (fig.get_figheight() * DPI)))
    axes.set_axis_off()
    axes.text(0.02, 0.88, title, fontsize=8, fontweight="bold", color=INK, fontfamily=FONT, va="top")
    return axes


def legend(axes: Axes, marks: Sequence[Line2D | Patch]) -> None:
    """What the marks mean, in the left of a strip."""
    axes.legend(
        handles=list(marks),
        loc="lower left",
        bbox_to_anchor=(0.005, 0.0),
        ncols=(len(marks) + 2) // 3 if len(marks) > 2 else 1,
        frameon=False,
        columnspacing=1.4,
        handletextpad=0.5,
        labelspacing=0.35,
        prop={"family": FONT, "size": 6},
        labelcolor=INK,
    )


def colour_bar(
    fig: Figure, shades: str | LinearSegmentedColormap, ends: tuple[float, float], label: str, ticks: Sequence[float]
) -> None:
    """The colours of values, in the right of a strip."""
    height = STRIP_PX / (fig.get_figheight() * DPI)
    axes = fig.add_axes((0.58, 0.42 * height, 0.38, 0.16 * height))
    bar = fig.colorbar(ScalarMappable(Normalize(*ends), shades), cax=axes, orientation="horizontal", ticks=list(ticks))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=6, length=2, colors=INK, pad=2)
    bar.set_label(label, fontsize=6.5, color=INK, labelpad=2)
