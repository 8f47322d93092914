"""People on the page: density, modes, demand, one street."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest

from mndt.pictures import people
from mndt.report import write_report
from mndt.report.section import Section
from mndt.report.users import step_s, users_part
from mndt.report.view import view
from mndt.users.street import choose_street
from small_city import Columns, PaperRun, paper_run

FIRST_S = 8 * 3600


@dataclass(frozen=True)
class PeopleRun(PaperRun):
    """A run made up that also knows its people."""

    people: Columns
    journeys: Columns
    demand: Columns
    street: Columns


def people_run(paper: PaperRun | None = None) -> PeopleRun:
    """Two minutes of three: 30 walk, 10 drive; 4 journeys by car of 2 km in 4 minutes, two of them whole."""
    paper = paper or paper_run()
    two = np.array([FIRST_S, FIRST_S + 60], np.int32)
    counts = {"absent": 0.0, "inside": 60.0, "walk": 30.0, "bicycle": 0.0, "car": 10.0}
    table = {"time_s": two, "seconds": np.full(2, 60, np.int32)} | {k: np.full(2, v) for k, v in counts.items()}
    table |= {"started": np.array([3, 2]), "arrived": np.array([1, 4]), "disconnected": np.array([0, 1])}
    journeys = {
        "user": np.arange(5, dtype=np.int32),
        "arrival_s": np.full(5, FIRST_S + 119, np.int32),
        "departure_s": np.array([FIRST_S - 121, FIRST_S - 121, -1, -1, FIRST_S + 59], np.int32),
        "mode": np.array([3, 3, 3, 3, 1], np.int8),
        "from_area": np.zeros(5, np.int32),
        "to_area": np.zeros(5, np.int32),
        "distance_m": np.array([2000.0, 2000.0, 9.0, 9.0, 80.0], np.float32),
    }
    demand = {
        "time_s": np.repeat(two, 2),
        "cluster": np.tile(["office", "home"], 2),
        "service": np.tile(["web", "idle"], 2),
        "user_seconds": np.full(4, 600),
        "offered_bits": np.tile([1.2e9, 0.0], 2),
    }
    street = choose_street(paper.city.roads)
    assert street is not None
    seconds = np.arange(100, dtype=np.int32)
    drives = {
        "time_s": np.tile(FIRST_S + 1 + seconds, 2),
        "user": np.repeat(np.array([4, 5], np.int32), 100),
        "position_m": np.concatenate([np.minimum(5 * seconds, street.length_m), np.full(100, 50.0)]).astype(np.float32),
        "speed_mps": np.concatenate([np.full(100, 5.0), np.zeros(100)]).astype(np.float32),
        "mode": np.full(200, 3, np.int8),
    }
    own = {f.name: getattr(paper, f.name) for f in fields(paper)}
    return PeopleRun(
        **own, people=Columns(table), journeys=Columns(journeys), demand=Columns(demand), street=Columns(drives)
    )


@pytest.fixture(scope="module")
def section() -> Section:
    found = users_part(view([people_run()]))
    assert found is not None
    return found


def words(section: Section) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<(style|svg).*?</\1>|<[^>]+>", " ", section.html, flags=re.DOTALL))


def test_the_mode_split_counts_whole_journeys_only(section: Section) -> None:
    assert "by car 4 80.0 25.0 2.00 4.00 30.0" in words(section)
    assert "on foot 1 20.0 75.0 0.080 1.00 4.80" in words(section)
    assert "by bicycle 0 0 0 – – –" in words(section)


def test_journeys_and_shares_are_told(section: Section) -> None:
    assert "inside: 60.0 % of those present" in words(section)
    for label, count in (("begun", 5), ("ended", 5), ("given up", 1)):
        assert re.search(rf"Journeys {label} [^.:]*[.:][^0-9]*{count}\b", words(section)), label


def test_demand_is_told_by_cluster_and_service(section: Section) -> None:
    labels = re.findall(r'aria-label="([^"]*)"', section.html)
    assert "Offered traffic by cluster of users, mean in Mbit/s: office 13.3." in labels
    assert "Offered traffic by service, mean in Mbit/s: web 13.3." in labels


def test_who_only_stands_on_the_street_is_left_out(section: Section) -> None:
    assert "1 vehicles, on average 18 km/h, 0 % of their time standing" in words(section)


def test_the_page_has_the_section_where_the_run_knows_people(tmp_path: Path) -> None:
    from test_report import small_coverage

    page = write_report([people_run()], tmp_path / "r.html", coverage=small_coverage()).read_text(encoding="utf-8")
    assert 'id="users"' in page
    older = write_report([paper_run()], tmp_path / "o.html", coverage=small_coverage()).read_text(encoding="utf-8")
    assert 'id="users"' not in older


def test_density_counts_everyone_once() -> None:
    frame = paper_run().city.frame
    rng = np.random.default_rng(0)
    row, col = rng.integers(-1, 30, 200), rng.integers(-1, 30, 200)
    per_ha = people.density(frame, row, col, np.ones(200))
    assert per_ha.sum() * people.PIXEL_M**2 / 1e4 == pytest.approx(200)


@pytest.mark.parametrize(("span_s", "step"), [(600, 120), (3600, 600), (86_400, 10_800), (7 * 86_400, 21_600)])
def test_steps_of_time_are_round(span_s: int, step: int) -> None:
    assert step_s(span_s, 8) == step
