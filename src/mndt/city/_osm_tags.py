"""What OpenStreetMap tags mean in numbers: speeds, lanes, directions, heights, access.

Tags are free text typed by many hands. Every function here accepts anything, never raises, and
answers either a value in its stated range or None, upon which the caller takes a typed default.
Meaning of the keys: https://wiki.openstreetmap.org/wiki/Map_features.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Tags = Mapping[str, object]


def by_word(words_of: Mapping[str, str]) -> dict[str, str]:
    """Turn a table "meaning: words" into "word: meaning".

    >>> by_word({"home": "house cabin"})
    {'house': 'home', 'cabin': 'home'}
    """
    return {word: meaning for meaning, words in words_of.items() for word in words.split()}


def first_meaning(tags: Tags, meaning_of: Mapping[str, str]) -> str:
    """Meaning of the first "key=value" of a table that the tags fulfil, "" if none."""
    for pair, meaning in meaning_of.items():
        key, _, value = pair.partition("=")
        if text(tags.get(key)) == value:
            return meaning
    return ""


@dataclass(frozen=True)
class RoadClass:
    """Defaults of one value of `highway=*`, used where the street itself carries no tag."""

    rank: int  # 0 = most important
    speed_kmh: float
    lanes: int  # in each direction
    one_way: bool = False


ROAD_CLASSES: Final[dict[str, RoadClass]] = {
    # 50 km/h is the legal limit in built-up areas in most countries; streets of a lower class
    # without a sign are as a rule in 30 km/h zones. Motorways and trunk roads are dual carriageways.
    "motorway": RoadClass(0, 120, 2, one_way=True),
    "motorway_link": RoadClass(1, 60, 1, one_way=True),
    "trunk": RoadClass(2, 80, 2),
    "trunk_link": RoadClass(3, 60, 1),
    "primary": RoadClass(4, 50, 1),
    "primary_link": RoadClass(5, 50, 1),
    "secondary": RoadClass(6, 50, 1),
    "secondary_link": RoadClass(7, 50, 1),
    "tertiary": RoadClass(8, 50, 1),
    "tertiary_link": RoadClass(9, 50, 1),
    "unclassified": RoadClass(10, 50, 1),
    "road": RoadClass(11, 50, 1),
    "residential": RoadClass(12, 30, 1),
    "living_street": RoadClass(13, 20, 1),
}
"""Classes cars drive on. Service ways, tracks and footways are not part of the road graph."""

IMPLICIT_KMH: Final[dict[str, float]] = {
    # Word after the country code in maxspeed=XX:word. "none" is the German advisory speed.
    "none": 130, "walk": 7, "urban": 50, "rural": 90, "trunk": 100, "motorway": 120,
    "living_street": 20, "pedestrian_zone": 7, "bicycle_road": 30, "cycle_street": 30, "school": 30,
    "nsl_single": 96.6, "nsl_dual": 112.7, "nsl_restricted": 48.3,
    "ru:urban": 60, "ru:motorway": 110, "by:urban": 60, "by:motorway": 110,
    "de:rural": 100, "de:motorway": 130, "de:living_street": 7, "at:rural": 100, "at:motorway": 130,
    "ch:rural": 80, "nl:rural": 80, "fi:rural": 80, "fr:rural": 80, "no:rural": 80, "dk:rural": 80,
    "dk:motorway": 130, "fr:motorway": 130, "it:motorway": 130, "gb:motorway": 112.7, "uk:motorway": 112.7,
}  # fmt: skip

SPEED_RANGE_KMH: Final = (3.0, 160.0)
LANES_RANGE: Final = (1, 8)  # in one direction
HEIGHT_RANGE_M: Final = (1.0, 850.0)
LEVEL_M: Final = 3.0
"""Height of one storey."""

_CLOSED: Final = frozenset({"no", "private", "agricultural", "forestry", "military", "emergency"})
_UNITS: Final = {"": 1.0, "km/h": 1.0, "kmh": 1.0, "kph": 1.0, "mph": 1.609344, "knots": 1.852, "knot": 1.852}
_SPEED = re.compile(r"([0-9]{1,4}(?:\.[0-9]+)?) *(km/h|kmh|kph|mph|knots?|)")
_ZONE = re.compile(r"(?:[a-z]{2}:)?zone:? *([0-9]{1,3})")
_LENGTH = re.compile(
    r"[~<>+ ]*([0-9]{1,4}(?:[.,][0-9]+)?) *(m|meters?|metres?|ft|feet|'|)\.?"  # 12.5 m, 40 ft, 40'
    r"(?: *([0-9]{1,2}) *(?:\"|''))?"  # and inches
)
_WHOLE = re.compile(r"[~<>+ ]*([0-9]{1,3})(?:[.,]([0-9]+))?")
_SEVERAL = re.compile(r"[;|]")
_SEVERAL_OR_RANGE = re.compile(r"[;|]|(?<=[0-9]) *- *(?=[0-9])")  # "3-5", but not the cellar "-1"


def text(value: object) -> str:
    """A tag as lower-case text; a missing one (None, NaN) as ""."""
    if value is None or value != value:
        return ""
    return str(value).strip().lower()


def _inside(value: float, low: float, high: float) -> float | None:
    return value if low <= value <= high else None


def _speed_part(part: str) -> float | None:
    match = _SPEED.fullmatch(part)
    if match:
        return _inside(float(match[1]) * _UNITS[match[2]], *SPEED_RANGE_KMH)
    zone = _ZONE.fullmatch(part)
    if zone:
        return _inside(float(zone[1]), *SPEED_RANGE_KMH)
    return IMPLICIT_KMH.get(part, IMPLICIT_KMH.get(part.rpartition(":")[2]))


def speed_kmh(value: object) -> float | None:
    """Speed limit of a `maxspeed` tag in km/h; of several the lowest; None if it says nothing usable.

    >>> [speed_kmh(v) for v in ("50", "30;50", "RU:urban", "walk", "signals")]
    [50.0, 30.0, 60, 7, None]
    >>> speed_kmh("50 mph")
    80.4672
    """
    found = [_speed_part(part.strip()) for part in _SEVERAL.split(text(value))]
    return min((speed for speed in found if speed is not None), default=None)


def count(value: object, high: int = 16) -> int | None:
    """Whole number, 1 to `high`, of a tag such as `lanes`; of several the smallest: no lane is invented.

    >>> [count(v) for v in ("2", "2;1", "1.5", "many", "0")]
    [2, 1, 1, None, None]
    """
    matches = [_WHOLE.fullmatch(part.strip()) for part in _SEVERAL.split(text(value))]
    numbers = [int(m[1]) for m in matches if m and 1 <= int(m[1]) <= high]
    return min(numbers, default=None)


def direction(tags: Tags) -> int:
    """1 if traffic may only follow the way as drawn, -1 only against it, 0 both ways.

    Motorways and roundabouts are one-way without saying so. A reversible or alternating lane
    serves both directions over the day and counts as both.
    """
    one_way = text(tags.get("oneway"))
    if one_way in ("yes", "true", "1"):
        return 1
    if one_way in ("-1", "reverse"):
        return -1
    if one_way in ("no", "false", "0", "reversible", "alternating"):
        return 0
    road = ROAD_CLASSES.get(text(tags.get("highway")))
    implied = text(tags.get("junction")) in ("roundabout", "circular") or (road is not None and road.one_way)
    return int(implied)


def lanes_each_way(tags: Tags) -> tuple[int, int]:
    """Lanes (along the way as drawn, against it), each 0 to 8; 0 only where a one-way street forbids it.

    `lanes` counts both directions of a two-way street. An odd lane is most often a shared turning
    lane and goes to neither, unless `lanes:forward` or `lanes:backward` says otherwise.
    """
    road = ROAD_CLASSES.get(text(tags.get("highway")), ROAD_CLASSES["road"])
    total, ahead, back = (count(tags.get(key)) for key in ("lanes", "lanes:forward", "lanes:backward"))
    heading = direction(tags)
    if heading > 0:
        return _lanes(ahead or total or road.lanes), 0
    if heading < 0:
        return 0, _lanes(back or total or road.lanes)
    each = total // 2 if total else road.lanes
    rest_ahead = total - back if total and back else each
    rest_back = total - ahead if total and ahead else each
    return _lanes(ahead or rest_ahead), _lanes(back or rest_back)


def _lanes(number: int) -> int:
    return min(max(number, LANES_RANGE[0]), LANES_RANGE[1])


def speeds_each_way_kmh(tags: Tags) -> tuple[float, float]:
    """Speed limits (along the way as drawn, against it) in km/h, with the default of the class."""
    road = ROAD_CLASSES.get(text(tags.get("highway")), ROAD_CLASSES["road"])
    both = speed_kmh(tags.get("maxspeed")) or road.speed_kmh
    return speed_kmh(tags.get("maxspeed:forward")) or both, speed_kmh(tags.get("maxspeed:backward")) or both


def _length_part_m(part: str) -> float | None:
    match = _LENGTH.fullmatch(part)
    if not match:
        return None
    feet = match[2] in ("ft", "feet", "'")
    value = float(match[1].replace(",", "."))
    inches = float(match[3]) if match[3] else 0.0
    return _inside(value * 0.3048 + inches * 0.0254 if feet else value, *HEIGHT_RANGE_M)


def height_m(tags: Tags) -> float | None:
    """Height of a building in metres: its tag `height`, else its levels times 3 m, else None.

    Of several values the highest counts: the body that shades is the whole building.

    >>> height_m({"height": "12,5 m"}), height_m({"building:levels": "4"}), height_m({"building": "yes"})
    (12.5, 12.0, None)
    >>> round(height_m({"height": "40'6\\""}), 2)
    12.34
    """
    parts = [_length_part_m(part.strip()) for part in _SEVERAL.split(text(tags.get("height")))]
    tagged = max((value for value in parts if value is not None), default=None)
    if tagged is not None:
        return tagged
    storeys = levels(tags)
    return None if storeys is None else _inside(storeys * LEVEL_M, *HEIGHT_RANGE_M)


def height_refused(tags: Tags) -> bool:
    """Whether the tag `height` is there and none of its values is a height from 1 to 850 m.

    >>> height_refused({"height": "-3"}), height_refused({"height": "12 m"}), height_refused({})
    (True, False, False)
    """
    tagged = text(tags.get("height"))
    return bool(tagged) and all(_length_part_m(part.strip()) is None for part in _SEVERAL.split(tagged))


def levels(tags: Tags) -> float | None:
    """Storeys above ground, 0.5 to 200, of the tag `building:levels`; of several the most."""
    numbers = []
    for part in _SEVERAL_OR_RANGE.split(text(tags.get("building:levels"))):
        match = _WHOLE.fullmatch(part.strip())
        value = float(f"{match[1]}.{match[2] or 0}") if match else 0.0
        if 0.5 <= value <= 200:
            numbers.append(value)
    return max(numbers, default=None)


def _open_to(tags: Tags, keys: tuple[str, ...]) -> bool:
    """Whether the most specific access tag present lets one in; without any tag it does."""
    for key in keys:
        value = text(tags.get(key))
        if value:
            return value not in _CLOSED
    return True


def drivable(tags: Tags) -> bool:
    """Whether cars use this way for through traffic."""
    return (
        text(tags.get("highway")) in ROAD_CLASSES
        and text(tags.get("area")) != "yes"
        and _open_to(tags, ("motorcar", "motor_vehicle", "vehicle", "access"))
    )


_WALK_ALWAYS: Final = frozenset(
    by_word({
        "paths": "footway pedestrian path steps track crossing platform trail",
        "streets": "living_street residential service unclassified road tertiary tertiary_link secondary "
        "secondary_link primary primary_link",
    })
)  # fmt: skip
_WALK_IF_SAID: Final = frozenset({"trunk", "trunk_link", "cycleway", "bridleway", "busway"})
_SIDEWALKS: Final = ("both", "left", "right", "yes")


def walkable(tags: Tags) -> bool:
    """Whether people walk along this way outdoors. A street whose pavement is drawn as a way of
    its own is left out, so that nobody walks on the carriageway beside it."""
    kind, foot = text(tags.get("highway")), text(tags.get("foot"))
    if text(tags.get("indoor")) == "yes" or foot == "use_sidepath":
        return False
    pavements = {text(tags.get(key)) for key in ("sidewalk", "sidewalk:both", "sidewalk:left", "sidewalk:right")}
    if "separate" in pavements or not _open_to(tags, ("foot", "access")):
        return False
    if kind in _WALK_IF_SAID:
        return foot in ("yes", "designated", "permissive") or bool(pavements.intersection(_SIDEWALKS))
    return kind in _WALK_ALWAYS


def stops_cars(tags: Tags) -> bool:
    """Whether this node is a traffic light for cars: at a junction, a stop line or a crossing."""
    return text(tags.get("highway")) == "traffic_signals" or stops_walkers(tags)


def stops_walkers(tags: Tags) -> bool:
    """Whether this node is a crossing where people on foot wait for a green light."""
    signalled = text(tags.get("crossing")) == "traffic_signals" or text(tags.get("crossing:signals")) == "yes"
    return signalled and text(tags.get("highway")) in ("crossing", "traffic_signals")
