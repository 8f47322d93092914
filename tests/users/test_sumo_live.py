"""Bologna as a live source: positions where SUMO itself puts them on the earth, replayed to the bit."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer

from mndt.city.model import Frame
from mndt.errors import InputError
from mndt.state import Mode
from mndt.streams import Streams
from mndt.users.sumo_live import SumoMobility, net_of

FRAME = Frame(32632, 683_000.0, 4_928_700.0, 2600.0, 2400.0)
BEGIN, SECONDS = 8 * 3600, 120


@pytest.fixture(scope="module")
def bologna(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bologna")
    for path in (Path(os.environ["MNDT_DATA"]) / "sumo_bologna_joined").iterdir():
        if path.suffix == ".gz":
            (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        else:
            shutil.copy(path, folder)
    return folder / "run.sumocfg"


@pytest.mark.peer
@pytest.mark.skipif("MNDT_DATA" not in os.environ, reason="needs the reference data (MNDT_DATA)")
def test_bologna_lies_where_sumo_says_and_comes_again(bologna: Path) -> None:
    import libsumo

    source, streams = SumoMobility(bologna, FRAME, 600), Streams(3)
    memory, users = source.start(BEGIN, streams)
    assert (users.mode == Mode.ABSENT).all()
    history = [memory]
    for k in range(SECONDS):
        memory, users = source.step(memory, BEGIN + k, streams)
        history.append(memory)
    there = np.flatnonzero(users.mode != Mode.ABSENT)
    assert len(there) == len(libsumo.vehicle.getIDList()) > 150
    to_utm = Transformer.from_crs(4326, 32632, always_xy=True)
    for row in there[::10]:
        x, y = libsumo.vehicle.getPosition(str(memory.holder[row]))
        east, north = to_utm.transform(*libsumo.simulation.convertGeo(x, y))
        assert users.x_m[row] == pytest.approx(east - FRAME.origin_easting_m, abs=0.02)
        assert users.y_m[row] == pytest.approx(north - FRAME.origin_northing_m, abs=0.02)
    # from a memory in the middle: another SUMO is replayed to there
    other = SumoMobility(bologna, FRAME, 600)
    memory = history[SECONDS // 2]
    for k in range(SECONDS // 2, SECONDS):
        memory, again = other.step(memory, BEGIN + k, streams)
    assert again.x_m.tobytes() == users.x_m.tobytes()
    assert again.mode.tobytes() == users.mode.tobytes()
    _, strange = other.step(other.start(BEGIN, Streams(4))[0], BEGIN + SECONDS - 1, Streams(4))
    assert strange.x_m.tobytes() != users.x_m.tobytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [("<configuration/>", "net-file is missing"), ("no xml", "allowed is a .sumocfg"), (None, "check the path")],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str | None, message: str) -> None:
    config = tmp_path / "x.sumocfg"
    if text is not None:
        config.write_text(text)
    with pytest.raises(InputError, match=message):
        net_of(config)


@pytest.mark.peer
def test_a_scenario_that_sumo_refuses_is_one_sentence(tmp_path: Path) -> None:
    config = tmp_path / "x.sumocfg"
    config.write_text("<configuration><input><net-file value='none.net.xml'/></input></configuration>")
    source = SumoMobility(config, FRAME, 10, (0.0, 0.0))
    with pytest.raises(InputError, match="allowed is a scenario that sumo -c runs"):
        source.start(BEGIN, Streams(0))
