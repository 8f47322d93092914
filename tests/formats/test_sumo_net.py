"""Networks of SUMO as read: every number of a small one, and one sentence for what does not fit."""

import os
from pathlib import Path

import pytest

from mndt.errors import InputError
from mndt.formats.sumo_net import CLASS_BITS, EVERYONE, SumoRequest, read_net
from sumo_files import CROSSING, written


@pytest.mark.parametrize("packed", [False, True])
def test_a_network_is_read_as_it_is(tmp_path, packed):
    net = read_net(written(tmp_path, CROSSING, packed=packed))
    edges = {edge.name: edge for edge in net.edges}
    assert list(edges) == [":x_0", ":x_1", "west", "east", "south", "north"]
    assert (edges["west"].start, edges["west"].end, edges["west"].priority) == ("w", "x", 3)
    assert (edges[":x_0"].start, edges[":x_0"].end, edges[":x_0"].internal) == ("x", "x", True)
    bus, cars = edges["west"].lanes
    assert bus.classes == CLASS_BITS["bus"] | CLASS_BITS["ignoring"]
    assert cars.classes == EVERYONE & ~CLASS_BITS["bicycle"] & ~CLASS_BITS["tram"]
    assert (cars.speed_mps, cars.length_m, cars.width_m) == (13.89, 45.0, 3.2)
    assert edges["south"].lanes[0].shape == ((0.0, -50.0), (0.0, -5.0))  # heights dropped
    assert edges["north"].lanes[0].shape == ((0.0, 5.0), (0.0, 50.0))  # a point that comes twice counts once
    assert len(net.connections) == 4
    first = net.connections[0]
    assert (first.start, first.end, first.via) == (("west", 1), ("east", 0), ":x_0_0")
    assert (first.signal, first.signal_index, first.state, first.keep_clear) == ("x", 0, "O", True)
    assert net.junctions[0].requests == (SumoRequest(0, 2, False), SumoRequest(1, 1, False))
    assert net.signals["x"].phases == ((20.0, "Gr"), (5.0, "yr"), (30.0, "rG"))
    assert (net.offset_m, net.notes) == ((-680000.0, -4920000.0), ("1 footpaths over junctions",))


def test_programmes_from_additional_files_take_over(tmp_path):
    text = '<add><tlLogic id="x" programID="b" offset="0"><phase duration="9" state="GG"/></tlLogic></add>'
    net = read_net(written(tmp_path, CROSSING), [written(tmp_path, text, "more.add.xml")])
    assert (net.signals["x"].programme, net.signals["x"].phases) == ("b", ((9.0, "GG"),))


def test_a_programme_without_phases_moves_the_one_that_is_there(tmp_path):
    text = '<add><tlLogic id="x" programID="0" offset="7"/></add>'
    signal = read_net(written(tmp_path, CROSSING), [written(tmp_path, text, "more.add.xml")]).signals["x"]
    assert (signal.offset_s, len(signal.phases)) == (7.0, 3)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("<net", "<routes", "outermost element is <routes>, allowed is <net>"),
        (
            'speed="13.89" length="45.00" shape="-50.00,-3.20',
            'speed="-1" length="45.00" shape="-50.00,-3.20',
            "speed of",
        ),
        ('length="50.00"', 'length="long"', "length of lane is 'long', allowed is a number from 0.01 to 1e+06"),
        ("5.00,0.00 50.00,0.00", "5.00;0.00", "shape of lane is '5.00;0.00', allowed is pairs x,y"),
        ("5.00,0.00 50.00,0.00", "5.00,0.00", "shape of lane is one point"),
        ('to="east" fromLane="1"', 'to="easy" fromLane="1"', "connection is 'easy' lane 0"),
        ('from="west" to="east" fromLane="1"', 'from="west" to="east" fromLane="2"', "connection is 'west' lane 2"),
        ('via=":x_0_0"', 'via=":x_9_0"', "via is ':x_9_0'"),
        ('tl="x" linkIndex="1"', 'tl="y" linkIndex="1"', "tl is 'y'"),
        ('response="01"', 'response="0a"', "response of request is '0a', allowed is a row of 0 and 1"),
        ('state="yr"', 'state="y"', "state of phase is 'y', allowed is 2 letters here"),
        ('from="w" ', "", "from of edge is missing, allowed is given for every edge; add the attribute"),
        ("</net>", "", "XML is 'no element found'"),
        ("<net", '<!DOCTYPE n [<!ENTITY a "b">]><net', "entity is 'a', allowed is no declared entities"),
        ('index="1" response', 'index="2" response', "index of request is 2, allowed is 1 here"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(tmp_path, old, new, sentence):
    assert old in CROSSING
    path = written(
        tmp_path, CROSSING.replace(old, new, 1).replace("</net>", "</routes>" if "<routes" in new else "</net>")
    )
    with pytest.raises(InputError) as error:
        read_net(path)
    assert sentence in str(error.value)
    assert str(path) in str(error.value) or "edge" in str(error.value)


def test_damaged_and_missing_files_are_named(tmp_path):
    half = tmp_path / "half.net.xml.gz"
    half.write_bytes(written(tmp_path, CROSSING, packed=True).read_bytes()[:200])
    for path in (half, tmp_path / "none.net.xml"):
        with pytest.raises(InputError, match=path.name):
            read_net(path)


@pytest.mark.skipif("MNDT_DATA" not in os.environ, reason="reference data not given")
def test_the_streets_of_bologna_are_all_there():
    folder = Path(os.environ["MNDT_DATA"]) / "sumo_bologna_joined"
    net = read_net(folder / "joined_buslanes.net.xml.gz", [folder / "joined_tls.add.xml"])
    inside = [edge.internal for edge in net.edges for _ in edge.lanes]
    assert (len(inside), sum(inside), len(net.signals)) == (1055, 644, 13)
    roads = [edge.lanes for edge in net.edges if not edge.internal]
    assert sum(lane.length_m for lanes in roads for lane in lanes) == pytest.approx(52_800, rel=1e-3)
    assert {signal.programme for signal in net.signals.values()} == {"utopia"}
