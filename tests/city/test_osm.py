"""Cities from real maps, from parts of them, and from small maps written by hand."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mndt.city import _osm_box, _osm_source, _osm_ways
from mndt.city.model import AREA_USES, BUILDING_USES, City, Ways
from mndt.city.osm import ATTRIBUTION, read_osm, summary
from mndt.errors import InputError

SUB_BOX = (24.94, 60.166, 24.948, 60.172)


@pytest.fixture(scope="module", params=["helsinki", "village", "part"])
def city(request: pytest.FixtureRequest, helsinki_city: City, village_city: City, helsinki_pbf: Path) -> City:
    if request.param == "part":
        return read_osm(helsinki_pbf, SUB_BOX)
    return helsinki_city if request.param == "helsinki" else village_city


def graph_parts(ways: Ways) -> int:
    links = coo_array((np.ones(ways.n_edges), (ways.edge_from, ways.edge_to)), shape=(ways.n_nodes, ways.n_nodes))
    return int(connected_components(links, connection="strong")[0])


def test_graphs_hang_together(city: City) -> None:
    for ways in (city.roads, city.footways):
        assert graph_parts(ways) == 1
        assert set(np.unique([ways.edge_from, ways.edge_to])) == set(range(ways.n_nodes))
        assert (ways.edge_from != ways.edge_to).all()


def test_edges_fit_their_shapes(city: City) -> None:
    for ways in (city.roads, city.footways):
        for e in range(ways.n_edges):
            part = slice(ways.shape_start[e], ways.shape_start[e + 1])
            x, y = ways.shape_x_m[part], ways.shape_y_m[part]
            assert np.hypot(np.diff(x), np.diff(y)).sum() == pytest.approx(ways.edge_length_m[e], rel=0.01)
            assert (x[0], y[0]) == (ways.node_x_m[ways.edge_from[e]], ways.node_y_m[ways.edge_from[e]])
            assert (x[-1], y[-1]) == (ways.node_x_m[ways.edge_to[e]], ways.node_y_m[ways.edge_to[e]])
        assert (ways.edge_length_m > 0).all()


def test_everything_lies_in_the_box(city: City) -> None:
    for ways in (city.roads, city.footways):
        for x, y in ((ways.node_x_m, ways.node_y_m), (ways.shape_x_m, ways.shape_y_m)):
            assert x.min() >= 0
            assert x.max() <= city.frame.width_m
            assert y.min() >= 0
            assert y.max() <= city.frame.depth_m


def test_values_are_in_range(city: City) -> None:
    roads, houses = city.roads, city.buildings
    assert roads.edge_lanes.min() >= 1
    assert roads.edge_lanes.max() <= 8
    assert roads.edge_speed_mps.min() >= 3 / 3.6
    assert roads.edge_speed_mps.max() <= 160 / 3.6
    assert (city.footways.edge_speed_mps == 1.34).all()
    assert houses.height_m.min() >= 1
    assert houses.use.max() < len(BUILDING_USES)
    assert houses.ring_start[-1] == len(houses.ring_is_hole) == len(houses.point_start) - 1
    assert houses.point_start[-1] == len(houses.point_x_m)
    assert not houses.ring_is_hole[houses.ring_start[:-1]].any()
    assert np.diff(houses.point_start).min() >= 3


def test_footways_go_both_ways(city: City) -> None:
    there = sorted(
        zip(city.footways.edge_from, city.footways.edge_to, city.footways.edge_length_m.round(3), strict=True)
    )
    back = sorted(
        zip(city.footways.edge_to, city.footways.edge_from, city.footways.edge_length_m.round(3), strict=True)
    )
    assert there == back


def test_bends_are_not_nodes(city: City) -> None:
    """A node between two edges of the same kind, both ways, is a light or cuts a ring in two."""
    ways = city.footways
    neighbours: dict[int, list[int]] = {}
    for a, b in zip(ways.edge_from.tolist(), ways.edge_to.tolist(), strict=True):
        neighbours.setdefault(a, []).append(b)
    bends = [n for n, near in neighbours.items() if len(near) == 2 and near[0] != near[1] and not ways.node_signal[n]]
    assert bends == []


def test_areas_are_well_formed(city: City) -> None:
    areas = city.areas
    assert areas.use.max() < len(AREA_USES)
    assert ((areas.foot_node >= 0) & (areas.foot_node < city.footways.n_nodes)).all()
    assert ((areas.road_node >= 0) & (areas.road_node < city.roads.n_nodes)).all()
    assert (areas.building < len(city.buildings)).all()
    assert areas.size_m2.min() >= 60
    for a in range(len(areas)):
        part = slice(areas.point_start[a], areas.point_start[a + 1])
        outline = shapely.Polygon(np.column_stack([areas.point_x_m[part], areas.point_y_m[part]]))
        assert outline.covers(shapely.Point(areas.x_m[a], areas.y_m[a]))


def test_nearest_nodes_are_nearest(city: City) -> None:
    for ways, node in ((city.footways, city.areas.foot_node), (city.roads, city.areas.road_node)):
        far = np.hypot(ways.node_x_m - city.areas.x_m[:, None], ways.node_y_m - city.areas.y_m[:, None])
        assert far[np.arange(len(node)), node] == pytest.approx(far.min(axis=1))


def test_central_helsinki(helsinki_city: City) -> None:
    told = summary(helsinki_city)
    assert helsinki_city.frame.epsg == 32635
    assert helsinki_city.attribution == ATTRIBUTION
    assert told["sites"] == 16 + 61
    assert told["sites_indoor"] == 61
    assert 440 <= told["buildings"] <= 486
    assert 400 <= told["areas"] <= 700
    assert 60 <= told["footway_km"] <= 110
    assert told["traffic_lights"] > 50
    assert 0.2 < told["known_heights_share"] < 0.6
    tower = helsinki_city.buildings.height_m.max()
    assert tower == 70  # the tower hotel carries height=70


def test_same_seed_same_city(helsinki_pbf: Path) -> None:
    one, two = read_osm(helsinki_pbf, SUB_BOX, seed=3), read_osm(helsinki_pbf, "24.94,60.166,24.948,60.172", seed=3)
    assert (one.roads.node_x_m == two.roads.node_x_m).all()
    assert (one.sites.x_m == two.sites.x_m).all()
    assert one.name == "Helsinki"


def test_a_box_over_the_border_is_cut_to_the_extract(helsinki_pbf: Path) -> None:
    wide = read_osm(helsinki_pbf, (24.9, 60.166, 24.948, 60.172))
    narrow = read_osm(helsinki_pbf, (24.9351763, 60.166, 24.948, 60.172))
    assert wide.frame == narrow.frame


def test_large_files_are_streamed_with_the_same_result(
    village_pbf: Path, village_city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_osm_source, "_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    streamed = read_osm(village_pbf)
    assert summary(streamed) == summary(village_city)
    assert (streamed.roads.shape_x_m == village_city.roads.shape_x_m).all()
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


# Bad input: one sentence each


@pytest.mark.parametrize(
    ("bbox", "words"),
    [
        ((60.164, 24.935, 60.179, 24.953), "swapped, did you mean 24.935,60.164,24.953,60.179"),
        ((10.0, 50.0, 10.1, 50.1), "inside the extract's own box 24.93"),
        ((24.94, 60.166, 24.94, 60.172), "no size"),
        ((24.948, 60.166, 24.94, 60.172), "did you mean 24.94,60.166,24.948,60.172"),
        ((24.94, 60.166, 24.948), "four numbers"),
        ((24.94, 60.166, 24.948, float("nan")), "four numbers"),
        ("a,b,c,d", "four numbers"),
        (7, "four numbers"),
        ((385412.0, 6671452.0, 386000.0, 6673000.0), "not metres"),
        ((60.0, 100.0, 60.1, 100.2), "degrees"),
        ((120.5, -33.0, -33.5, 151.0), "degrees"),
    ],
)
def test_wrong_box(helsinki_pbf: Path, bbox: tuple[float, ...], words: str) -> None:
    with pytest.raises(InputError, match="bbox is") as caught:
        read_osm(helsinki_pbf, bbox)
    assert words in str(caught.value)


def test_latitude_first_is_recognised_from_the_globe() -> None:
    with pytest.raises(InputError, match="swapped"):
        _osm_box.parse_box((-33.9, 151.1, -33.8, 151.3))


def test_box_too_large() -> None:
    huge = _osm_box.parse_box((24.0, 60.0, 25.0, 61.0))
    with pytest.raises(InputError, match=r"up to 400 km2.*stations"):
        _osm_box.choose_box(huge, None)
    with pytest.raises(InputError, match="box of the extract"):
        _osm_box.choose_box(None, huge)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_osm(tmp_path / "nowhere.osm.pbf")
    with pytest.raises(InputError, match="folder"):
        read_osm(tmp_path)
    other = tmp_path / "map.osm"
    other.write_text("<osm/>")
    with pytest.raises(InputError, match="osmium cat"):
        read_osm(other)


@pytest.mark.parametrize("content", [b"", b"hello world " * 100, b"\x00\x00\x00\x0d\x0a"])
def test_no_pbf_inside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.osm.pbf"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged, cut short or of another format"):
        read_osm(path)


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.9, 0.9999])
def test_truncated_file(tmp_path: Path, village_pbf: Path, share: float) -> None:
    content = village_pbf.read_bytes()
    path = tmp_path / "cut.osm.pbf"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match="damaged, cut short"):
        read_osm(path)


def test_flipped_bytes(tmp_path: Path, village_pbf: Path) -> None:
    content = bytearray(village_pbf.read_bytes())
    content[5000:6000] = bytes(1000)
    path = tmp_path / "flipped.osm.pbf"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_osm(path)


# Maps written by hand

SQUARE = [(0, 0), (200, 0), (200, 200), (0, 200)]
HOUSE = [(60, 60), (100, 60), (100, 90), (60, 90)]
RING = ([0, 1, 2, 3, 0], {"highway": "residential"})
BUILDING = ([4, 5, 6, 7, 4], {"building": "yes"})


def test_hand_made_block(write_map) -> None:
    """A square block: a ring without any junction becomes two streets, each in both directions."""
    city = read_osm(write_map([*SQUARE, *HOUSE], [RING, BUILDING]))
    assert (city.roads.n_nodes, city.roads.n_edges) == (2, 4)
    assert city.roads.edge_length_m.sum() == pytest.approx(2 * 800, rel=0.01)
    assert len(city.buildings) == 1
    assert city.buildings.height_m[0] == 12
    assert not city.buildings.height_known[0]
    assert city.areas.size_m2[0] == pytest.approx(40 * 30 * 4, rel=0.01)
    assert city.name == "hand"


def test_nothing_to_drive_or_to_live_in(write_map) -> None:
    with pytest.raises(InputError, match="no buildings"):
        read_osm(write_map([*SQUARE, *HOUSE], [RING]))
    with pytest.raises(InputError, match="no streets"):
        read_osm(write_map([*SQUARE, *HOUSE], [BUILDING]))
    one_way = ([0, 1, 2], {"highway": "residential", "oneway": "yes"})
    with pytest.raises(InputError, match="no roads"):
        read_osm(write_map([*SQUARE, *HOUSE], [one_way, BUILDING]))
    with pytest.raises(InputError, match="no footways"):
        read_osm(write_map([*SQUARE, *HOUSE], [([0, 1, 2, 3, 0], {"highway": "residential", "foot": "no"}), BUILDING]))


def test_the_southern_hemisphere(write_map) -> None:
    city = read_osm(write_map([*SQUARE, *HOUSE], [RING, BUILDING], at=(151.2, -33.87)))
    assert city.frame.epsg == 32756
    assert 190 < city.frame.width_m < 230
    assert 190 < city.frame.depth_m < 230


def test_one_way_and_roundabout(write_map) -> None:
    """The ring may only be driven as drawn, a stub joins it, an island is left out."""
    nodes = [*SQUARE, *HOUSE, (300, 0), (50, 20), (80, 20)]
    ways = [
        ([0, 1, 2, 3, 0], {"highway": "primary", "junction": "roundabout", "lanes": "2", "maxspeed": "20 mph"}),
        ([1, 8], {"highway": "residential"}),
        ([9, 10], {"highway": "residential"}),
        BUILDING,
    ]
    roads = read_osm(write_map(nodes, ways)).roads
    ring = roads.edge_lanes == 2
    assert ring.sum() == 2  # a ring is cut in two
    assert roads.edge_length_m[ring].sum() == pytest.approx(800, rel=0.01)
    assert roads.edge_speed_mps[ring] == pytest.approx(20 * 0.44704, abs=1e-3)
    assert roads.edge_length_m[~ring] == pytest.approx([100, 100], rel=0.01)
    assert (roads.edge_rank[ring] < roads.edge_rank[~ring][0]).all()


def test_a_way_drawn_against_its_traffic(write_map) -> None:
    ways = [
        ([0, 1, 2], {"highway": "residential", "oneway": "-1"}),
        ([2, 3, 0], {"highway": "residential", "oneway": "-1"}),
        ([0, 2], {"highway": "tertiary"}),
        BUILDING,
    ]
    roads = read_osm(write_map([*SQUARE, *HOUSE], ways)).roads
    single = np.flatnonzero(roads.edge_rank == roads.edge_rank.max())
    assert len(single) == 2
    for e in single:  # 2 -> 1 -> 0 passes the corner (200, 0), 0 -> 3 -> 2 the corner (0, 200)
        part = slice(roads.shape_start[e], roads.shape_start[e + 1])
        x, y = roads.shape_x_m[part], roads.shape_y_m[part]
        turn = (x[1] - x[0]) * (y[2] - y[1]) - (y[1] - y[0]) * (x[2] - x[1])
        assert turn < 0  # clockwise, as the ways are drawn counter-clockwise


def test_lights_go_to_the_junction_they_guard(write_map) -> None:
    stop_line, crossing = {"highway": "traffic_signals"}, {"highway": "crossing", "crossing": "traffic_signals"}
    nodes = [(0, 100), (80, 100, stop_line), (100, 100), (100, 0), (100, 200), (0, 0, {}), *HOUSE, (100, 50, crossing)]
    house = ([6, 7, 8, 9, 6], {"building": "yes"})
    primary = {"highway": "primary"}
    ways = [([0, 1, 2], primary), ([3, 10, 2, 4], primary), ([0, 5], primary), house]
    roads = read_osm(write_map(nodes, ways)).roads
    lit = np.column_stack([roads.node_x_m, roads.node_y_m])[roads.node_signal]
    assert len(lit) == 2  # the junction, and the crossing 50 m away from it
    assert np.hypot(*(lit[0] - lit[1])) == pytest.approx(50, abs=0.5)


def test_footprints_with_courtyards_parts_and_mistakes(write_map) -> None:
    nodes = [*SQUARE, (20, 20), (100, 20), (100, 100), (20, 100), (40, 40), (80, 40), (80, 80), (40, 80)]
    nodes += [(120, 20), (180, 20), (120, 60), (180, 60)]  # drawn as a bow tie
    nodes += [(120, 100), (121, 100), (121, 101), (120, 101)]  # 1 m2
    nodes += [(120, 120), (160, 120), (160, 160), (120, 160)]  # a canopy
    ways = [
        RING,
        ([4, 5, 6, 7, 4], {}),
        ([8, 9, 10, 11, 8], {}),
        ([12, 13, 14, 15, 12], {"building": "house"}),
        ([16, 17, 18, 19, 16], {"building": "yes"}),
        ([20, 21, 22, 23, 20], {"building": "roof"}),
    ]
    court = ([(1, "outer"), (2, "inner")], {"type": "multipolygon", "building": "apartments", "building:levels": "6"})
    broken = ([(1, "outer"), (99, "outer")], {"type": "multipolygon", "building": "yes", "height": "9"})
    houses = read_osm(write_map(nodes, ways, [court, broken])).buildings
    holes = np.add.reduceat(houses.ring_is_hole.astype(int), houses.ring_start[:-1])
    court_row = int(np.flatnonzero(holes == 1)[0])
    assert houses.height_m[court_row] == 18
    assert houses.height_known[court_row]
    assert BUILDING_USES[houses.use[court_row]] == "residential"
    bow = np.flatnonzero((np.diff(houses.ring_start) == 2) & (holes == 0))
    assert len(bow) == 1  # two triangles, each an outline
    assert len(houses) <= 3  # neither the crumb nor the canopy


def test_mistakes_of_the_map_are_counted(write_map, caplog: pytest.LogCaptureFixture) -> None:
    nodes = [*SQUARE, *HOUSE, (120, 20), (180, 20), (120, 60), (180, 60)]  # the last four are drawn as a bow tie
    nodes += [(120, 100), (121, 100), (121, 101), (120, 101)]  # 1 m2
    tall = {"building": "yes", "height": "-12"}
    ways = [
        RING,
        ([4, 5, 6, 7, 4], tall),
        ([5, 6, 7, 4, 5], {"building": "yes"}),  # again, from another corner on
        ([8, 9, 10, 11, 8], {"building": "house", "height": "4000"}),
        ([12, 13, 14, 15, 12], {"building": "yes"}),
    ]
    with caplog.at_level("INFO"):
        city = read_osm(write_map(nodes, ways))
    assert len(city.buildings) == 2
    assert not city.buildings.height_known.any()
    assert city.repairs == (
        "1 outline with crossing lines redrawn",
        "1 building without ground (less than 2 m2) left out",
        "1 building drawn twice left out",
        "2 height tags that no building can have not used",
    )
    assert all(line in caplog.text for line in city.repairs)


def test_an_extract_without_a_box_in_its_header(write_map) -> None:
    path = write_map([*SQUARE, *HOUSE], [RING, BUILDING], box=(0.0, 0.0, 0.0, 0.0))
    city = read_osm(path)
    assert 190 < city.frame.width_m < 230
    with pytest.raises(InputError, match=r"no streets|no buildings"):
        read_osm(path, (2.0, 48.0, 2.01, 48.01))


def test_open_ground(write_map) -> None:
    nodes = [*SQUARE, *HOUSE, (20, 20), (180, 20), (180, 180), (20, 180), (150, 190, {"railway": "station"})]
    park = ([8, 9, 10, 11, 8], {"leisure": "park"})
    areas = read_osm(write_map(nodes, [RING, BUILDING, park])).areas
    uses = [AREA_USES[use] for use in areas.use]
    assert uses[0] == "home"
    assert sorted(uses[1:]) == ["park", "transport"]
    size = areas.size_m2[uses.index("park")]
    assert size == pytest.approx(160 * 160 - 40 * 30, rel=0.01)  # without the house in it


def test_no_warning_escapes(village_pbf: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_osm(village_pbf, (26.94, 60.525, 26.955, 60.535))


# Clipping


@settings(max_examples=60)
@given(st.lists(st.tuples(*[st.integers(-20, 30)] * 4), min_size=1, max_size=30))
def test_clip_equals_shapely(lines: list[tuple[int, int, int, int]]) -> None:
    box = _osm_box.Box(0, 0, 10, 10)
    points = np.array(lines, float).reshape(-1, 2)
    start = np.arange(0, len(points), 2)
    out, new_start, new_end, kept = _osm_ways.clip(points, start, start + 1, box)
    length = np.hypot(*(out[new_end] - out[new_start]).T)
    exact = shapely.length(
        shapely.intersection(shapely.linestrings(points.reshape(-1, 2, 2)), shapely.box(0, 0, 10, 10))
    )
    ours = np.zeros(len(lines))
    ours[kept] = length
    assert ours == pytest.approx(exact, abs=1e-9)
    used = out[np.concatenate([new_start, new_end])]
    assert ((used >= 0) & (used <= 10)).all()


@given(st.floats(-179.9, 179.9), st.floats(-79, 83))
def test_utm_zone_is_near(lon: float, lat: float) -> None:
    zone = _osm_box.utm_epsg(lon, lat) % 100
    assert 1 <= zone <= 60
    assert abs((zone * 6 - 183) - lon) <= 9.01
