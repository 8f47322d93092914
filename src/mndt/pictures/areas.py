"""Areas of interest on a map, shaded by a figure of each."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap, PowerNorm, to_hex

from mndt.city.model import City
from mndt.pictures.layers import Layer, Scale, building_paths

Array = np.ndarray

SHADES: Final = LinearSegmentedColormap.from_list("unmet", ("#fbe3b0", "#f0923f", "#c33a2c", "#5b1030"))
"""From little to much; brightness falls evenly, so that it reads in grey and for every eye."""

BEND: Final = 0.5
"""Exponent of the scale: a few areas have most, and the others shall be told apart too."""


def areas_layer(city: City, values: Float[Array, "areas"], top: float) -> Layer:
    """Areas with a value above 0: their buildings, or their ground where they are open.

    Args:
        city: in which they lie.
        values: one an area; areas of one building add up.
        top: value at the dark end.
    """
    in_building = city.areas.building >= 0
    of_building = np.bincount(
        city.areas.building[in_building], values[in_building], minlength=len(city.buildings)
    )  # fmt: skip
    norm = PowerNorm(BEND, 0, max(top, 1e-12), clip=True)

    def draw(axes: Axes, scale: Scale) -> None:
        open_ground = np.flatnonzero(~in_building & (values > 0) & (np.diff(city.areas.point_start) >= 3))
        grounds = [_outline(city, int(row)) for row in open_ground]
        axes.add_collection(
            PolyCollection(grounds, facecolors=SHADES(norm(values[open_ground])), alpha=0.75, linewidths=0, zorder=2.5)
        )
        rows = np.flatnonzero(of_building > 0)
        paths = building_paths(city)
        axes.add_collection(
            PathCollection(
                [paths[row] for row in rows],
                facecolors=SHADES(norm(of_building[rows])),
                edgecolors="#5b103066",
                linewidths=scale.points(0.4),
                zorder=3,
            )
        )

    return draw


def stops(n: int = 9) -> list[str]:
    """Colours from 0 to the top, evenly along the legend.

    >>> len(stops(5))
    5
    """
    return [str(to_hex(SHADES(share))) for share in np.linspace(0, 1, n)]


def stop_value(share: float, top: float) -> float:
    """The value at a place of the legend, 0 = its light end, 1 = its dark one.

    >>> stop_value(0.5, 8.0)
    2.0
    """
    return float(top * share ** (1 / BEND))


def _outline(city: City, area: int) -> Float[Array, "points 2"]:
    a = city.areas
    rows = slice(a.point_start[area], a.point_start[area + 1])
    return np.column_stack([a.point_x_m[rows], a.point_y_m[rows]])
