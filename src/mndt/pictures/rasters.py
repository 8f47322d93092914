"""Radio maps: one number a pixel in colours, over streets and buildings, with the cells it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Colormap, Normalize, to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mndt.city.model import City
from mndt.pictures import layers
from mndt.pictures.maps import STRIP_PX, colour_bar, strip
from mndt.pictures.style import DPI, FONT, INK, MUTED

Array = np.ndarray

SHADES: Final = "viridis"
"""Colours of levels: even in brightness, safe for colour-blind readers."""
CHANGES: Final = "RdBu"
"""Colours of differences: red where it gets worse, blue where it gets better, pale where nothing happens."""
_OPAQUE: Final = 0.8  # streets shine through
_STEPS: Final = (1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0)
_SEEN: Final = "#e8a33d"
_UNSEEN: Final = "#55606e4d"


@dataclass(frozen=True)
class Look:
    """How the values of a map become colours: along a scale, or one colour for each name."""

    label: str
    low: float = 0.0
    high: float = 1.0
    shades: str = SHADES
    ticks: tuple[float, ...] = ()
    colours: tuple[str, ...] = ()  # of whole values from 0; none: a scale
    marks: tuple[tuple[str, str], ...] = ()  # colour and meaning, for the legend of names

    @property
    def colour_map(self) -> Colormap:
        """The scale's colours."""
        return colormaps[self.shades]

    def rgba(self, values: Float32[Array, "rows cols"]) -> UInt8[Array, "rows cols 4"]:
        """The colours of values; nan is see-through."""
        known = np.isfinite(values)
        if self.colours:
            palette = np.array([to_rgba(colour) for colour in self.colours])
            colours = palette[np.where(known, values, 0.0).astype(int)]
        else:
            share = (np.where(known, values, self.low) - self.low) / (self.high - self.low)
            colours = self.colour_map(np.clip(share, 0.0, 1.0))
        colours[~known] = 0.0
        return np.asarray(np.rint(255.0 * colours), np.uint8)


def level_look(
    values: Float32[Array, "..."],
    label: str,
    *,
    ends: tuple[float, float] | None = None,
    less_is_better: bool = False,
) -> Look:
    """Colours between two ends; None: whole tens around all but the last hundredths of the values.

    >>> look = level_look(np.linspace(-123.0, -52.0, 1000, dtype=np.float32), "dBm")
    >>> look.low, look.high, look.ticks[:2]
    (-130.0, -50.0, (-130.0, -110.0))
    """
    known = values[np.isfinite(values)]
    low, high = ends or (np.percentile(known, (1.0, 99.0)) if known.size else (0.0, 10.0))
    low, high = 10.0 * np.floor(low / 10.0), 10.0 * np.ceil(max(high, low + 1.0) / 10.0)
    step = 10.0 * np.ceil((high - low) / 50.0)
    ticks = tuple(float(tick) for tick in np.arange(low, high + 1.0, step))
    return Look(label, float(low), float(high), SHADES + "_r" * less_is_better, ticks)


def change_look(values: Float32[Array, "..."], label: str, *, less_is_better: bool = False) -> Look:
    """The same distance to both sides of zero, wide enough for all but the largest changes.

    >>> change_look(np.array([-7.0, 0.0, 3.0], np.float32), "dB").ticks
    (-10.0, -5.0, 0.0, 5.0, 10.0)
    """
    known = np.abs(values[np.isfinite(values)])
    changed = known[known > 0.05]
    wide = float(np.percentile(changed, 95.0)) if changed.size else 1.0
    end = next((step for step in _STEPS if step >= wide), _STEPS[-1])
    ticks = tuple(float(share * end) for share in (-1.0, -0.5, 0.0, 0.5, 1.0))
    return Look(label, -end, end, CHANGES + "_r" * less_is_better, ticks)


def server_look(city: City, label: str) -> Look:
    """The colours that cells have on every map."""
    return Look(label, colours=tuple(layers.cell_colours(city)))


def sight_look() -> Look:
    """In sight or not."""
    marks = ((_SEEN, "line of sight"), (_UNSEEN, "none"))
    return Look("", colours=(_UNSEEN, _SEEN), marks=marks)


def raster_map(
    city: City,
    values: Float32[Array, "rows cols"],
    cell_m: float,
    look: Look,
    *,
    title: str,
    lines: Sequence[str] = (),
    cells: Sequence[int] = (),
) -> Figure:
    """A radio map over the city.

    Args:
        city: streets, buildings, cells and attribution.
        values: row 0 is the south; nan lets the ground be seen.
        cell_m: edge of a pixel.
        look: its colours.
        title: above the legend.
        lines: a few facts below it.
        cells: those it is about, in full colour and size; the others are small and grey. None: all alike.
    """
    fig, axes, scale = layers.canvas(city.frame, strip_px=STRIP_PX)
    picture = raster_layer(look.rgba(values), cell_m)
    below = (layers.ground(city, flat=True), picture, _streets(city), layers.outlines(city, "#00000059", 0.8))
    for layer in (*below, chosen_cells(city, cells), layers.furniture(city.attribution)):
        layer(axes, scale)
    below_map = strip(fig, title)
    for row, line in enumerate(lines):
        at = 0.68 - 0.125 * row
        below_map.text(0.02, at, line, fontsize=6, color=MUTED, fontfamily=FONT, va="top")
    below_map.legend(
        handles=_marks(look, cells), loc="lower left", bbox_to_anchor=(0.005, -0.03), ncols=4, frameon=False,
        handletextpad=0.5, columnspacing=1.4, prop={"family": FONT, "size": 6}, labelcolor=INK,
    )  # fmt: skip
    if not look.colours:
        colour_bar(fig, look.shades, (look.low, look.high), look.label, look.ticks)
    return fig


def _marks(look: Look, cells: Sequence[int]) -> list[Line2D | Patch]:
    marks: list[Line2D | Patch] = [Patch(facecolor=colour, label=name) for colour, name in look.marks]
    marks.append(Line2D([], [], color=MUTED, linewidth=1, label="building"))
    if cells:
        marks.append(
            Line2D([], [], color=INK, marker=(3, 0, 180), linestyle="none", markersize=6, label="this station")
        )
    return marks


def _streets(city: City) -> layers.Layer:
    """Streets as pale lines over the colours."""

    def draw(axes: Axes, scale: layers.Scale) -> None:
        roads = city.roads
        xy = np.column_stack([roads.shape_x_m, roads.shape_y_m])
        lines = [xy[a:b] for a, b in zip(roads.shape_start[:-1], roads.shape_start[1:], strict=True)]
        axes.add_collection(LineCollection(lines, colors="#ffffff40", linewidths=scale.points(2.0), zorder=2.8))

    return draw


def raster_layer(colours: UInt8[Array, "rows cols 4"], cell_m: float, opaque: float = _OPAQUE) -> layers.Layer:
    """Coloured pixels over the ground; row 0 is the south."""
    rows, cols = colours.shape[:2]

    def draw(axes: Axes, scale: layers.Scale) -> None:
        extent = (0, cols * cell_m, 0, rows * cell_m)
        see_through = colours * np.array([1.0, 1.0, 1.0, opaque]) / 255.0
        axes.imshow(see_through, origin="lower", extent=extent, interpolation="nearest", aspect="auto", zorder=2.5)
        axes.set(xlim=(0, scale.width_m), ylim=(0, scale.depth_m))  # imshow moves the limits

    return draw


def chosen_cells(city: City, cells: Sequence[int]) -> layers.Layer:
    """The symbols of cells, the other outdoor ones small and grey; all of them where none is chosen."""
    if not cells:
        return layers.sites(city)

    def draw(axes: Axes, scale: layers.Scale) -> None:
        outlines, colours = layers.cell_outlines(city), layers.cell_colours(city)
        indoor = city.sites.indoor[city.cells.site]
        others = [row for row in range(len(outlines)) if row not in cells and not indoor[row]]
        small = [outlines[row].mean(axis=0) + 0.5 * (outlines[row] - outlines[row].mean(axis=0)) for row in others]
        edge = scale.points(0, 1.2)
        axes.add_collection(
            PolyCollection(small, facecolors="#f7f6f3b0", edgecolors=MUTED, linewidths=0.6 * edge, zorder=5)
        )
        big = [outlines[row][:1] + 1.6 * (outlines[row] - outlines[row][:1]) for row in cells]
        axes.add_collection(
            PolyCollection(big, facecolors=[colours[row] for row in cells], edgecolors=INK, linewidths=edge, zorder=6)
        )

    return draw


def spot(x_m: float, y_m: float) -> layers.Layer:
    """Where a station stands."""

    def draw(axes: Axes, scale: layers.Scale) -> None:
        size = (0.9 * scale.points(scale.symbol_m)) ** 2
        axes.scatter([x_m], [y_m], s=size, c="#ffffff", edgecolors=INK, linewidths=scale.points(0, 2.0), zorder=6)

    return draw


def stops(look: Look, step: float = 10.0) -> list[tuple[float, str]]:
    """Levels along a scale and their colours, for legends outside the picture.

    >>> [level for level, _ in stops(Look("dB", -20.0, 20.0, CHANGES))]
    [-20.0, -10.0, 0.0, 10.0, 20.0]
    """
    shares = np.linspace(0.0, 1.0, round((look.high - look.low) / step) + 1)
    return [(float(look.low + s * (look.high - look.low)), to_hex(look.colour_map(s))) for s in shares]


def legend_picture(look: Look, title: str, lines: Sequence[str] = ()) -> Figure:
    """The legend alone, for programs that show the map themselves."""
    fig = Figure(figsize=(2.2, 0.62 if look.colours else 0.8), dpi=DPI, facecolor="white")
    fig.text(0.04, 0.93, title, fontsize=6.5, fontweight="bold", color=INK, fontfamily=FONT, va="top")
    for row, line in enumerate(lines[:1]):
        fig.text(0.04, 0.74 - 0.16 * row, line, fontsize=5, color=MUTED, fontfamily=FONT, va="top")
    if look.colours:
        handles = [Patch(facecolor=colour, label=name) for colour, name in look.marks]
        if handles:
            fig.legend(handles=handles, loc="lower left", ncols=2, frameon=False, prop={"family": FONT, "size": 6})
        return fig
    axes = fig.add_axes((0.06, 0.36, 0.88, 0.12))
    scalar = ScalarMappable(Normalize(look.low, look.high), look.shades)
    bar = fig.colorbar(scalar, cax=axes, orientation="horizontal", ticks=list(look.ticks))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=5.5, length=2, colors=INK, pad=2)
    bar.set_label(look.label, fontsize=6, color=INK, labelpad=1)
    return fig
