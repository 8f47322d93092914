"""Table II in places that training did not know, at a size for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from mndt.errors import InputError
from mndt.experiments import table2_elsewhere
from mndt.experiments._table2_jobs import Job, made

TINY = {"n_users": 40, "n_cells": 6, "n_blocks": 20, "n_steps": 3}


def test_each_place_is_played_by_each_method_and_compared_with_ignoring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    places = {"as trained": TINY, "twice the users": TINY | {"n_users": 80}, "a failed cell": TINY | {"failed": (2,)}}
    monkeypatch.setattr(table2_elsewhere, "PLACES", places)
    monkeypatch.setattr(table2_elsewhere, "_places", lambda name: places)
    found = table2_elsewhere.run(seeds=2, out=tmp_path, scenarios=["table2"], n_jobs=1)
    assert len(list((tmp_path / "episodes").glob("*.json"))) == 3 * 4 * 2
    assert len(found.table.splitlines()) == 1 + 3 * (1 + 4)
    for place in ("as_trained", "twice_the_users", "a_failed_cell"):
        assert found.figures[f"ratio_ignoring_table2_{place}"] == 1.0
        assert 0.5 < found.figures[f"ratio_ours_table2_{place}"] < 1.1
        least = found.figures[f"satisfaction_min_ours_table2_{place}"]
        assert 0.0 < least <= found.figures[f"satisfaction_ours_table2_{place}"] <= 1.0


@pytest.mark.parametrize("name", ["table2", "table2-umi"])
def test_places_are_what_they_are_called(name: str):
    scenes = {
        place: made(Job(name, 0, "fundamentals", size=tuple(size.items())))[0]
        for place, size in table2_elsewhere._places(name).items()
    }
    users = {place: len(scene.demand) for place, scene in scenes.items()}
    assert users["half the users"] * 2 == users["as trained"] == users["twice the users"] / 2 == 8000
    assert len(scenes["a failed cell"].limits.power_w) == 183
    assert scenes["a failed cell"].limits.power_w.sum() == pytest.approx(
        scenes["as trained"].limits.power_w.sum() - 1.0
    )
    assert scenes["positions unknown"].start().position_m is None
    known_m, seen_m = (scenes[place].start().position_m for place in ("as trained", "positions off by 30 m"))
    assert (seen_m - known_m).std() == pytest.approx(30.0, rel=0.05)
    usual, other = scenes["as trained"], scenes["another map"]
    assert usual.gain_at.lines.from_m.tobytes() == other.gain_at.lines.from_m.tobytes()
    assert usual.gain_at.channel.x_m.tobytes() != other.gain_at.channel.x_m.tobytes()


def test_an_unknown_scenario_is_answered_in_a_sentence(tmp_path: Path):
    with pytest.raises(InputError, match="scenario is 'table2-45', allowed is table2, table2-city, table2-umi"):
        table2_elsewhere.run(scenarios=["table2-45"], out=tmp_path)
