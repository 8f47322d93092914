"""Footprints, heights and uses of buildings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from jaxtyping import Bool, Float64, Int64

from mndt.city import _osm_tags as tags_of
from mndt.city._osm_box import Ground
from mndt.city._osm_source import Layers, TagRow
from mndt.city.footprints import (
    CROSSED,
    FLAT,
    SMALLEST_M2,
    TWICE,
    assemble,
    counted,
    first_of_each,
    height_by_size,
    mended,
)
from mndt.city.model import BUILDING_USES, Buildings

Array = np.ndarray

DEFAULT_HEIGHT_M: Final[dict[str, float]] = {
    # Storeys times 3 m of the kind as it is usually built; halls by their clear height.
    "house": 6, "detached": 6, "semidetached_house": 6, "bungalow": 4, "terrace": 7.5, "farm": 6, "cabin": 4,
    "apartments": 15, "dormitory": 12, "hotel": 18, "block": 15,
    "office": 18, "commercial": 12, "retail": 8, "supermarket": 6, "kiosk": 3, "mall": 12,
    "school": 9, "university": 15, "college": 12, "kindergarten": 4.5, "hospital": 18, "public": 12,
    "civic": 12, "government": 15, "townhall": 15, "museum": 12, "train_station": 12, "transportation": 9,
    "church": 18, "cathedral": 30, "chapel": 9, "mosque": 15, "temple": 12, "synagogue": 12, "tower": 30,
    "industrial": 9, "warehouse": 9, "factory": 9, "hangar": 12, "sports_hall": 9, "stadium": 18, "parking": 9,
    "garage": 3, "garages": 3, "shed": 2.5, "hut": 2.5, "service": 3, "utility": 3, "greenhouse": 3,
    "glasshouse": 4, "barn": 7, "stable": 5, "farm_auxiliary": 5, "toilets": 3, "static_caravan": 3, "houseboat": 4,
}  # fmt: skip
"""Height in metres of a building by its `building` tag where the map tells neither height nor levels."""

_ENOUGH: Final = 10
"""With this many tagged heights of a use among the larger buildings, their median replaces the default
of untyped buildings of that use: the map knows its own town better than a table."""
_LARGE_M2: Final = 250.0

_NO_WALLS: Final = frozenset(
    {"no", "roof", "carport", "canopy", "demolished", "proposed", "entrance", "underpass_entrance", "bridge"}
)

_USE_OF_BUILDING: Final = tags_of.by_word({
    "residential": "residential apartments house detached semidetached_house terrace bungalow dormitory farm cabin "
    "static_caravan houseboat block annexe",
    "office": "office commercial bank",
    "retail": "retail supermarket kiosk mall shop hotel restaurant",
    "education": "school university college kindergarten education",
    "public": "public civic government townhall hospital museum church cathedral chapel mosque temple synagogue shrine "
    "monastery religious train_station transportation stadium sports_hall sports_centre grandstand pavilion library "
    "theatre clinic fire_station",
    "industrial": "industrial warehouse factory hangar manufacture farm_auxiliary barn stable garage garages parking "
    "service utility transformer_tower water_tower greenhouse glasshouse shed hut",
})  # fmt: skip

_USE_OF_AMENITY: Final = tags_of.by_word({
    "education": "school university college kindergarten library language_school music_school childcare "
    "research_institute",
    "retail": "restaurant cafe fast_food bar pub bank pharmacy marketplace food_court nightclub fuel car_wash",
    "public": "hospital clinic townhall courthouse police fire_station place_of_worship theatre cinema "
    "community_centre arts_centre embassy post_office social_facility bus_station museum",
    "industrial": "parking bicycle_parking",
})  # fmt: skip


@dataclass(frozen=True)
class Houses:
    """Buildings with what the areas need besides: shape, tags and footprint."""

    buildings: Buildings
    shape: Array  # object[buildings], polygons in metres
    tags: list[TagRow]
    footprint_m2: Float64[Array, "buildings"]
    repairs: tuple[str, ...]  # what was put right, in words


def houses(layers: Layers, ground: Ground) -> Houses:
    """Buildings whose centre lies in the box, broken outlines mended, canopies and crumbs left out."""
    drawn = projected(layers.building_shape, ground)
    shapes = mended(drawn)
    footprint = shapely.area(shapes)
    solid = np.array([_has_walls(tags) for tags in layers.building_tags], bool)
    here = solid & _centre_inside(layers.building_shape, ground)
    found = np.flatnonzero(here & (footprint >= SMALLEST_M2))
    rows = found[first_of_each(shapes[found]) == np.arange(len(found))]
    kept = [layers.building_tags[row] for row in rows.tolist()]
    use = np.array([BUILDING_USES.index(building_use(tags)) for tags in kept], np.int32)
    height, known = heights(kept, footprint[rows], use)
    built = assemble(shapes[rows], height, known, use)
    repairs = (
        counted(int((~shapely.is_valid(drawn[rows])).sum()), "outline", CROSSED),
        counted(int(here.sum()) - len(found), "building", FLAT),
        counted(len(found) - len(rows), "building", TWICE),
        counted(sum(map(tags_of.height_refused, kept)), "height tag", "that no building can have not used"),
    )
    return Houses(built, shapes[rows], kept, footprint[rows], tuple(filter(None, repairs)))


def projected(shapes: Array, ground: Ground) -> Array:
    """Shapes in degrees to shapes in metres; what is missing becomes an empty shape."""
    present = np.array([shapely.Polygon() if shape is None else shapely.force_2d(shape) for shape in shapes], object)
    return np.asarray(shapely.transform(present, ground.to_xy), object) if len(present) else present


def _centre_inside(shapes: Array, ground: Ground) -> Bool[Array, "buildings"]:
    centre = shapely.centroid(shapes)
    lon, lat = shapely.get_x(centre), shapely.get_y(centre)  # NaN where there is no shape
    box = ground.box
    return np.asarray((lon >= box.west) & (lon <= box.east) & (lat >= box.south) & (lat <= box.north))


def _has_walls(tags: tags_of.Tags) -> bool:
    under = tags_of.text(tags.get("location")) == "underground"
    sunk = bool(re.fullmatch(r"-[1-9][0-9]?", tags_of.text(tags.get("layer")))) and not tags.get("height")
    return not (under or sunk) and tags_of.text(tags.get("building")) not in _NO_WALLS


def building_use(tags: tags_of.Tags) -> str:
    """Use of a building, a word of BUILDING_USES: from its kind, else from what it houses."""
    word = tags_of.text
    found = _USE_OF_BUILDING.get(word(tags.get("building"))) or _USE_OF_AMENITY.get(word(tags.get("amenity")))
    if found:
        return found
    if word(tags.get("shop")) or word(tags.get("tourism")) in ("hotel", "hostel", "motel", "guest_house"):
        return "retail"
    if word(tags.get("tourism")) in ("museum", "gallery", "attraction"):
        return "public"
    return "office" if word(tags.get("office")) else "other"


def heights(
    tags: Sequence[tags_of.Tags], footprint_m2: Float64[Array, "buildings"], use: Int64[Array, "buildings"]
) -> tuple[Float64[Array, "buildings"], Bool[Array, "buildings"]]:
    """Height of each building and whether the map tells it (as height or as levels).

    Untold ones take the default of their kind; `building=yes` and unheard-of kinds take the median of
    the told heights of large buildings of the same use, or where those are few, a height by footprint.
    """
    told = [tags_of.height_m(row) for row in tags]
    known = np.array([value is not None for value in told], bool)
    height = np.array([0.0 if value is None else value for value in told])
    large = footprint_m2 >= _LARGE_M2
    for row in np.flatnonzero(~known).tolist():
        typical = DEFAULT_HEIGHT_M.get(tags_of.text(tags[row].get("building")))
        if typical is None:
            typical = float(height_by_size(footprint_m2[row]))
        height[row] = typical
    kind_told = np.array([tags_of.text(row.get("building")) in DEFAULT_HEIGHT_M for row in tags], bool)
    for which in np.unique(use[~known & ~kind_told & large]).tolist():
        like = known & large & (use == which)
        if like.sum() >= _ENOUGH:
            height[~known & ~kind_told & large & (use == which)] = np.median(height[like])
    return height, known
