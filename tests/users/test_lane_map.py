"""Lane maps of SUMO's networks: known geometry, and equality with what SUMO itself builds."""

import os
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.formats.sumo_net import read_net
from mndt.users.driving.lane_map import LaneMap
from sumo_files import CROSSING, written

NOWHERE_M = -1e4


def crossing(folder: Path, old: str = "", new: str = "") -> LaneMap:
    return LaneMap.from_sumo(read_net(written(folder, CROSSING.replace(old, new) if old else CROSSING)))


def test_lanes_and_links_of_a_crossing(tmp_path):
    m = crossing(tmp_path)
    assert m.edge_name == ("west", "east", "south", "north", ":x_0", ":x_1")  # those inside junctions come last
    assert m.lane_name[:2] == ("west_0", "west_1")
    assert (m.n_roads, m.n_lanes, m.n_links) == (4, 7, 4)
    assert np.diff(m.lane_link).tolist() == [0, 1, 0, 1, 0, 1, 1]
    link = m.lane_link[1]
    assert m.lane_name[m.link_next[link]] == ":x_0_0"
    assert m.lane_name[m.link_to[link]] == "east_0"
    assert m.link_from[m.link_exit[link]] == m.link_next[link]
    assert m.lane_entry[m.link_next[link]] == link
    assert m.link_length_m[link] == 10.0
    assert (m.junction_name[m.link_junction[link]], m.link_index[link]) == ("x", 0)
    start, incoming = m.incoming
    east = m.lane_name.index("east_0")
    assert incoming[start[east] : start[east + 1]].tolist() == [m.link_exit[link]]


def test_who_yields_to_whom(tmp_path):
    m = crossing(tmp_path)
    first, second = m.lane_link[1], m.lane_link[3]
    assert m.response[m.response_start[first] : m.response_start[first + 1]].tolist() == []
    assert m.response[m.response_start[second] : m.response_start[second + 1]].tolist() == [first]
    assert m.foe[m.foe_start[first] : m.foe_start[first + 1]].tolist() == [second]


@pytest.mark.parametrize(("width", "size_m"), [("", 3.2), (' width="4.00"', 4.0)])
def test_a_right_angled_crossing_begins_half_a_width_before_the_middle(tmp_path, width, size_m):
    m = crossing(tmp_path, 'length="10.00" shape="0.00,-5.00', f'length="10.00"{width} shape="0.00,-5.00')
    k = m.lane_link[m.lane_name.index(":x_0_0")]
    row = m.conflict_start[k]
    assert m.conflict_start[k + 1] == row + 1
    assert m.lane_name[m.conflict_lane[row]] == ":x_1_0"
    assert m.conflict_size_m[row] == pytest.approx(size_m)
    assert m.conflict_behind_m[row] == pytest.approx(5.0 + size_m / 2)
    assert m.conflict_foe_behind_m[row] == pytest.approx(5.0 + 1.6)
    assert m.conflict_foe_size_m[row] == pytest.approx(3.2)


def test_a_slanting_crossing_is_longer(tmp_path):
    m = crossing(
        tmp_path, 'length="10.00" shape="0.00,-5.00 0.00,5.00"', 'length="10.00" shape="-3.00,-4.00 3.00,4.00"'
    )
    row = m.conflict_start[m.lane_link[m.lane_name.index(":x_0_0")]]
    size_m = 3.2 * (2 / 0.8 - 1)  # sine of the angle is 0.8
    assert m.conflict_size_m[row] == pytest.approx(size_m)
    assert m.conflict_behind_m[row] == pytest.approx(5.0 + size_m / 2)


def test_lanes_that_do_not_meet_have_no_crossing(tmp_path):
    m = crossing(tmp_path, 'shape="0.00,-5.00 0.00,5.00"', 'shape="20.00,-5.00 20.00,5.00"')
    row = m.conflict_start[m.lane_link[m.lane_name.index(":x_0_0")]]
    assert m.conflict_behind_m[row] > 9_000
    assert m.conflict_foe_behind_m[row] > 9_000


def test_lights_show_their_letters_second_by_second(tmp_path):
    m = crossing(tmp_path)
    rows = [slice(*m.signal_start[k : k + 2]) for k in range(2)]
    assert m.signal_cycle_s.tolist() == [55, 55]
    shown = ["".join(map(chr, m.signal_state[row])) for row in rows]
    assert shown[0] == "r" * 10 + "G" * 20 + "y" * 5 + "r" * 20  # 10 s later than the programme says
    assert shown[1] == "G" * 10 + "r" * 25 + "G" * 20
    assert [m.link_signal[m.lane_link[k]] for k in (1, 3)] == [0, 1]


def test_a_cycle_of_half_seconds_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"tlLogic 'x': cycle is 55.5 s, allowed is a whole number of seconds"):
        crossing(tmp_path, 'duration="20"', 'duration="20.5"')


def test_a_table_of_right_of_way_that_is_too_small_is_refused(tmp_path):
    request = '        <request index="1" response="01" foes="01" cont="0"/>\n'
    with pytest.raises(InputError, match="junction 'x': requests is 1, allowed is 2, one per link"):
        crossing(tmp_path, request, "")


def test_distances_along_shapes_end_at_the_lanes_length(tmp_path):
    m = crossing(tmp_path, 'length="50.00"', 'length="60.00"')
    assert m.shape[2, m.shape_start[:-1]].tolist() == [0.0] * m.n_lanes
    np.testing.assert_allclose(m.shape[2, m.shape_start[1:] - 1], m.lane_length_m)


def test_no_array_is_broken(tmp_path):
    m = crossing(tmp_path)
    for name in (
        "conflict_behind_m",
        "conflict_size_m",
        "conflict_foe_behind_m",
        "conflict_foe_size_m",
        "link_radius_m",
    ):
        assert np.isfinite(getattr(m, name)).all(), name


def netgenerate(folder: Path, *options: str) -> Path:
    path = folder / "made.net.xml"
    tool = Path(sysconfig.get_path("scripts")) / "netgenerate"
    subprocess.run([tool, *options, "-o", path], check=True, capture_output=True)
    return path


def started(path: Path, *options: str):  # type: ignore[no-untyped-def]
    import libsumo

    libsumo.start(["sumo", "-n", str(path), "--no-step-log", "--no-warnings", *options])
    return libsumo


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options",
    [
        ("--grid", "--grid.number", "4", "-j", "traffic_light"),
        ("--grid", "--grid.number", "4", "-L", "3", "-j", "priority", "--turn-lanes", "1"),
        ("--rand", "--rand.iterations", "60", "-L", "2", "--seed", "3"),
        ("--spider", "--spider.arm-number", "6", "-j", "right_before_left"),
    ],
)
def test_lists_of_foes_are_those_of_sumo(tmp_path, options):
    path = netgenerate(tmp_path, *options)
    m = LaneMap.from_sumo(read_net(path))
    sumo = started(path)
    try:
        for k in range(m.n_links):
            lane, to = m.lane_name[m.link_from[k]], m.lane_name[m.link_to[k]]
            yields = m.response[m.response_start[k] : m.response_start[k + 1]]
            assert sorted(m.lane_name[m.link_from[j]] for j in yields) == sorted(sumo.lane.getFoes(lane, to)), lane
            if lane.startswith(":"):
                meets = m.conflict_lane[m.conflict_start[k] : m.conflict_start[k + 1]]
                assert sorted(m.lane_name[j] for j in meets) == sorted(sumo.lane.getInternalFoes(lane)), lane
        assert m.n_links > 100
    finally:
        sumo.close()


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif("MNDT_DATA" not in os.environ, reason="reference data not given")
def test_places_where_ways_cross_are_those_of_sumo():
    folder = Path(os.environ["MNDT_DATA"]) / "sumo_bologna_joined"
    path = folder / "joined_buslanes.net.xml.gz"
    more = [folder / name for name in ("joined_bus_stops.add.xml", "joined_vtypes.add.xml", "joined_tls.add.xml")]
    m = LaneMap.from_sumo(read_net(path, more[2:]))
    table = {}
    for k in range(m.n_links):
        for c in range(m.conflict_start[k], m.conflict_start[k + 1]):
            names = m.lane_name[m.link_from[k]], m.lane_name[m.conflict_lane[c]]
            table.setdefault(names, c)
    sumo = started(path, "-r", str(folder / "joined.rou.xml.gz"), "-a", ",".join(map(str, more)))
    seen = set()
    try:
        for second in range(200):
            sumo.simulationStep()
            for vehicle in sumo.vehicle.getIDList() if second > 60 and second % 5 == 0 else ():
                for foe, own_m, foe_m, own_exit_m, foe_exit_m, lane, foe_lane, *_ in near(sumo, vehicle):
                    c = table[lane, foe_lane]
                    shown = own_exit_m - own_m, foe_exit_m - foe_m
                    assert shown == pytest.approx((m.conflict_size_m[c], m.conflict_foe_size_m[c]), abs=0.02)
                    if m.conflict_flag[c] != 3:  # else SUMO shows the crossing, and uses the whole lane
                        check(left(m, sumo, vehicle, lane), own_m + m.conflict_behind_m[c])
                    check(left(m, sumo, foe, foe_lane), foe_m + m.conflict_foe_behind_m[c])
                    seen.add((lane, foe_lane))
    finally:
        sumo.close()
    assert len(seen) > 150


def near(sumo, vehicle: str) -> list:  # type: ignore[no-untyped-def,type-arg]
    """Foes at the next junction as SUMO shows them; those far off it may know from before they moved."""
    return [shown for shown in sumo.vehicle.getJunctionFoes(vehicle, 30) if shown[2] < 50]


def check(left_m: float | None, expected_m: float) -> None:
    assert left_m is None or left_m == pytest.approx(expected_m, abs=0.02)


def left(m: LaneMap, sumo, vehicle: str, lane: str) -> float | None:  # type: ignore[no-untyped-def]
    """How far a vehicle still has to the end of a lane inside the junction ahead; None where it is not on its way."""
    at, here = m.lane_name.index(lane), m.lane_name.index(sumo.vehicle.getLaneID(vehicle))
    way_m = m.lane_length_m[at]
    while at != here:
        if not m.lane_internal[at]:
            return None
        at = int(m.link_from[m.lane_entry[at]])
        way_m += m.lane_length_m[at]
    return float(way_m) - sumo.vehicle.getLanePosition(vehicle)
