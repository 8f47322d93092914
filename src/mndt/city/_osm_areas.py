"""Areas of interest: buildings people stay in, and parks, squares and stations between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import shapely
from jaxtyping import Float64, Int64
from scipy.spatial import cKDTree

from mndt.city import _osm_tags as tags_of
from mndt.city._osm_box import Ground
from mndt.city._osm_buildings import Houses, mended, projected
from mndt.city._osm_source import Layers
from mndt.city.model import AREA_USES, BUILDING_USES, Areas, Ways

Array = np.ndarray

SMALLEST_BUILDING_M2: Final = 60.0
SMALLEST_GROUND_M2: Final = 200.0
_STATION_RADIUS_M: Final = 25.0  # a station mapped as a point gets a forecourt of this size

_USE_OF_HOUSE: Final = {"residential": "home", "office": "work", "retail": "shop", "education": "education", "industrial": "work"}  # fmt: skip
_USE_OF_KIND: Final[dict[str, str]] = {
    # Kinds whose stay differs from that of their wider use.
    **dict.fromkeys("train_station transportation parking garage garages".split(), "transport"),
    **dict.fromkeys("civic government townhall hospital public clinic fire_station".split(), "work"),
    **dict.fromkeys("hotel museum church cathedral chapel mosque temple synagogue shrine stadium grandstand sports_hall "
                    "sports_centre pavilion theatre library monastery religious".split(), "leisure"),
    **dict.fromkeys("shed hut service utility greenhouse glasshouse barn stable farm_auxiliary transformer_tower "
                    "water_tower".split(), "other"),
}  # fmt: skip

_TENANTS: Final[dict[str, str]] = {
    **dict.fromkeys("restaurant cafe fast_food bar pub bank pharmacy food_court nightclub".split(), "shop"),
    **dict.fromkeys("school university college kindergarten language_school music_school childcare".split(), "education"),
    **dict.fromkeys("theatre cinema arts_centre library community_centre place_of_worship museum gallery".split(), "leisure"),
    **dict.fromkeys("hospital clinic doctors dentist townhall courthouse police embassy post_office".split(), "work"),
}  # fmt: skip
_TENANT_M2: Final = {"shop": 150.0, "work": 300.0, "education": 1500.0, "leisure": 800.0}
"""Typical floor area of one mapped tenant; a house is named after tenants that fill at least a third of it."""
_FILLED: Final = 1 / 3

_AROUND: Final[dict[tuple[str, str], str]] = {
    **{("landuse", v): "home" for v in ("residential", "farmyard", "garages")},
    **{("landuse", v): "work" for v in ("commercial", "industrial", "civil", "civic", "civic_admin", "institutional", "port", "military")},
    ("landuse", "retail"): "shop", ("landuse", "education"): "education", ("landuse", "railway"): "transport",
    ("landuse", "religious"): "leisure", ("amenity", "hospital"): "work",
    **{("amenity", v): "education" for v in ("school", "university", "college", "kindergarten")},
}  # fmt: skip
"""What surrounds a house of unknown kind."""

_GROUNDS: Final[dict[tuple[str, str], str]] = {
    **{("leisure", v): "park" for v in ("park", "garden", "common", "nature_reserve", "dog_park")},
    **{("landuse", v): "park" for v in ("recreation_ground", "village_green", "cemetery")},
    **{("leisure", v): "leisure" for v in ("playground", "pitch", "sports_centre", "stadium", "track", "miniature_golf", "marina", "swimming_area", "beach_resort", "outdoor_seating", "golf_course", "water_park")},
    **{("tourism", v): "leisure" for v in ("zoo", "theme_park", "attraction", "camp_site", "picnic_site")},
    ("place", "square"): "leisure", ("highway", "pedestrian"): "leisure", ("amenity", "marketplace"): "leisure",
    ("natural", "beach"): "leisure", ("landuse", "allotments"): "leisure",
    ("railway", "station"): "transport", ("public_transport", "station"): "transport", ("amenity", "bus_station"): "transport",
}  # fmt: skip
"""Open ground people stay on."""

_HALLS: Final = frozenset("church cathedral chapel mosque temple synagogue train_station stadium sports_hall hangar warehouse supermarket greenhouse glasshouse".split())  # fmt: skip


def areas(layers: Layers, ground: Ground, houses: Houses, roads: Ways, footways: Ways) -> Areas:
    """All areas of the box: first those in buildings, in their order, then open ground."""
    place = projected(layers.place_shape, ground)
    indoor, use_in, size_in = _in_buildings(layers, place, houses)
    shapes_out, use_out, size_out, point_out = _on_ground(layers, place, houses, ground)
    shapes = [*houses.shape[indoor], *shapes_out]
    point = np.concatenate([shapely.get_coordinates(shapely.point_on_surface(houses.shape[indoor])).reshape(-1, 2), point_out])
    rings = [_outline(shape) for shape in shapes]
    points = np.concatenate(rings) if rings else np.empty((0, 2))
    return Areas(
        use=np.array([AREA_USES.index(use) for use in [*use_in, *use_out]], np.int32),
        building=np.concatenate([indoor, np.full(len(shapes_out), -1)]).astype(np.int32),
        x_m=point[:, 0],
        y_m=point[:, 1],
        size_m2=np.concatenate([size_in, size_out]),
        foot_node=_nearest(footways, point),
        road_node=_nearest(roads, point),
        point_start=np.concatenate([[0], np.cumsum([len(ring) for ring in rings])]).astype(np.int32),
        point_x_m=points[:, 0],
        point_y_m=points[:, 1],
    )


def _outline(shape: Any) -> Array:
    largest = max(shapely.get_parts(shape), key=lambda part: float(part.area))
    return np.asarray(largest.exterior.coords)[:-1, :2]


def _nearest(ways: Ways, point: Float64[Array, "areas 2"]) -> Int64[Array, "areas"]:
    tree = cKDTree(np.column_stack([ways.node_x_m, ways.node_y_m]))
    return np.asarray(tree.query(point)[1], np.int32).reshape(len(point))


def _in_buildings(
    layers: Layers, place: Array, houses: Houses
) -> tuple[Int64[Array, "indoor"], list[str], Float64[Array, "indoor"]]:
    """Rows of the buildings that are areas, their use and their floor area."""
    rows = np.flatnonzero(houses.footprint_m2 >= SMALLEST_BUILDING_M2)
    floor = np.array([houses.footprint_m2[row] * _storeys(houses, row) for row in rows.tolist()])
    tenants = _tenants(layers, place, houses)
    around = _around(layers, place, houses)
    uses = [
        area_use(houses.tags[row], BUILDING_USES[houses.buildings.use[row]], float(m2), tenants[row], around[row])
        for row, m2 in zip(rows.tolist(), floor, strict=True)
    ]
    return rows, uses, floor


def _storeys(houses: Houses, row: int) -> float:
    tagged = tags_of.levels(houses.tags[row])
    if tagged is not None:
        return max(tagged, 1.0)
    if tags_of.text(houses.tags[row].get("building")) in _HALLS:
        return 1.0
    return max(1.0, round(float(houses.buildings.height_m[row]) / tags_of.LEVEL_M))


def area_use(tags: tags_of.Tags, house_use: str, floor_m2: float, tenants: Counter[str], around: str | None) -> str:
    """Use of a building as an area, a word of AREA_USES.

    Its own kind speaks first, then the tenants that fill a third of its floors, then the land around
    it; a house of which nothing is known is a home.

    >>> area_use({"building": "yes"}, "other", 900.0, Counter(shop=2), "home")
    'shop'
    """
    own = _USE_OF_KIND.get(tags_of.text(tags.get("building"))) or _USE_OF_HOUSE.get(house_use)
    if own:
        return own
    filled = {use: number * _TENANT_M2[use] / max(floor_m2, 1.0) for use, number in tenants.items()}
    best = max(filled, key=lambda use: (filled[use], use), default="")
    if best and filled[best] >= _FILLED:
        return best
    if house_use == "public":
        return "leisure"
    return around or "home"


def _tenants(layers: Layers, place: Array, houses: Houses) -> list[Counter[str]]:
    """Mapped shops, offices and the like inside each building."""
    found: list[Counter[str]] = [Counter() for _ in range(len(houses.tags))]
    uses = [_tenant(tags) for tags in layers.place_tags]
    rows = np.array([i for i, use in enumerate(uses) if use and _is_point(place[i])], np.int64)
    if len(rows) and len(found):
        which, house = shapely.STRtree(houses.shape).query(place[rows], predicate="within")
        for i, b in zip(rows[which].tolist(), house.tolist(), strict=True):
            found[b][uses[i]] += 1
    return found


def _tenant(tags: tags_of.Tags) -> str:
    if tags_of.text(tags.get("shop")):
        return "shop"
    if tags_of.text(tags.get("office")):
        return "work"
    return _TENANTS.get(tags_of.text(tags.get("amenity")), _TENANTS.get(tags_of.text(tags.get("tourism")), ""))


def _is_point(shape: Any) -> bool:
    return bool(shape.geom_type == "Point" and not shape.is_empty)


def _word(table: dict[tuple[str, str], str], tags: tags_of.Tags) -> str:
    """The first key of the table that the tags fulfil."""
    return next((use for (key, value), use in table.items() if tags_of.text(tags.get(key)) == value), "")


def _around(layers: Layers, place: Array, houses: Houses) -> list[str | None]:
    """Use of the smallest mapped land around the centre of each building."""
    result: list[str | None] = [None] * len(houses.tags)
    uses = [_word(_AROUND, tags) for tags in layers.place_tags]
    rows = np.array([i for i, use in enumerate(uses) if use and "Polygon" in place[i].geom_type], np.int64)
    if len(rows) == 0 or not result:
        return result
    land = mended(place[rows])
    house, which = shapely.STRtree(land).query(shapely.centroid(houses.shape), predicate="within")
    for i in np.argsort(-shapely.area(land[which]), kind="stable"):  # the smallest is written last
        result[int(house[i])] = uses[int(rows[which[i]])]
    return result


def _on_ground(
    layers: Layers, place: Array, houses: Houses, ground: Ground
) -> tuple[list[Any], list[str], Float64[Array, "grounds"], Float64[Array, "grounds 2"]]:
    """Outline, use, size and a point of every open ground, without what is built upon."""
    uses = [_word(_GROUNDS, tags) for tags in layers.place_tags]
    rows = [i for i, tags in enumerate(layers.place_tags) if uses[i] and _is_open(tags, place[i], uses[i])]
    if not rows:
        return [], [], np.empty(0), np.empty((0, 2))
    shapes = np.array([place[i].buffer(_STATION_RADIUS_M, quad_segs=4) if _is_point(place[i]) else place[i] for i in rows], object)
    shapes = _largest_parts(shapely.intersection(mended(shapes), _box_in_metres(ground)))
    free = _largest_parts(_unbuilt(shapes, houses.shape))
    size = shapely.area(free)
    kept = np.flatnonzero(size >= SMALLEST_GROUND_M2)
    kept = kept[_distinct(shapes[kept])]
    point = shapely.get_coordinates(shapely.point_on_surface(free[kept])).reshape(-1, 2)
    return list(shapes[kept]), [uses[rows[i]] for i in kept.tolist()], size[kept], point


def _is_open(tags: tags_of.Tags, shape: Any, use: str) -> bool:
    if tags_of.text(tags.get("building")) not in ("", "no"):
        return False
    return "Polygon" in shape.geom_type or (use == "transport" and _is_point(shape))


def _box_in_metres(ground: Ground) -> Any:
    outline = shapely.segmentize(shapely.box(*ground.box.edges), max_segment_length=0.005)
    return shapely.transform(outline, ground.to_xy)


def _largest_parts(shapes: Array) -> Array:
    def largest(shape: Any) -> Any:
        parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
        return max(parts, key=lambda part: float(part.area), default=shapely.Polygon())

    return np.array([largest(shape) for shape in shapes], object)


def _unbuilt(shapes: Array, houses: Array) -> Array:
    if len(houses) == 0:
        return shapes
    free = shapes.copy()
    ground, house = shapely.STRtree(houses).query(shapes, predicate="intersects")[:2]
    for i in np.unique(ground).tolist():
        free[i] = shapely.difference(shapes[i], shapely.union_all(houses[house[ground == i]]))
    return free


def _distinct(shapes: Sequence[Any]) -> Int64[Array, "distinct"]:
    """A square is often mapped twice, as a square and as a pedestrian area: keep the first."""
    if len(shapes) == 0:
        return np.empty(0, np.int64)
    key = np.round(np.column_stack([shapely.get_coordinates(shapely.centroid(shapes)), shapely.area(shapes)]), 0)
    _, first = np.unique(key, axis=0, return_index=True)
    return np.sort(first)
