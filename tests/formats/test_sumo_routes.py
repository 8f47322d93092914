"""Vehicles and routes of SUMO as read, in order of departure."""

import os
from pathlib import Path

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.formats.sumo_routes import WORDS, read_routes
from sumo_files import ROUTES, written


@pytest.mark.parametrize("packed", [False, True])
def test_vehicles_flows_types_and_stops(tmp_path, packed):
    found = read_routes(written(tmp_path, ROUTES, "a.rou.xml", packed=packed))
    assert found.name == ("early", "many.0", "many.1", "many.2", "late")
    assert found.depart_s.tolist() == [2.5, 10.0, 20.0, 30.0, 100.0]
    assert found.route == (("south", "north"), *[("west", "east")] * 4)
    assert found.depart_lane.tolist() == [-1 - WORDS["departLane"].index(w) for w in [*["best_prob"] * 4, "best"]]
    assert found.depart_pos_m.tolist() == [-1 - WORDS["departPos"].index("base")] * 5
    assert found.depart_speed_mps.tolist() == [-1.0 - WORDS["departSpeed"].index(w) for w in [*["avg"] * 4, "max"]]
    assert found.arrival_pos_m[0] == -101.0
    assert found.notes == ("1 elements 'person'",)
    assert found.stop_start.tolist() == [0, 1, 1, 1, 1, 2]
    assert found.stop_lane == ("west_0", "east_0")
    assert found.stop_from_m.tolist() == [10.0, 39.8]
    assert (found.stop_duration_s.tolist(), found.stop_until_s.tolist()) == ([20.0, 5.0], [60.0, -1.0])


def test_types_take_the_defaults_of_their_class(tmp_path):
    found = read_routes(written(tmp_path, ROUTES, "a.rou.xml"))
    kinds = {kind.name: kind for kind in found.kinds}
    assert sorted(kinds) == ["large", "slow", "small"]
    slow, small, large = kinds["slow"], kinds["small"], kinds["large"]
    assert (slow.length_m, slow.min_gap_m, slow.accel_mps2, slow.sigma) == (1.6, 0.5, 1.2, 0.0)
    assert slow.desired_mps == pytest.approx(20 / 3.6)
    assert (slow.speed_factor, slow.speed_deviation, slow.speed_least, slow.speed_most) == (0.9, 0.2, 0.5, 1.5)
    assert slow.lane_change == {"lcCooperative": 0.5}
    assert (small.length_m, small.decel_mps2, small.emergency_decel_mps2, small.tau_s) == (4.0, 4.5, 9.0, 1.0)
    assert (large.length_m, large.max_speed_mps, large.speed_deviation) == (7.1, 20.0, 0.05)
    mixed = slice(*found.choice_start[found.vehicle_choice[0] :][:2])
    assert {found.kinds[k].name for k in found.choice_kind[mixed]} == {"small", "large"}
    assert sorted(found.choice_share[mixed]) == [0.25, 0.75]


def test_routes_become_rows_of_the_network(tmp_path):
    found = read_routes(written(tmp_path, ROUTES, "a.rou.xml"))
    start, edges = found.edges(["west", "east", "south", "north"])
    assert (start.tolist(), edges.tolist()) == ([0, 2, 4, 6, 8, 10], [2, 3, 0, 1, 0, 1, 0, 1, 0, 1])
    with pytest.raises(InputError, match="route of 'early': edge is 'south', allowed is an edge there is"):
        found.edges(["west", "east"])


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('route="across"', 'route="acros"', "route is 'acros', allowed is across; did you mean 'across'?"),
        ('type="slow" depart', 'type="slo" depart', "did you mean 'slow'?"),
        ('busStop="stop"', 'busStop="halt"', "busStop is 'halt'"),
        ('depart="2.5"', 'depart="triggered"', "depart of vehicle is 'triggered'"),
        ('departSpeed="max"', 'departSpeed="fast"', "departSpeed of vehicle is 'fast', allowed is a number or one of"),
        ('period="10"', 'probability="0.5"', "departures of flow is random or missing"),
        ('<route edges=" south north "/>', "", "route of vehicle is missing, allowed is a whole route"),
        ('<person id="p" depart="0"/>', '<trip id="t" depart="0" from="west" to="east"/>', "route of trip is missing"),
        ('sigma="0"', 'sigma="2"', "sigma of vType is '2', allowed is a number from 0 to 1"),
        ("normc(0.9,0.2,0.5,1.5)", "uniform(1,2)", "speedFactor of vType is 'uniform(1,2)'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(tmp_path, old, new, sentence):
    assert old in ROUTES
    with pytest.raises(InputError) as error:
        read_routes(written(tmp_path, ROUTES.replace(old, new, 1), "a.rou.xml"))
    assert sentence in str(error.value)


def test_a_file_without_vehicles_is_none(tmp_path):
    with pytest.raises(InputError, match="vehicles is none"):
        read_routes(written(tmp_path, "<routes/>", "a.rou.xml"))


@pytest.mark.skipif("MNDT_DATA" not in os.environ, reason="reference data not given")
def test_the_rush_hour_of_bologna():
    folder = Path(os.environ["MNDT_DATA"]) / "sumo_bologna_joined"
    more = [folder / "joined_vtypes.add.xml", folder / "joined_bus_stops.add.xml"]
    found = read_routes([folder / "joined.rou.xml.gz", folder / "joined_busses.rou.xml"], more)
    assert (len(found.name), len(found.kinds), len(found.stop_lane)) == (11_176, 13, 787)
    assert (np.diff(found.depart_s) >= 0).all()
    assert found.depart_s.max() <= 3600.0
    share = np.add.reduceat(found.choice_share, found.choice_start[:-1])
    np.testing.assert_allclose(share, 1.0)
