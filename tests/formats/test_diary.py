from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.formats import diary

HOUR, DAY = 3600.0, 86_400.0
HEADER = "person,day,departure,arrival,from_x_m,from_y_m,to_x_m,to_y_m,purpose,mode"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "diary.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_trips_are_read_by_person_and_time(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, "b,1,17:00,17:30,900,0,0,0,home,Car", "b,1,8:05,08:30,0,0,900,0,Work,bike",
                 "a,0,10:00,10:10,5,5,5,905,shopping,")  # fmt: skip
    found, info = diary.read(path)
    assert found.names == ("a", "b")
    assert found.person.tolist() == [0, 1, 1]
    assert found.departure_s.tolist() == [10 * HOUR, DAY + 8 * HOUR + 300, DAY + 17 * HOUR]
    assert found.purpose.tolist() == [3, 1, 0]
    assert found.mode.tolist() == [-1, 2, 3]
    assert found.to_place[1] == found.from_place[2]
    assert (found.place_x_m[found.to_place[1]], found.place_y_m[found.to_place[1]]) == (900, 0)
    assert info.refused == ()


@pytest.mark.parametrize(
    ("header", "line", "departure_h", "arrival_h"),
    [
        ("uid,date,start_time,end_time,lon,lat", "7,2024-03-05,07:30,08:00,24.9,60.1", 31.5, 32),
        ("user,weekday,dep_h,arr_h,x,y", "7,Wed,7.5,8.0,1,2", 55.5, 56),
        ("id,departure_s,arrival_s,to_x_km,to_y_km", "7,27000,28800,1,2", 7.5, 8),
        ("person,departure,arrival,x_m,y_m", "7,2024-03-05T07:30:00,2024-03-05T08:00:00,1,2", 31.5, 32),
        ("Person ID;Day;Departure time (min);Arrival time (min);Dest X;Dest Y", "7;5;450;480;1;2", 127.5, 128),
        ("person,day,departure,arrival,x_m,y_m,from_x_m,from_y_m", "7,0,23:30,00:15,1,2,3,4", 23.5, 24.25),
        ("person,day,departure,arrival,x_m,y_m", "7,0,23:30,24:15,1,2", 23.5, 24.25),
        ("person,departure,arrival,x_m,y_m", "7,277200,279000,1,2", 77, 77.5),
    ],
)  # fmt: skip
def test_many_ways_to_write_the_same(
    tmp_path: Path, header: str, line: str, departure_h: float, arrival_h: float
) -> None:
    found, _ = diary.read(write(tmp_path, header, line))
    assert found.departure_s.tolist() == [departure_h * HOUR]
    assert found.arrival_s.tolist() == [arrival_h * HOUR]


def test_weekdays_and_days_agree(tmp_path: Path) -> None:
    lines = ("person,day,weekday,departure,arrival,x_m,y_m", "a,1,Thu,8:00,9:00,0,0", "a,2,Fri,8:00,9:00,5,0")
    found, _ = diary.read(write(tmp_path, *lines))
    assert (found.departure_s // DAY % 7).tolist() == [3, 4]


def test_columns_may_come_in_any_order(tmp_path: Path) -> None:
    columns = HEADER.split(",")
    values = ["p", "3", "08:00", "09:00", "0", "0", "700", "10", "work", "car"]
    plain, _ = diary.read(write(tmp_path, HEADER, ",".join(values)))
    order = np.random.default_rng(1).permutation(len(columns))
    other, _ = diary.read(write(tmp_path, ",".join(columns[k] for k in order), ",".join(values[k] for k in order)))
    for name in ("departure_s", "arrival_s", "place_x_m", "place_y_m", "to_place", "mode", "purpose"):
        assert getattr(plain, name).tolist() == getattr(other, name).tolist()


def test_bad_lines_are_left_out_each_with_a_sentence(tmp_path: Path) -> None:
    good = [f"p{k},0,08:00,09:00,0,0,700,{k},work,car" for k in range(6)]
    bad = [
        "a,0,8 o'clock,09:00,0,0,1,1,,", "a,0,08:00,07:00,0,0,1,1,,", ",0,08:00,09:00,0,0,1,1,,",
        "p1,0,08:30,10:00,0,0,1,1,,", "a,0,08:00,09:00,0,0,far,1,,",
    ]  # fmt: skip
    found, info = diary.read(write(tmp_path, HEADER, *good, *bad))
    assert len(found) == 6
    text = "\n".join(info.refused)
    assert len(info.refused) == 5
    for part in ("line 8: departure is '8 o'clock'", "line 9: arrival is -60 min", "line 10: person is missing",
                 "line 11: departure is 30 min before", "line 12: to_x_m is 'far'"):  # fmt: skip
        assert part in text, part
    assert all(sentence.endswith(".") and "allowed is" in sentence for sentence in info.refused)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("person,day,departure,x_m,y_m", "a,0,8:00,1,1"), "column arrival is missing"),
        (("person,departure,arrival", "a,8:00,9:00"), "to_x_m and to_y_m, or to_lon and to_lat"),
        ((HEADER, "a,0,x,9:00,0,0,1,1,,"), "lines that fit is 0 of 1"),
        (("person,departure,arrival,from_place,to_place", "a,8:00,9:00,h,w"), "--places"),
    ],
)
def test_a_table_that_is_no_diary_is_refused(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        diary.read(write(tmp_path, *lines))


def test_named_places_take_their_positions_from_a_second_table(tmp_path: Path) -> None:
    places = tmp_path / "places.csv"
    places.write_text("place,x_m,y_m\nh,0,0\nw,3000,4000\n")
    lines = ("person,departure,arrival,from,to", "a,8:00,9:00,h,w", "a,17:00,18:00,w,h", "a,19:00,20:00,h,q")
    found, info = diary.read(write(tmp_path, *lines), places)
    assert found.place_x_m[found.to_place].tolist() == [3000, 0]
    assert "'q', allowed is a place whose position is given" in info.refused[0]


def test_stays_become_the_trips_between_them(tmp_path: Path) -> None:
    lines = (
        "person,day,arrival,departure,x_m,y_m",
        "a,0,00:00,08:00,0,0",
        "a,0,08:30,17:00,900,0",
        "a,0,17:30,23:00,0,0",
    )
    found, info = diary.read(write(tmp_path, *lines))
    assert found.departure_s.tolist() == [8 * HOUR, 17 * HOUR]
    assert found.arrival_s.tolist() == [8.5 * HOUR, 17.5 * HOUR]
    assert found.from_place[0] == found.to_place[1]
    assert "stay" in info.notes[0]


def test_noisy_positions_of_one_person_are_one_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["person,day,departure,arrival,x_m,y_m"]
    for day in range(20):
        for hour, x in ((8, 5000), (17, 0)):
            noise = rng.normal(0, 15, 2)
            rows.append(f"a,{day},{hour}:00,{hour}:30,{x + noise[0]:.1f},{noise[1]:.1f}")
    found, info = diary.read(write(tmp_path, *rows))
    assert len(np.unique(found.to_place)) == 2
    assert "150 m" in info.notes[0]


def test_degrees_become_metres(tmp_path: Path) -> None:
    lines = ("person,departure,arrival,from_lon,from_lat,to_lon,to_lat", "a,8:00,9:00,25.0,60.0,25.0,60.1")
    found, _ = diary.read(write(tmp_path, *lines))
    step = np.hypot(np.diff(found.place_x_m), np.diff(found.place_y_m))
    assert step[0] == pytest.approx(0.1 * 111_195, rel=1e-3)
