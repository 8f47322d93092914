"""Every plot and map picture: the only home of matplotlib.

Whoever draws imports this package at the moment of drawing, so that nobody else waits for it.
"""

from mndt.pictures.curves import kpi_curves, rate_cdf
from mndt.pictures.maps import city_map, coverage_map, server_map
from mndt.pictures.style import save, to_png, to_png_base64, to_svg

__all__ = [
    "city_map",
    "coverage_map",
    "kpi_curves",
    "rate_cdf",
    "save",
    "server_map",
    "to_png",
    "to_png_base64",
    "to_svg",
]
