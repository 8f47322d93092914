from __future__ import annotations

import numpy as np
import pytest

from mndt.users.schedule_statistics import TripTable, divergences, histogram, jensen_shannon, quantities

DAY = 86_400.0


def table(rows: list[tuple[int, float, float, float, float]]) -> TripTable:
    """person, departure, arrival, from x, to x in kilometres, all on one line."""
    person, go, come, a, b = (np.array(c, float) for c in zip(*rows, strict=True))
    zero = np.zeros(len(rows))
    return TripTable(person.astype(np.int32), go, come, 1000 * a, zero, 1000 * b, zero)


TRIPS = table([
    (0, 0.3 * DAY, 0.35 * DAY, 0, 4),
    (0, 0.7 * DAY, 0.75 * DAY, 4, 0),
    (0, 6.5 * DAY, 6.6 * DAY, 0, 12),
    (1, 1.5 * DAY, 1.6 * DAY, 3, 3.5),
])  # fmt: skip


def test_the_five_quantities_by_hand() -> None:
    found = quantities(TRIPS)
    assert found["step_distance"].tolist() == [4, 4, 12, 0.5]
    assert sorted(found["daily_distance"].tolist()) == [0.5, 8, 12]
    centre = (4 + 0 + 12) / 3
    expected = np.sqrt(((4 - centre) ** 2 + centre**2 + (12 - centre) ** 2) / 3)
    assert found["radius_of_gyration"].tolist() == pytest.approx([expected, 0.0])
    assert found["duration"].tolist() == pytest.approx([0.35, 5.75])
    assert found["weekday"].tolist() == [0, 0, 6, 1]


def test_bins_are_the_published_ones_with_one_beyond() -> None:
    step = histogram("step_distance", np.array([0.0, 0.99, 1.0, 9.99, 10.0, 500.0]))
    assert (step * 6).tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2]
    assert len(histogram("daily_distance", np.zeros(1))) == 11
    assert len(histogram("radius_of_gyration", np.zeros(1))) == 7
    duration = histogram("duration", np.array([0.05, 0.1, 1.49, 1.5]))
    assert np.flatnonzero(duration).tolist() == [0, 1, 14, 15]
    assert len(histogram("weekday", np.zeros(1))) == 7


def test_divergence_has_its_closed_form() -> None:
    p, q = np.array([0.5, 0.5]), np.array([0.25, 0.75])
    m = (p + q) / 2
    expected = 0.5 * np.sum(p * np.log(p / m)) + 0.5 * np.sum(q * np.log(q / m))
    assert jensen_shannon(p, q) == pytest.approx(expected)
    assert jensen_shannon(p, p) == 0
    assert jensen_shannon(np.eye(2)[0], np.eye(2)[1]) == pytest.approx(np.log(2))


def test_equal_diaries_do_not_diverge_and_other_ones_do() -> None:
    assert set(divergences(TRIPS, TRIPS).values()) == {0.0}
    far = table([(0, 2.3 * DAY, 2.4 * DAY, 0, 100), (0, 2.9 * DAY, 2.95 * DAY, 100, 0)])
    assert min(divergences(far, TRIPS).values()) > 0.05
    assert min(divergences(far, TRIPS, scaled=True).values()) > 0.05
