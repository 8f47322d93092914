"""Tags are free text: parsers answer in range or not at all, and never raise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mndt.city import _osm_tags as tags_of

numbers = st.integers(-5, 10**6).map(str) | st.floats().map(str)
units = st.sampled_from(["", " mph", "mph", " km/h", " knots", " m", "'", "'6\"", " ft", ";", "|", ";2", "-3", ",5"])
words = st.sampled_from(
    ["", "none", "walk", "signals", "RU:urban", "DE:zone:30", "zone", ":", "yes", "-1", "no", "½", "٣"]
)
values = (
    st.none()
    | st.just(float("nan"))
    | st.integers()
    | st.floats()
    | st.text()
    | words
    | st.builds("{}{}".format, numbers, units)
)
classes = st.sampled_from([*tags_of.ROAD_CLASSES, "service", "footway", "", None])


@pytest.mark.parametrize(
    ("tag", "kmh"),
    [
        ("50", 50.0),
        ("50 km/h", 50.0),
        ("50 mph", 80.4672),
        ("20mph", 32.18688),
        ("10 knots", 18.52),
        ("30;50", 30.0),
        ("50|30", 30.0),
        ("RU:urban", 60.0),
        ("FI:urban", 50.0),
        ("DE:zone:30", 30.0),
        ("DE:zone30", 30.0),
        ("walk", 7.0),
        ("none", 130.0),
        ("GB:nsl_single", 96.6),
        ("signals", None),
        ("variable", None),
        ("0", None),
        ("5000", None),
        ("", None),
        (None, None),
        (float("nan"), None),
        (60, 60.0),
    ],
)
def test_speed(tag: object, kmh: float | None) -> None:
    assert tags_of.speed_kmh(tag) == (None if kmh is None else pytest.approx(kmh))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"oneway": "yes"}, 1),
        ({"oneway": "1"}, 1),
        ({"oneway": "-1"}, -1),
        ({"oneway": "reverse"}, -1),
        ({"oneway": "reversible"}, 0),
        ({"oneway": "alternating"}, 0),
        ({}, 0),
        ({"junction": "roundabout"}, 1),
        ({"junction": "circular"}, 1),
        ({"junction": "roundabout", "oneway": "no"}, 0),
        ({"highway": "motorway"}, 1),
        ({"highway": "motorway_link"}, 1),
        ({"highway": "motorway", "oneway": "no"}, 0),
        ({"highway": "trunk"}, 0),
        ({"oneway": "perhaps"}, 0),
    ],
)
def test_direction(tags: dict[str, object], expected: int) -> None:
    assert tags_of.direction(tags) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, (1, 1)),
        ({"lanes": "4"}, (2, 2)),
        ({"lanes": "3"}, (1, 1)),
        ({"lanes": "1"}, (1, 1)),
        ({"lanes": "2;1"}, (1, 1)),
        ({"lanes": "3", "lanes:forward": "2"}, (2, 1)),
        ({"lanes": "5", "lanes:backward": "2"}, (3, 2)),
        ({"lanes:forward": "3", "lanes:backward": "1"}, (3, 1)),
        ({"lanes": "3", "oneway": "yes"}, (3, 0)),
        ({"lanes": "3", "oneway": "-1"}, (0, 3)),
        ({"highway": "motorway"}, (2, 0)),
        ({"highway": "trunk"}, (2, 2)),
        ({"lanes": "2", "lanes:forward": "2"}, (2, 1)),
        ({"lanes": "16", "oneway": "yes"}, (8, 0)),
    ],
)
def test_lanes(tags: dict[str, object], expected: tuple[int, int]) -> None:
    assert tags_of.lanes_each_way(tags) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"height": "12"}, 12.0),
        ({"height": "12.5 m"}, 12.5),
        ({"height": "~12,5m"}, 12.5),
        ({"height": "40 ft"}, 12.192),
        ({"height": "40'6\""}, 12.3444),
        ({"height": "10;12"}, 12.0),
        ({"height": "high", "building:levels": "4"}, 12.0),
        ({"height": "0", "building:levels": "2"}, 6.0),
        ({"building:levels": "2.5"}, 7.5),
        ({"building:levels": "3-5"}, 15.0),
        ({"building:levels": "3;2"}, 9.0),
        ({"building:levels": "0"}, None),
        ({"building:levels": "-1"}, None),
        ({"height": "9999"}, None),
        ({}, None),
    ],
)
def test_height(tags: dict[str, object], expected: float | None) -> None:
    assert tags_of.height_m(tags) == (None if expected is None else pytest.approx(expected))


@given(values, values, values)
def test_numbers_stay_in_range(one: object, two: object, three: object) -> None:
    speed = tags_of.speed_kmh(one)
    assert speed is None or tags_of.SPEED_RANGE_KMH[0] <= speed <= tags_of.SPEED_RANGE_KMH[1]
    number = tags_of.count(one)
    assert number is None or 1 <= number <= 16
    height = tags_of.height_m({"height": one, "building:levels": two})
    assert height is None or tags_of.HEIGHT_RANGE_M[0] <= height <= tags_of.HEIGHT_RANGE_M[1]
    storeys = tags_of.levels({"building:levels": three})
    assert storeys is None or 0.5 <= storeys <= 200


@given(classes, values, values, values, values, values)
def test_every_street_has_a_lane_and_a_limit(
    highway: object, lanes: object, ahead: object, back: object, one_way: object, speed: object
) -> None:
    tags = {
        "highway": highway,
        "lanes": lanes,
        "lanes:forward": ahead,
        "lanes:backward": back,
        "oneway": one_way,
        "maxspeed": speed,
        "maxspeed:forward": ahead,
    }
    forward, backward = tags_of.lanes_each_way(tags)
    heading = tags_of.direction(tags)
    assert (forward > 0) == (heading >= 0)
    assert (backward > 0) == (heading <= 0)
    assert max(forward, backward) <= tags_of.LANES_RANGE[1]
    for kmh in tags_of.speeds_each_way_kmh(tags):
        assert tags_of.SPEED_RANGE_KMH[0] <= kmh <= tags_of.SPEED_RANGE_KMH[1]


@given(
    st.dictionaries(st.sampled_from(["highway", "foot", "access", "sidewalk", "crossing", "indoor", "area"]), values)
)
def test_access_never_raises(tags: dict[str, object]) -> None:
    answers = (tags_of.drivable(tags), tags_of.walkable(tags), tags_of.stops_cars(tags), tags_of.stops_walkers(tags))
    assert all(isinstance(answer, bool) for answer in answers)


def test_access() -> None:
    assert tags_of.drivable({"highway": "residential"})
    assert not tags_of.drivable({"highway": "residential", "access": "private"})
    assert tags_of.drivable({"highway": "residential", "access": "no", "motor_vehicle": "yes"})
    assert not tags_of.drivable({"highway": "residential", "motor_vehicle": "no"})
    assert not tags_of.drivable({"highway": "service"})
    assert tags_of.walkable({"highway": "footway"})
    assert not tags_of.walkable({"highway": "motorway"})
    assert not tags_of.walkable({"highway": "primary", "sidewalk": "separate"})
    assert not tags_of.walkable({"highway": "cycleway"})
    assert tags_of.walkable({"highway": "cycleway", "foot": "designated"})
    assert tags_of.walkable({"highway": "trunk", "sidewalk": "left"})
    assert not tags_of.walkable({"highway": "footway", "access": "private"})


def test_signals() -> None:
    crossing = {"highway": "crossing", "crossing": "traffic_signals"}
    assert tags_of.stops_cars({"highway": "traffic_signals"})
    assert not tags_of.stops_walkers({"highway": "traffic_signals"})
    assert tags_of.stops_cars(crossing)
    assert tags_of.stops_walkers(crossing)
    assert not tags_of.stops_cars({"highway": "crossing", "crossing": "zebra"})
