"""Areas of interest: buildings people stay in, and parks, squares and stations between them."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import numpy as np
import shapely
from jaxtyping import Float64, Int64
from scipy.spatial import cKDTree

from mndt.city import _osm_tags as tags_of
from mndt.city._osm_box import Ground
from mndt.city._osm_buildings import Houses, projected
from mndt.city._osm_source import Layers
from mndt.city.footprints import mended, ring_points
from mndt.city.model import AREA_USES, BUILDING_USES, Areas, Ways

Array = np.ndarray

SMALLEST_BUILDING_M2: Final = 60.0
SMALLEST_GROUND_M2: Final = 200.0
_STATION_RADIUS_M: Final = 25.0  # a station mapped as a point gets a forecourt of this size

_USE_OF_HOUSE: Final = {
    "residential": "home",
    "office": "work",
    "retail": "shop",
    "education": "education",
    "industrial": "work",
}
_USE_OF_KIND: Final = tags_of.by_word({
    # Kinds whose stay differs from that of their wider use.
    "transport": "train_station transportation parking garage garages",
    "work": "civic government townhall hospital public clinic fire_station",
    "leisure": "hotel museum church cathedral chapel mosque temple synagogue shrine stadium grandstand sports_hall "
    "sports_centre pavilion theatre library monastery religious",
    "other": "shed hut service utility greenhouse glasshouse barn stable farm_auxiliary transformer_tower water_tower",
})  # fmt: skip
_HALLS: Final = frozenset(
    tags_of.by_word({
        "worship": "church cathedral chapel mosque temple synagogue",
        "trade": "train_station stadium sports_hall hangar warehouse supermarket greenhouse glasshouse",
    })
)  # fmt: skip
"""Kinds with one floor however high they are."""

_TENANTS: Final = tags_of.by_word({
    "shop": "restaurant cafe fast_food bar pub bank pharmacy food_court nightclub",
    "education": "school university college kindergarten language_school music_school childcare",
    "leisure": "theatre cinema arts_centre library community_centre place_of_worship museum gallery",
    "work": "hospital clinic doctors dentist townhall courthouse police embassy post_office",
})  # fmt: skip
_TENANT_M2: Final = {"shop": 150.0, "work": 300.0, "education": 1500.0, "leisure": 800.0}
"""Typical floor area of one mapped tenant; a house is named after tenants that fill at least a third of it."""
_FILLED: Final = 1 / 3

_AROUND: Final = tags_of.by_word({
    "home": "landuse=residential landuse=farmyard landuse=garages",
    "work": "landuse=commercial landuse=industrial landuse=civil landuse=civic landuse=civic_admin "
    "landuse=institutional landuse=port landuse=military amenity=hospital",
    "shop": "landuse=retail",
    "education": "landuse=education amenity=school amenity=university amenity=college amenity=kindergarten",
    "transport": "landuse=railway",
    "leisure": "landuse=religious",
})  # fmt: skip
"""What surrounds a house of unknown kind."""

_GROUNDS: Final = tags_of.by_word({
    "park": "leisure=park leisure=garden leisure=common leisure=nature_reserve leisure=dog_park "
    "landuse=recreation_ground landuse=village_green landuse=cemetery",
    "leisure": "leisure=playground leisure=pitch leisure=sports_centre leisure=stadium leisure=track "
    "leisure=miniature_golf leisure=marina leisure=swimming_area leisure=beach_resort leisure=outdoor_seating "
    "leisure=golf_course leisure=water_park tourism=zoo tourism=theme_park tourism=attraction tourism=camp_site "
    "tourism=picnic_site place=square highway=pedestrian amenity=marketplace natural=beach landuse=allotments",
    "transport": "railway=station railway=halt public_transport=station amenity=bus_station",
})  # fmt: skip
"""Open ground people stay on."""


def areas(layers: Layers, ground: Ground, houses: Houses, roads: Ways, footways: Ways) -> Areas:
    """All areas of the box: first those in buildings, in their order, then open ground."""
    place = projected(layers.place_shape, ground)
    indoor, use_in, size_in = _in_buildings(layers, place, houses)
    shapes_out, use_out, size_out, point_out = _on_ground(layers, place, houses, ground)
    outlines = shapely.get_exterior_ring(_largest_parts(np.concatenate([houses.shape[indoor], shapes_out])))
    points, point_start = ring_points(outlines)
    point = np.concatenate([_inner_points(houses.shape[indoor]), point_out])
    return Areas(
        use=np.array([AREA_USES.index(use) for use in [*use_in, *use_out]], np.int32),
        building=np.concatenate([indoor, np.full(len(shapes_out), -1)]).astype(np.int32),
        x_m=point[:, 0],
        y_m=point[:, 1],
        size_m2=np.concatenate([size_in, size_out]),
        foot_node=_nearest(footways, point),
        road_node=_nearest(roads, point),
        point_start=point_start,
        point_x_m=points[:, 0],
        point_y_m=points[:, 1],
    )


def _inner_points(shapes: Array) -> Float64[Array, "shapes 2"]:
    return np.asarray(shapely.get_coordinates(shapely.point_on_surface(shapes)).reshape(-1, 2))


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


def _around(layers: Layers, place: Array, houses: Houses) -> list[str | None]:
    """Use of the smallest mapped land around the centre of each building."""
    result: list[str | None] = [None] * len(houses.tags)
    uses = [tags_of.first_meaning(tags, _AROUND) for tags in layers.place_tags]
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
) -> tuple[Array, list[str], Float64[Array, "grounds"], Float64[Array, "grounds 2"]]:
    """Outline, use, size and a point of every open ground, without what is built upon."""
    uses = [tags_of.first_meaning(tags, _GROUNDS) for tags in layers.place_tags]
    rows = [i for i, tags in enumerate(layers.place_tags) if uses[i] and _is_open(tags, place[i], uses[i])]
    if not rows:
        return np.empty(0, object), [], np.empty(0), np.empty((0, 2))
    shapes = place[rows]
    points = np.array([_is_point(shape) for shape in shapes])
    shapes[points] = shapely.buffer(shapes[points], _STATION_RADIUS_M, quad_segs=4)
    shapes = _largest_parts(shapely.intersection(mended(shapes), _box_in_metres(ground)))
    free = _largest_parts(_unbuilt(shapes, houses.shape))
    size = shapely.area(free)
    kept = np.flatnonzero(size >= SMALLEST_GROUND_M2)
    kept = kept[_distinct(shapes[kept])]
    return shapes[kept], [uses[rows[i]] for i in kept.tolist()], size[kept], _inner_points(free[kept])


def _is_open(tags: tags_of.Tags, shape: Any, use: str) -> bool:
    if tags_of.text(tags.get("building")) not in ("", "no"):
        return False
    return "Polygon" in shape.geom_type or (use == "transport" and _is_point(shape))


def _box_in_metres(ground: Ground) -> Any:
    outline = shapely.segmentize(shapely.box(*ground.box.edges), max_segment_length=0.005)
    return shapely.transform(outline, ground.to_xy)


def _largest_parts(shapes: Array) -> Array:
    """The largest polygon of each shape, an empty one where it has none."""
    parts, owner = shapely.get_parts(shapes, return_index=True)
    polygon = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts, owner = parts[polygon], owner[polygon]
    largest = np.full(len(shapes), shapely.Polygon(), object)
    by_size = np.argsort(shapely.area(parts), kind="stable")
    largest[owner[by_size]] = parts[by_size]  # the largest is written last
    return largest


def _unbuilt(shapes: Array, houses: Array) -> Array:
    if len(houses) == 0:
        return shapes
    free = shapes.copy()
    ground, house = shapely.STRtree(houses).query(shapes, predicate="intersects")[:2]
    for i in np.unique(ground).tolist():
        free[i] = shapely.difference(shapes[i], shapely.union_all(houses[house[ground == i]]))
    return free


def _distinct(shapes: Array) -> Int64[Array, "distinct"]:
    """A square is often mapped twice, as a square and as a pedestrian area: keep the first."""
    if len(shapes) == 0:
        return np.empty(0, np.int64)
    key = np.round(np.column_stack([shapely.get_coordinates(shapely.centroid(shapes)), shapely.area(shapes)]), 0)
    _, first = np.unique(key, axis=0, return_index=True)
    return np.sort(first)
