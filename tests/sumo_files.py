"""Files of SUMO, small enough to know every number: a crossing of two one-way streets under a light."""

import gzip
from pathlib import Path

CROSSING = """<?xml version="1.0" encoding="UTF-8"?>
<net version="1.20">
    <location netOffset="-680000.00,-4920000.00" convBoundary="0,0,1,1" origBoundary="11.2,44.4,11.3,44.5"
              projParameter="+proj=utm +zone=32 +ellps=WGS84 +datum=WGS84 +units=m +no_defs"/>
    <edge id=":x_0" function="internal">
        <lane id=":x_0_0" index="0" speed="13.89" length="10.00" shape="-5.00,0.00 5.00,0.00"/>
    </edge>
    <edge id=":x_1" function="internal">
        <lane id=":x_1_0" index="0" speed="13.89" length="10.00" shape="0.00,-5.00 0.00,5.00"/>
    </edge>
    <edge id=":x_w0" function="walkingarea">
        <lane id=":x_w0_0" index="0" allow="pedestrian" speed="1.00" length="3.00" shape="7.00,7.00 8.00,8.00"/>
    </edge>
    <edge id="west" from="w" to="x" priority="3">
        <lane id="west_0" index="0" allow="bus" speed="13.89" length="45.00" shape="-50.00,-3.20 -5.00,-3.20"/>
        <lane id="west_1" index="1" disallow="bicycle tram" speed="13.89" length="45.00" shape="-50.00,0 -5.00,0"/>
    </edge>
    <edge id="east" from="x" to="e" priority="3">
        <lane id="east_0" index="0" speed="13.89" length="50.00" shape="5.00,0.00 50.00,0.00"/>
    </edge>
    <edge id="south" from="s" to="x" priority="1">
        <lane id="south_0" index="0" speed="8.33" length="45.00" shape="0.00,-50.00,2.0 0.00,-5.00,2.5"/>
    </edge>
    <edge id="north" from="x" to="n" priority="1">
        <lane id="north_0" index="0" speed="8.33" length="45.00" shape="0.00,5.00 0.00,5.00 0.00,50.00"/>
    </edge>
    <tlLogic id="x" type="static" programID="0" offset="10">
        <phase duration="20" state="Gr"/>
        <phase duration="5"  state="yr"/>
        <phase duration="30" state="rG"/>
    </tlLogic>
    <junction id="x" type="traffic_light" x="0" y="0" incLanes="west_0 west_1 south_0" intLanes=":x_0_0 :x_1_0">
        <request index="0" response="00" foes="10" cont="0"/>
        <request index="1" response="01" foes="01" cont="0"/>
    </junction>
    <junction id="w" type="dead_end" x="-50" y="0" incLanes="" intLanes="" shape=""/>
    <connection from="west" to="east" fromLane="1" toLane="0" via=":x_0_0" tl="x" linkIndex="0" dir="s" state="O"/>
    <connection from="south" to="north" fromLane="0" toLane="0" via=":x_1_0" tl="x" linkIndex="1" dir="s" state="o"/>
    <connection from=":x_0" to="east" fromLane="0" toLane="0" dir="s" state="M"/>
    <connection from=":x_1" to="north" fromLane="0" toLane="0" dir="s" state="M"/>
    <connection from=":x_w0" to="north" fromLane="0" toLane="0" dir="s" state="M"/>
</net>
"""

ROUTES = """<routes>
    <vType id="slow" vClass="bicycle" sigma="0" speedFactor="normc(0.9,0.2,0.5,1.5)" lcCooperative="0.5"/>
    <vTypeDistribution id="mixed">
        <vType id="small" length="4" probability="3"/>
        <vType id="large" vClass="truck" maxSpeed="20" probability="1"/>
    </vTypeDistribution>
    <busStop id="stop" lane="west_0" startPos="10" endPos="30"/>
    <route id="across" edges="west east"><stop lane="east_0" endPos="40" duration="5"/></route>
    <vehicle id="late" type="slow" depart="0:01:40" departLane="best" departSpeed="max" route="across"/>
    <vehicle id="early" type="mixed" depart="2.5" arrivalPos="-1"><route edges=" south north "/>
        <stop busStop="stop" duration="20" until="60"/></vehicle>
    <flow id="many" type="mixed" begin="10" end="40" period="10"><route edges="west east"/></flow>
    <person id="p" depart="0"/>
</routes>
"""


def written(folder: Path, text: str, name: str = "town.net.xml", *, packed: bool = False) -> Path:
    """A file with this text, gzip if asked for."""
    path = folder / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path
