"""The radio map of one station taken apart: rays, roofs, their sum, and how far it is from the standard."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mndt.errors import MndtError
from mndt.report.section import Section, fill
from mndt.report.view import View

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.pictures.losses import Curve
    from mndt.pictures.rasters import Look
    from mndt.radio.parts import Parts

Array = np.ndarray

logger = logging.getLogger(__name__)

SMALL: Final = 0.2
"""Pixels of a small map, as a share of those of the large ones."""

STANDARDS: Final = ("UMi", "UMa")
"""Scenarios of TR 38.901 that obstructed places are compared with."""

LEAST_PIXELS: Final = 30
"""A distance with fewer obstructed pixels is left out of curve and table."""

_EDGES_M: Final = np.geomspace(20.0, 3000.0, 17)
_CHANGE_DB: Final = 20.0
_SAYS: Final = {
    "rays": ("Rays", "reflected and scattered; bare ground where none arrived"),
    "sweep": ("Over the roofs", "free space in sight, else the loss over the edges between"),
    "fused": ("Together", "the powers of both added: what the network is simulated with"),
}


@dataclass(frozen=True)
class Bin:
    """Obstructed pixels at one distance."""

    distance_m: float
    pixels: int
    loss_db: float  # median
    low_db: float  # 16th and 84th percentile
    high_db: float
    standard_db: tuple[float, ...]  # of STANDARDS

    @property
    def spread_db(self) -> float:
        """Half of what the middle 68 % span."""
        return (self.high_db - self.low_db) / 2.0


def radio_part(view: View) -> Section | None:
    """The parts of the map of the outdoor station nearest to the middle; nothing where maps have no parts."""
    scenario, city = view.runs[0].run.scenario, view.city
    outdoor = np.flatnonzero(~city.sites.indoor & np.isin(np.arange(len(city.sites)), city.cells.site))
    if scenario.radio.engine == "tr38901" or not len(outdoor):
        return None
    from mndt.radio.parts import parts_of

    middle_m = city.frame.width_m / 2.0, city.frame.depth_m / 2.0
    away_m = np.hypot(city.sites.x_m[outdoor] - middle_m[0], city.sites.y_m[outdoor] - middle_m[1])
    try:
        parts = parts_of(city, scenario.radio, int(outdoor[away_m.argmin()]), seed=scenario.city.seed)
    except MndtError as error:  # rays of a run made elsewhere, where the ray tracer is missing here
        logger.warning("the report has no radio section: %s", error)
        return None
    return radio_section(city, parts, scenario.radio.user_height_m)


def radio_section(city: City, parts: Parts, user_height_m: float) -> Section:
    """The section about one station.

    Args:
        city: for the ground under the maps.
        parts: of its map.
        user_height_m: of the map.
    """
    bins = bins_of(parts, user_height_m)
    values = {
        "station": city.sites.name[parts.site],
        "height": f"{parts.height_m:g}",
        "carrier": f"{parts.carrier_ghz:g}",
        "scenario": parts.scenario,
        "attribution": city.attribution,
        "width": round(city.frame.width_m, 1),
        "depth": round(city.frame.depth_m, 1),
        **_maps(city, parts),
        "shares": _shares(parts),
        "standards": STANDARDS,
        "svg": _curves(parts, bins, user_height_m) if len(bins) > 1 else "",
        "rows": bins,
    }
    rays = "rays traced through the streets, the loss over the roofs, and both together"
    made_of = rays if "rays" in parts.gain_db else "the loss over the roofs"
    lead = f"What the gain map of one station is made of, without its antenna: {made_of}, beside the standard's mean."
    return Section("Radio map taken apart", fill("radio.html", values), "radio", lead)


def bins_of(parts: Parts, user_height_m: float) -> list[Bin]:
    """Obstructed places outdoors by distance, beside TR 38.901 without line of sight."""
    hidden = parts.outdoor & ~parts.sight & np.isfinite(parts.gain_db["fused"])
    loss_db, ground_m = -parts.gain_db["fused"][hidden], parts.ground_m[hidden]
    at = np.digitize(ground_m, _EDGES_M) - 1
    bins = []
    for k in range(len(_EDGES_M) - 1):
        here = at == k
        if int(here.sum()) < LEAST_PIXELS:
            continue
        distance_m = float(np.median(ground_m[here]))
        low, middle, high = np.percentile(loss_db[here], (15.87, 50.0, 84.13))
        standard = tuple(float(_blocked_db(name, parts, distance_m, user_height_m)) for name in STANDARDS)
        bins.append(Bin(distance_m, int(here.sum()), float(middle), float(low), float(high), standard))
    return bins


def _blocked_db(scenario: str, parts: Parts, ground_m: Any, user_height_m: float) -> Array:
    from mndt.radio import pathloss

    slant_m = pathloss.slant_distance_m(ground_m, parts.height_m, user_height_m)
    return np.asarray(
        pathloss.loss_db(scenario, False, ground_m, slant_m, parts.carrier_ghz, parts.height_m, user_height_m)
    )


def _curves(parts: Parts, bins: Sequence[Bin], user_height_m: float) -> str:
    from mndt.pictures import to_svg
    from mndt.pictures.losses import Curve, loss_curves
    from mndt.radio.pathloss import SHADOWING

    columns = np.array([(b.distance_m, b.loss_db, b.low_db, b.high_db) for b in bins]).T
    measured = Curve("map, obstructed places", *columns)
    distance_m = np.geomspace(columns[0][0], columns[0][-1], 40)
    standards: list[Curve] = []
    for name in STANDARDS:
        loss_db, sigma_db = _blocked_db(name, parts, distance_m, user_height_m), SHADOWING[name]["nlos"].sigma_db
        standards.append(
            Curve(f"TR 38.901 {name}, no line of sight", distance_m, loss_db, loss_db - sigma_db, loss_db + sigma_db)
        )
    gaps = ", ".join(f"{b.loss_db - b.standard_db[0]:+.0f} dB at {b.distance_m:.0f} m" for b in (bins[0], bins[-1]))
    label = f"Loss of obstructed places over distance: the map's median less that of TR 38.901 UMi is {gaps}."
    return to_svg(loss_curves(measured, standards), name="loss", label=label)


def _shares(parts: Parts) -> dict[str, str]:
    """How much of the outdoor area is in sight, and how much of it the rays reach."""
    outdoor = int(parts.outdoor.sum())
    shares = {"sight": f"{int((parts.sight & parts.outdoor).sum()) / max(outdoor, 1):.0%}"}
    if "rays" in parts.gain_db:
        reached = int((np.isfinite(parts.gain_db["rays"]) & parts.outdoor).sum())
        shares["rays"] = f"{reached / max(outdoor, 1):.0%}"
    return shares


def _maps(city: City, parts: Parts) -> dict[str, Any]:
    """The small maps, all gains in the same colours, and the stops of both scales."""
    from mndt.pictures import rasters

    names = ("rays", "sweep", "fused") if "rays" in parts.gain_db else ("sweep",)
    level = rasters.level_look(parts.gain_db["fused"], "gain (dB)")  # single rays may be far weaker: they are clipped
    change = rasters.Look("difference (dB)", -_CHANGE_DB, _CHANGE_DB, rasters.CHANGES)
    made = [_map(city, parts, parts.gain_db[name], level, *_SAYS[name]) for name in names]
    gap_db = parts.gain_db["fused"] - parts.gain_db["tr38901"]
    text = "blue where the map has more power than the standard's mean, red where less"
    made.append(_map(city, parts, gap_db, change, "Minus TR 38.901", text))
    return {"maps": made, "stops": rasters.stops(level), "changes": rasters.stops(change)}


def _map(city: City, parts: Parts, values: Array, look: Look, title: str, text: str) -> dict[str, str]:
    from mndt.pictures import layers, rasters, to_png_base64

    fig = layers.layer_picture(
        city.frame,
        layers.ground(city, flat=True),
        rasters.raster_layer(look.rgba(values), parts.cell_m, 1.0),
        layers.outlines(city, "#00000059", 0.6),
        rasters.spot(float(city.sites.x_m[parts.site]), float(city.sites.y_m[parts.site])),
        small=SMALL,
    )
    return {"title": title, "text": text, "picture": to_png_base64(fig)}
