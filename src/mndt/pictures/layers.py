"""Layers of maps: each draws one thing, edge to edge, on one canvas.

`mndt.pictures.maps` makes whole pictures with legends of them; the report stacks the bare layers
and writes its legend as text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_hex, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

from mndt.city.model import AREA_USES, City, Frame, Ways
from mndt.pictures.style import CELL_COLOURS, DPI, FONT, HALO, INK, UNSERVED

Array = np.ndarray

GROUND: Final = "#f7f6f3"
PARK: Final = "#dbe9d3"
ROAD: Final = "#ffffff"
CASING: Final = "#cfcbc4"
FOOTWAY: Final = "#dcd6cb"
TALL_M: Final = 40.0
"""Building height in metres at the dark end of the shades."""
HEIGHT_SHADES: Final = LinearSegmentedColormap.from_list("height", ("#e9e4dc", "#c9c2b8", "#8b857e"))

RSRP_SHADES: Final = "viridis"  # perceptually uniform, even in brightness, safe for colour-blind readers

PICTURE_PIXELS: Final = 2.8e6
"""Pixels of a map picture, whatever the shape of the city."""

Layer = Callable[[Axes, "Scale"], None]


@dataclass(frozen=True)
class Scale:
    """How metres become ink on one canvas."""

    width_m: float
    depth_m: float
    pixels_per_m: float

    def points(self, metres: float, least_px: float = 0.6) -> float:
        """Line width in points of a thing this wide, never thinner than `least_px` pixels."""
        return max(metres * self.pixels_per_m, least_px) * 72 / DPI

    @property
    def symbol_m(self) -> float:
        """Radius of a sector wedge in metres of map: the same share of every picture."""
        return symbol_radius_m(self.width_m, self.depth_m)


def symbol_radius_m(width_m: float, depth_m: float) -> float:
    """Radius of a sector wedge in metres of map."""
    return 0.02 * float(np.sqrt(width_m * depth_m))


def canvas(frame: Frame, *, strip_px: int = 0, small: float = 1.0) -> tuple[Figure, Axes, Scale]:
    """An empty map of the frame, full to the edges.

    Args:
        frame: of the city.
        strip_px: height of a strip below, for a legend.
        small: share of the usual number of pixels.
    """
    width_m, depth_m = max(frame.width_m, 1.0), max(frame.depth_m, 1.0)
    scale = Scale(width_m, depth_m, float(np.sqrt(small * PICTURE_PIXELS / (width_m * depth_m))))
    width_px, depth_px = (round(side * scale.pixels_per_m) for side in (width_m, depth_m))
    fig = Figure(figsize=(width_px / DPI, (depth_px + strip_px) / DPI), dpi=DPI, facecolor="white")
    share = depth_px / (depth_px + strip_px)
    axes = fig.add_axes((0.0, 1.0 - share, 1.0, share))
    axes.set(xlim=(0, width_m), ylim=(0, depth_m))
    axes.set_axis_off()
    return fig, axes, scale


def layer_picture(frame: Frame, *layers: Layer, small: float = 1.0) -> Figure:
    """The layers alone, edge to edge, in their order; `small` is a share of the usual number of pixels."""
    fig, axes, scale = canvas(frame, small=small)
    for layer in layers:
        layer(axes, scale)
    return fig


# ---- ground -----------------------------------------------------------------------------------


def ground(city: City, *, flat: bool = False) -> Layer:
    """Parks, footways, roads by class, and buildings shaded by height; all alike where `flat`."""

    def draw(axes: Axes, scale: Scale) -> None:
        axes.add_patch(_sheet(scale, GROUND))
        axes.add_collection(PolyCollection(parks(city), facecolors=PARK, linewidths=0, zorder=0.5))
        footways = _lines(city.footways, np.arange(city.footways.n_edges))
        axes.add_collection(LineCollection(footways, colors=FOOTWAY, linewidths=scale.points(1.5), zorder=0.8))
        _draw_roads(axes, scale, city.roads)
        shades = HEIGHT_SHADES(np.clip(city.buildings.height_m / TALL_M, 0, 0 if flat else 1))
        edge = scale.points(0.4)
        axes.add_collection(
            PathCollection(building_paths(city), facecolors=shades, edgecolors="#a8a197", linewidths=edge, zorder=2)
        )

    return draw


def height_colour(height_m: float) -> str:
    """The shade of a building of this height."""
    return str(to_hex(HEIGHT_SHADES(min(height_m / TALL_M, 1.0))))


def outlines(city: City, colour: str, width_px: float = 1.0) -> Layer:
    """Outlines of the buildings, to lie over a raster."""

    def draw(axes: Axes, scale: Scale) -> None:
        axes.add_collection(
            PathCollection(
                building_paths(city),
                facecolors="none",
                edgecolors=colour,
                linewidths=scale.points(0, width_px),
                zorder=3,
            )
        )

    return draw


def building_paths(city: City) -> list[Path]:
    """One compound path per building: outlines counter-clockwise, courtyards clockwise."""
    b = city.buildings
    xy = np.column_stack([b.point_x_m, b.point_y_m]).astype(np.float64)
    paths = []
    for row in range(len(b)):
        rings = [
            _ring(xy[b.point_start[r] : b.point_start[r + 1]], hole=bool(b.ring_is_hole[r]))
            for r in range(b.ring_start[row], b.ring_start[row + 1])
        ]
        paths.append(Path.make_compound_path(*rings) if len(rings) > 1 else rings[0])
    return paths


def _ring(xy: Float[Array, "points 2"], *, hole: bool) -> Path:
    ahead = np.roll(xy, -1, axis=0)
    counter_clockwise = float(np.sum(xy[:, 0] * ahead[:, 1] - ahead[:, 0] * xy[:, 1])) > 0
    # Fills count windings: a courtyard stays open only when it runs against its outline.
    xy = xy[::-1] if counter_clockwise == hole else xy
    return Path(np.vstack([xy, xy[:1]]), closed=True)


def parks(city: City) -> list[Float[Array, "points 2"]]:
    """Outlines of the open ground that is a park."""
    a = city.areas
    rows = np.flatnonzero((a.building < 0) & (a.use == AREA_USES.index("park")))
    return [
        np.column_stack([part[a.point_start[r] : a.point_start[r + 1]] for part in (a.point_x_m, a.point_y_m)])
        for r in rows
        if a.point_start[r + 1] - a.point_start[r] >= 3
    ]


def _lines(ways: Ways, rows: Int[Array, "some"]) -> list[Float[Array, "points 2"]]:
    xy = np.column_stack([ways.shape_x_m, ways.shape_y_m])
    return [xy[ways.shape_start[e] : ways.shape_start[e + 1]] for e in rows]


def _draw_roads(axes: Axes, scale: Scale, roads: Ways) -> None:
    """White roads with a grey casing, as wide as their lanes; important ones on top."""
    for rank in sorted(set(roads.edge_rank.tolist()), reverse=True):
        rows = np.flatnonzero(roads.edge_rank == rank)
        lines = _lines(roads, rows)
        width_m = 3.2 * roads.edge_lanes[rows] + (3.0 if rank <= 2 else 1.0)
        for extra_px, colour, order in ((2.2, CASING, 1.0), (0.0, ROAD, 1.5)):
            widths = [scale.points(width, 1.4) + extra_px * 72 / DPI for width in width_m]
            axes.add_collection(
                LineCollection(lines, colors=colour, linewidths=widths, capstyle="round", zorder=order - 0.01 * rank)
            )


def _sheet(scale: Scale, colour: str) -> Rectangle:
    return Rectangle((0, 0), scale.width_m, scale.depth_m, facecolor=colour, linewidth=0, zorder=0)


# ---- cells and users --------------------------------------------------------------------------


def cell_colours(city: City) -> list[str]:
    """A colour per cell such that cells near each other differ.

    Greedy: each cell takes the colour whose nearest bearer is farthest away.
    """
    n = len(city.cells)
    if n == 0:
        return []
    bearing = np.radians(city.cells.azimuth_deg)
    reach_m = np.where(_is_directed(city), 80.0, 0.0)  # a sector's users are in front of it
    x = city.sites.x_m[city.cells.site] + reach_m * np.sin(bearing)
    y = city.sites.y_m[city.cells.site] + reach_m * np.cos(bearing)
    colour = np.zeros(n, dtype=np.int64)
    nearest_m = np.full((len(CELL_COLOURS), n), np.inf)  # from a cell to the nearest bearer of a colour
    for row in np.lexsort((x, y)):
        colour[row] = int(np.argmax(np.round(nearest_m[:, row], 3)))
        distance_m = np.hypot(x - x[row], y - y[row])
        nearest_m[colour[row]] = np.minimum(nearest_m[colour[row]], distance_m)
    return [CELL_COLOURS[c] for c in colour]


def cell_outlines(city: City) -> list[Float[Array, "points 2"]]:
    """The symbol of every cell as a polygon in metres: a wedge along the bearing of a sector, a
    disc for omnidirectional and a small disc for indoor cells. Further carriers of a sector get smaller wedges.
    """
    radius_m = symbol_radius_m(city.frame.width_m, city.frame.depth_m)
    directed, seen, shapes = _is_directed(city), dict[tuple[int, int], int](), []
    for row in range(len(city.cells)):
        site = int(city.cells.site[row])
        key = (site, round(float(city.cells.azimuth_deg[row])))
        shrink = 0.75 ** seen.get(key, 0)
        seen[key] = seen.get(key, 0) + 1
        centre = np.array([city.sites.x_m[site], city.sites.y_m[site]], dtype=np.float64)
        if directed[row]:
            angle = np.radians(city.cells.azimuth_deg[row] + np.linspace(-30, 30, 13))
            arc = np.column_stack([np.sin(angle), np.cos(angle)]) * radius_m * shrink
            shapes.append(np.vstack([centre, centre + arc]))
        else:
            angle = np.linspace(0, 2 * np.pi, 25)[:-1]
            small = 0.3 if city.sites.indoor[site] else 0.6
            shapes.append(centre + np.column_stack([np.sin(angle), np.cos(angle)]) * radius_m * small * shrink)
    return shapes


def _is_directed(city: City) -> Array:
    return np.array([pattern != "omni" for pattern in city.cells.pattern], dtype=bool)


def sites(city: City) -> Layer:
    """Sector wedges, discs for other outdoor cells, dots for indoor ones, in the cells' colours."""

    def draw(axes: Axes, scale: Scale) -> None:
        axes.add_collection(
            PolyCollection(
                cell_outlines(city),
                facecolors=cell_colours(city),
                edgecolors=INK,
                linewidths=scale.points(0, 1.6),
                zorder=5,
            )
        )

    return draw


def users_layer(
    city: City,
    x_m: Float[Array, "users"],
    y_m: Float[Array, "users"],
    serving: Int[Array, "users"] | None = None,
    active: Bool[Array, "users"] | None = None,
) -> Layer:
    """A dot per user in the colour of the serving cell, paler while idle; a cross where there is none."""

    def draw(axes: Axes, scale: Scale) -> None:
        if len(x_m) == 0:
            return
        dot = (float(np.clip(0.27 * np.sqrt(PICTURE_PIXELS / len(x_m)), 3.0, 9.0)) * 72 / DPI) ** 2
        cell = np.zeros(len(x_m), np.int64) if serving is None else np.asarray(serving, dtype=np.int64)
        colour = to_rgba_array([*(cell_colours(city) or CELL_COLOURS[:1]), UNSERVED])[cell]
        busy = np.ones(len(x_m), bool) if active is None else np.asarray(active, dtype=bool)
        for rows, alpha, order in ((~busy & (cell >= 0), 0.4, 4.0), (busy & (cell >= 0), 1.0, 4.1)):
            axes.scatter(x_m[rows], y_m[rows], s=dot, c=colour[rows], alpha=alpha, linewidths=0, zorder=order)
        lost = cell < 0
        for colour_of_cross, width_px in ((HALO, 4.0), (UNSERVED, 1.8)):  # seen on a light and on a dark ground
            line = scale.points(0, width_px)
            axes.scatter(x_m[lost], y_m[lost], s=2.2 * dot, c=colour_of_cross, marker="x", linewidths=line, zorder=4.2)

    return draw


# ---- rasters ----------------------------------------------------------------------------------


def rsrp_range_dbm(rsrp_dbm: Float32[Array, "rows cols"]) -> tuple[float, float]:
    """Ends of the coverage colours: whole tens of dBm around all but the last hundredths of the area.

    >>> rsrp_range_dbm(np.linspace(-123.0, -52.0, 1000, dtype=np.float32).reshape(10, 100))
    (-130.0, -50.0)
    """
    known = rsrp_dbm[np.isfinite(rsrp_dbm)]
    if not len(known):
        return -120.0, -50.0
    low, high = np.percentile(known, (0.5, 99.5))
    return float(10 * np.floor(low / 10)), float(10 * np.ceil(max(high, low + 1.0) / 10))


def rsrp_layer(rsrp_dbm: Float32[Array, "rows cols"], cell_m: float) -> Layer:
    """Best-server reference signal power by colour; row 0 is the south."""

    def draw(axes: Axes, scale: Scale) -> None:
        low, high = rsrp_range_dbm(rsrp_dbm)
        _image(axes, scale, np.where(np.isfinite(rsrp_dbm), rsrp_dbm, low), cell_m, Normalize(low, high))

    return draw


def rsrp_stops(low_dbm: float, high_dbm: float) -> list[tuple[float, str]]:
    """Levels in whole tens of dBm and their colours, for legends outside the picture."""
    levels = np.arange(low_dbm, high_dbm + 1, 10.0)
    shades = colormaps[RSRP_SHADES]((levels - low_dbm) / (high_dbm - low_dbm))
    return [(float(level), to_hex(shade)) for level, shade in zip(levels, shades, strict=True)]


def server_layer(city: City, best_cell: Int[Array, "rows cols"], cell_m: float) -> Layer:
    """Each spot in the colour of the cell heard best there."""

    def draw(axes: Axes, scale: Scale) -> None:
        palette = to_rgba_array([*(cell_colours(city)), "#ffffff"])  # the last row stands for -1
        _image(axes, scale, palette[best_cell][..., :3], cell_m)

    return draw


def _image(axes: Axes, scale: Scale, values: Array, cell_m: float, norm: Normalize | None = None) -> None:
    rows, cols = values.shape[:2]
    axes.imshow(
        values,
        origin="lower",
        extent=(0, cols * cell_m, 0, rows * cell_m),
        cmap=RSRP_SHADES,
        norm=norm,
        interpolation="bilinear" if norm else "nearest",  # colours of cells have nothing between them
        aspect="auto",
    )
    axes.set(xlim=(0, scale.width_m), ylim=(0, scale.depth_m))  # imshow moves the limits


# ---- furniture --------------------------------------------------------------------------------


def furniture(attribution: str, colour: str = INK, halo: str = "white") -> Layer:
    """Scale bar, north arrow and the map's attribution, inside the picture."""

    def draw(axes: Axes, scale: Scale) -> None:
        edge = withStroke(linewidth=2.4, foreground=halo, alpha=0.85)
        inset_m = 0.018 * np.sqrt(scale.width_m * scale.depth_m)
        bar_m = round_length_m(0.25 * scale.width_m)
        style: dict[str, Any] = {"color": colour, "fontfamily": FONT, "path_effects": [edge], "zorder": 9}
        axes.plot(
            [inset_m, inset_m, inset_m + bar_m, inset_m + bar_m],
            [1.45 * inset_m, inset_m, inset_m, 1.45 * inset_m],
            color=colour,
            linewidth=1.1,
            path_effects=[edge],
            zorder=9,
        )
        length = f"{bar_m:g} m" if bar_m < 1000 else f"{bar_m / 1000:g} km"
        axes.text(inset_m + bar_m / 2, 1.3 * inset_m, length, ha="center", va="bottom", fontsize=6.5, **style)
        x, y = scale.width_m - 1.4 * inset_m, scale.depth_m - inset_m
        arrow = np.array([[x, y], [x - 0.55 * inset_m, y - 1.8 * inset_m], [x, y - 1.35 * inset_m]])
        mirrored = arrow * [-1, 1] + [2 * x, 0]
        axes.add_collection(
            PolyCollection([arrow, mirrored], facecolors=[colour, halo], edgecolors=colour, linewidths=0.6, zorder=9)
        )
        axes.text(x, y - 2.0 * inset_m, "N", ha="center", va="top", fontsize=7.5, fontweight="bold", **style)
        if attribution:
            x, y = scale.width_m - inset_m, 0.5 * inset_m
            axes.text(x, y, attribution, ha="right", va="bottom", fontsize=5.2, **style)

    return draw


def round_length_m(about_m: float) -> float:
    """The largest of 1, 2, 5, 10, 20, ... metres that is not longer than `about_m`.

    >>> round_length_m(340.0)
    200.0
    """
    power = 10.0 ** np.floor(np.log10(about_m))
    return float(power * max(step for step in (1, 2, 5) if step * power <= about_m * (1 + 1e-9)))
