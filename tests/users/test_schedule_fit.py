from __future__ import annotations

from pathlib import Path

import diaries
import numpy as np
import pytest
from grid_town import grid_town

from mndt.errors import InputError
from mndt.formats import diary, od
from mndt.state import Mode
from mndt.streams import Streams
from mndt.users import schedule_laws
from mndt.users.day_plans import staying_times_s
from mndt.users.od_fit import fit_matrix, generated_table, zone_distances_m
from mndt.users.od_zones import areas_in_zones
from mndt.users.population import UserParameters
from mndt.users.rule_diary import rule_diary
from mndt.users.schedule import make_population, read_schedule
from mndt.users.schedule_events import homes_of, observed_days, templates_of
from mndt.users.schedule_fit import activities, closed, fit_laws, gravity_exponent, normal_law, stay_law
from mndt.users.schedule_laws import Normal, ScheduleLaws, Stay, draw_chains
from mndt.users.schedule_statistics import divergences, trips_of

TOWN = grid_town()


@pytest.fixture(scope="module")
def commuters(tmp_path_factory: pytest.TempPathFactory) -> diary.Diary:
    path = diaries.write(diaries.commuters(n=120, days=14), tmp_path_factory.mktemp("diary") / "d.csv")
    return diary.read(path)[0]


def test_homes_are_found_with_and_without_purposes(commuters: diary.Diary) -> None:
    silent = diary.Diary(**{**commuters.__dict__, "purpose": np.full(len(commuters), -1, np.int8)})
    assert (homes_of(silent) == homes_of(commuters)).mean() > 0.97
    work = activities(commuters).main
    guessed = activities(silent).main
    has = work >= 0
    assert (guessed[has] == work[has]).mean() > 0.9


def test_all_days_of_a_common_period_count_as_observed(commuters: diary.Diary) -> None:
    days = observed_days(commuters)
    assert len(days) == 14 * commuters.n_persons
    lone = diaries.survey(60)
    rows = np.array([[t[0], t[1] // diaries.DAY] for t in lone], int)
    table = _of(lone)
    assert len(observed_days(table)) == len(np.unique(rows, axis=0))


def test_fitted_rules_come_closer_than_published_ones(commuters: diary.Diary) -> None:
    order = np.random.default_rng(0).permutation(commuters.n_persons)
    train, held = (commuters.take(np.sort(order[k::2])) for k in range(2))
    laws = fit_laws(train)
    assert laws.to_work.mean_h == pytest.approx(7.8, abs=0.25)
    assert laws.weekday_shares[laws.chains.index("HWH")] > 0.4
    assert laws.weekend_shares[laws.chains.index("HWH")] < 0.02
    fitted, published = (
        divergences(rule_diary(train, those, 400, Streams(1).generator("x")), trips_of(held))
        for those in (laws, ScheduleLaws())
    )
    assert fitted["duration"] < 0.5 * published["duration"]
    assert fitted["step_distance"] < published["step_distance"]


def test_modes_of_a_diary_are_found(commuters: diary.Diary) -> None:
    laws = fit_laws(commuters)
    assert laws.walk_m == pytest.approx(900, rel=0.1)
    assert laws.bicycle_m == pytest.approx(2500, rel=0.1)
    assert laws.mode_shares[0][0] > 0.9
    assert laws.mode_shares[-1][2] > 0.9


def test_laws_survive_their_file_and_bad_files_are_refused(tmp_path: Path, commuters: diary.Diary) -> None:
    laws, path = fit_laws(commuters), tmp_path / "laws.json"
    schedule_laws.save(laws, path)
    assert read_schedule(path) == laws
    for text in ("", "{}", path.read_text().replace('"HWH"', '"HXH"'), path.read_text().replace("[", "[-1,", 2)):
        bad = tmp_path / "bad.json"
        bad.write_text(text)
        with pytest.raises(InputError, match="mndt fit schedule"):
            read_schedule(bad)
    with pytest.raises(InputError, match=r"\.npz"):
        read_schedule(tmp_path / "laws.toml")


def test_fitted_laws_make_plans_in_a_city(commuters: diary.Diary) -> None:
    laws = fit_laws(commuters)
    plan = make_population(TOWN, 800, UserParameters(commuter_share=0, passer_share=0), Streams(0), schedule=laws)
    user = np.repeat(np.arange(len(plan)), np.diff(plan.trip_start))
    first = plan.departure_s[plan.trip_start[:-1][np.diff(plan.trip_start) > 0]] / 3600
    assert np.median(first) == pytest.approx(7.9, abs=0.5)
    assert (plan.to_area[:-1] == plan.from_area[1:])[np.diff(user) == 0].all()


@pytest.mark.parametrize("weekend", [False, True])
def test_chain_shares_hold_over_all_people(weekend: bool) -> None:
    laws, n = ScheduleLaws(), 100_000
    works, studies = schedule_laws.classes(laws)
    u = np.random.default_rng(0).random(n)
    kind = np.where(u < works, 1, np.where(u < works + studies, 2, 0)).astype(np.int32)
    chain = draw_chains(laws, kind, weekend=weekend, rng=np.random.default_rng(1))
    found = np.bincount(chain[chain >= 0], minlength=len(laws.chains)) / n
    assert found == pytest.approx(laws.shares(weekend=weekend), abs=4 * np.sqrt(0.25 / n))
    workers = np.array(["W" in c for c in laws.chains])[chain] & (chain >= 0)
    assert (kind[workers] == 1).all()


def test_chains_are_closed() -> None:
    assert [closed(c) for c in ("HWH", "WHW", "OO", "HHOH")] == ["HWH", "HWHWH", "HOOH", "HOH"]
    assert len(closed("H" + "O" * 60)) == 24


def test_laws_find_their_own_parameters() -> None:
    rng = np.random.default_rng(0)
    law = normal_law(rng.normal(9.0, 1.5, 5000))
    assert isinstance(law, Normal)
    assert (law.mean_h, law.sigma_h) == (pytest.approx(9, abs=0.1), pytest.approx(1.5, abs=0.1))
    found = stay_law(staying_times_s(rng, 4000, Stay(1200.0, 0.8, 17 * 3600.0)))
    assert found.least_s == pytest.approx(1200, rel=0.05)
    assert found.beta == pytest.approx(0.8, abs=0.15)
    x, y = 4000 * rng.random((2, 60))
    mass = rng.random(60) + 0.1
    origin = rng.integers(60, size=3000).astype(np.int32)
    weight = mass * np.maximum(np.hypot(x[:, None] - x, y[:, None] - y), 30.0) ** -1.4
    np.fill_diagonal(weight, 0)
    target = np.array([rng.choice(60, p=weight[o] / weight[o].sum()) for o in origin], np.int32)
    assert gravity_exponent(x, y, mass, origin, target) == pytest.approx(1.4, abs=0.11)


def _of(trips: list[diaries.Trip]) -> diary.Diary:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return diary.read(diaries.write(trips, Path(folder) / "d.csv"))[0]


def _matrix(exponent: float) -> od.OdMatrix:
    centre = np.array([[100.0, 100.0], [500.0, 100.0], [100.0, 500.0], [500.0, 500.0]])
    origin, target = (v.ravel().astype(np.int32) for v in np.meshgrid(np.arange(4), np.arange(4), indexing="ij"))
    empty = od.OdMatrix(("a", "b", "c", "d"), centre, False, origin, target, np.ones(16))
    trips = (
        1000.0
        * np.array([1, 2, 3, 4])[origin]
        * np.array([2, 1, 1, 5])[target]
        * zone_distances_m(empty).ravel() ** -exponent
    )
    return od.OdMatrix(empty.names, centre, False, origin, target, trips)


def test_a_gravity_matrix_gives_its_exponent_back() -> None:
    laws, fit = fit_matrix(_matrix(1.2))
    assert fit.exponent == pytest.approx(1.2, abs=0.01)
    assert fit.jsd < 1e-5
    assert fit.common_share > 0.999
    assert laws.gravity["W"] == fit.exponent


def test_people_go_where_the_matrix_says() -> None:
    matrix = _matrix(0.5)
    laws, _ = fit_matrix(matrix, city=TOWN)
    assert laws.commuter_share == 0.0
    everyone_works = ScheduleLaws(chains=("HWH",), weekday_shares=(1.0,), weekend_shares=(1.0,), matrix=laws.matrix)
    plan = make_population(
        TOWN, 8000, UserParameters(passer_share=0, commuter_share=0), Streams(0), schedule=everyone_works
    )
    first = plan.trip_start[:-1][np.diff(plan.trip_start) > 0]
    made = generated_table(TOWN, laws.matrix, plan.from_area[first], plan.to_area[first])
    given = matrix.trips.reshape(4, 4) / matrix.trips.sum()
    # who works in the area it lives in makes no trip, so that the diagonal loses a little
    other = ~np.eye(4, dtype=bool)
    assert made[other] / made[other].sum() == pytest.approx(given[other] / given[other].sum(), abs=0.02)


def test_zones_beyond_the_box_send_commuters() -> None:
    matrix = _matrix(0.5)
    far = np.vstack([matrix.centre, [[90_000.0, 100.0]]])
    origin, target = np.r_[matrix.origin, 4].astype(np.int32), np.r_[matrix.target, 0].astype(np.int32)
    trips = np.r_[matrix.trips, matrix.trips.sum()]
    laws, _ = fit_matrix(od.OdMatrix((*matrix.names, "far"), far, False, origin, target, trips), city=TOWN)
    assert laws.commuter_share == pytest.approx(0.5)
    assert areas_in_zones(TOWN, laws.matrix).max() == 3


def test_a_diary_of_one_day_of_many_has_templates() -> None:
    people = templates_of(_of(diaries.survey(80)))
    assert np.isfinite(people.traits).all()
    assert (np.diff(people.day_start) >= 1).all()
    again = people.take(np.array([3, 3, 0]))
    assert again.days.tolist()[: again.day_start[1]] == people.days.tolist()[people.day_start[3] : people.day_start[4]]
    assert Mode.CAR in _of(diaries.survey(80)).mode
