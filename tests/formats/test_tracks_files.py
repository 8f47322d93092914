"""Readers of recorded positions: what is understood, and what is refused in one sentence."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyproj import Transformer

from mndt.errors import InputError
from mndt.formats.geo import Box, NetPlace, net_place
from mndt.formats.tracks import TrackTable, read_tracks

BOX = Box(32635, 385_000.0, 6_671_000.0)
LON, LAT = 24.94, 60.17
EAST, NORTH = Transformer.from_crs(4326, 32635, always_xy=True).transform(LON, LAT)
X, Y = EAST - 385_000.0, NORTH - 6_671_000.0


def read(path: Path, text: str | bytes, **more: object) -> TrackTable:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_tracks(path, BOX, **more)


def rows(table: TrackTable) -> list[tuple[str, float, float, float, int]]:
    columns = (table.user.tolist(), table.time_s.tolist(), table.x_m.tolist(), table.y_m.tolist(), table.mode.tolist())
    return [(table.names[u], t, round(x, 2), round(y, 2), m) for u, t, x, y, m in zip(*columns, strict=True)]


@pytest.mark.parametrize(
    "text",
    [
        "time_s,user,x_m,y_m,mode\n28800,a,1.5,2,car\n28801,b,3,4,walk\n",
        "Timestamp;ID;X;Y;Mode\n28800;a;1,5;2;Car\n28801;b;3;4;foot\n",
        "mode\tx\ty\tother\tuid\tt\ncar\t1.5\t2\t?\ta\t28800\nwalk\t3\t4\t?\tb\t28801\n",
        "\ufefftime,vehicle_id,x,y,transport_mode\r\n08:00:00,a,1.5,2,driving\r\n08:00:01,b,3,4,walking\r\n",
        "time,id,x,y,mode\n2024-03-04T08:00:00,a,1.5,2,car\n2024-03-04 08:00:01,b,3,4,walk\n",
        "time,id,x,y,mode\n2024-03-04T08:00:00+02:00,a,1.5,2,car\n2024-03-04T08:00:01+02:00,b,3,4,walk\n",
        "time,id,x,y,mode\n1709539200,a,1.5,2,car\n1709539201,b,3,4,walk\n",
        "time,id,x,y,mode\n1709539200000,a,1.5,2,car\n1709539201000,b,3,4,walk\n",
        "time,id,x,y,mode\n28800,a,1.5,2,car\n,c,1,1,car\n28801,,9,9,car\n28801,b,,,car\n28801,b,3,4,walk\n",
    ],
)
def test_the_ways_people_write_tables(tmp_path: Path, text: str) -> None:
    table = read(tmp_path / "t.csv", text)
    assert rows(table) == [("a", 28800.0, 1.5, 2.0, 3), ("b", 28801.0, 3.0, 4.0, 1)]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    table = read(tmp_path / "t.csv", "time,id,x,y\n1,a,1,2\n2,,1,2\n3,a,,2\n4,b,nan,1\n")
    assert len(table) == 1
    assert "1 records without an id: left out" in table.notes
    assert "2 records without a time or a position: left out" in table.notes
    assert "1 records of 2 users, 00:00:01 to 00:00:01" in table.notes[0]


def test_degrees_become_metres_of_the_city(tmp_path: Path) -> None:
    table = read(tmp_path / "t.csv", f"time,id,lon,lat\n0,7,{LON},{LAT}\n")
    assert rows(table) == [("7", 0.0, round(X, 2), round(Y, 2), -1)]


def test_parquet_with_types_of_its_own(tmp_path: Path) -> None:
    when = pa.array(np.array(["2024-03-04T08:00:00", "2024-03-05T00:00:01"], "datetime64[ms]"))
    content = {"timestamp": when, "id": pa.array([7, 8]), "longitude": [LON, LON], "latitude": [LAT, LAT]}
    pq.write_table(pa.table(content), tmp_path / "t.parquet")
    found = rows(read_tracks(tmp_path / "t.parquet", BOX))
    assert [(name, t) for name, t, *_ in found] == [("7", 28800.0), ("8", 86401.0)]
    assert found[0][2] == pytest.approx(X, abs=0.01)


FCD = """<?xml version="1.0"?>
<fcd-export>
  <timestep time="0.00"/>
  <timestep time="1.00">
    <vehicle id="v0" x="{x}" y="{y}" angle="1" type="passenger" speed="3" pos="1" lane="a_0" slope="0"/>
    <vehicle id="v1" x="{x}" y="{y}" type="my_bicycle" speed="3"/>
    <person id="v0" x="{x}" y="{y}" speed="1" edge="a"/>
  </timestep>
  <timestep time="2.00"><vehicle id="v0" x="{x}" y="{y}" type="passenger"/></timestep>
</fcd-export>
"""


@pytest.mark.parametrize("packed", [False, True])
def test_floating_car_data_of_sumo(tmp_path: Path, packed: bool) -> None:
    """Vehicles and persons of one name are different users; degrees here, metres of a net below."""
    text = FCD.format(x=LON, y=LAT).encode()
    table = read(tmp_path / ("f.xml.gz" if packed else "f.xml"), gzip.compress(text) if packed else text, begin_s=28800)
    found = [(table.user[k], table.time_s[k], table.mode[k]) for k in range(len(table))]
    assert found == [(0, 28800.0, 3), (1, 28800.0, 2), (2, 28800.0, 1), (0, 28801.0, 3)]
    assert table.x_m == pytest.approx(X, abs=0.01)


def test_metres_of_a_net_need_the_net(tmp_path: Path) -> None:
    text = FCD.format(x=1000.0, y=2000.0)
    with pytest.raises(InputError, match="give the net"):
        read(tmp_path / "f.xml", text)
    utm = "+proj=utm +zone=35 +ellps=WGS84 +datum=WGS84 +units=m +no_defs"
    (tmp_path / "n.net.xml").write_text(
        f'<net><location netOffset="{1000 - EAST},{2000 - NORTH}" convBoundary="0,0,1,1" origBoundary="0,0,1,1" '
        f'projParameter="{utm}"/><edge id="a"/></net>'
    )
    place = net_place(tmp_path / "n.net.xml")
    assert read(tmp_path / "f.xml", text, net=place).x_m == pytest.approx(X, abs=0.01)
    assert read(tmp_path / "f.xml", text, net=NetPlace(offset_m=(-900.0, -1900.0))).y_m == pytest.approx(100.0)
    (tmp_path / "n.net.xml").write_text('<net><location netOffset="0,0" projParameter="!"/></net>')
    with pytest.raises(InputError, match="where the net's origin lies"):
        net_place(tmp_path / "n.net.xml")
    assert net_place(tmp_path / "n.net.xml", (1.0, 2.0)).offset_m == (1.0, 2.0)


def test_gpx(tmp_path: Path) -> None:
    text = f"""<gpx xmlns="http://www.topografix.com/GPX/1/1"><metadata><time>2024-03-04T00:00:00Z</time></metadata>
    <trk><name>anna</name><trkseg><trkpt lat="{LAT}" lon="{LON}"><ele>3</ele><time>2024-03-04T08:00:00Z</time></trkpt>
    <trkpt lat="{LAT}" lon="{LON}"><time>2024-03-04T08:00:01.500Z</time></trkpt></trkseg></trk>
    <trk><trkseg><trkpt lat="{LAT}" lon="{LON}"><time>2024-03-04T08:00:00Z</time></trkpt></trkseg></trk></gpx>"""
    table = read(tmp_path / "t.gpx", text)
    assert [(name, t) for name, t, *_ in rows(table)] == [("anna", 28800.0), ("anna", 28801.5), ("track 2", 28800.0)]
    assert table.y_m == pytest.approx(Y, abs=0.01)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "time_s,user,x_m\n1,a,2\n", "column y_m is missing"),
        ("t.csv", "", "column time_s is missing"),
        ("t.csv", "time,x,y\n1,2,3\n", "column user is missing"),
        ("t.csv", "time,id,x,y\n1,a,2,3\n2,a,two,3\n", "t.csv line 3: x is 'two'"),
        ("t.csv", "time,id,x,y\n1,a,2,inf\n", "line 2: y is 'inf'"),
        ("t.csv", "time,id,lon,lat\n1,a,2,3\n2,a,2,91\n", "line 3: lat is '91', allowed is a number from -90 to 90"),
        ("t.csv", "time,id,x,y,mode\n1,a,2,3,cra\n", "did you mean 'car'"),
        ("t.csv", "time,id,x,y\n1,a,2\n", "complete the line"),
        ("t.csv", "time,id,x,y\n08:00,a,2,3\n8 o'clock,a,2,3\n", "the same way in every line"),
        ("t.csv", "time,id,x,y\n", "no record"),
        ("t.csv", b"\xff\xfe\x00\x81", "UTF-8"),
        ("t.parquet", b"PAR1 or not", "Parquet"),
        ("t.doc", "x", "allowed is .csv, .parquet"),
        ("f.xml", "<net></net>", "allowed is <fcd-export>"),
        ("f.xml", "<fcd-export><timestep time='1'><vehicle id='a' x='1'/></timestep></fcd-export>", "1: y is missing"),
        ("f.xml", "<fcd-export><timestep time='1'>\n<vehicle id='a' x='1' y='b'/></timestep></fcd-export>", "2: value"),
        ("f.xml", "<fcd-export><timestep time='1'>", "well-formed XML"),
        ("f.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><fcd-export/>", "no declared entities"),
        ("f.xml.gz", b"\x1f\x8bnot gzip", "damaged gzip|readable"),
        ("t.gpx", "<kml/>", "allowed is <gpx>"),
        ("t.gpx", "<gpx><trk><trkseg><trkpt lat='1'/></trkseg></trk></gpx>", "lon is missing"),
    ],
)  # fmt: skip
def test_what_is_no_recording_is_refused_in_one_sentence(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path / name, text)
    assert "\n" not in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="check the path"):
        read_tracks(tmp_path / "none.csv", BOX)
