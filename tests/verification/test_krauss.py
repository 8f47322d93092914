"""Krauss vehicles against recorded trajectories, and the law against closed forms and plain sums."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mndt.users.driving import _krauss as law

B, TAU, STEP = 4.5, 1.0, 1.0


@pytest.mark.skipif("MNDT_DATA" not in os.environ, reason="needs the reference data (MNDT_DATA)")
def test_trajectories_equal_the_recorded_ones() -> None:
    from mndt.checks import validate_krauss

    figures = validate_krauss.run(data=Path(os.environ["MNDT_DATA"])).figures
    assert len(figures) == 7  # six cases and the worst
    assert figures["max_position_error_m"] < 1e-6


def braking_way_m(speed: float) -> float:
    """Step by step, slower by B each, the first slowing at once."""
    way, v = 0.0, speed - B * STEP
    while v > 0.0:
        way, v = way + v * STEP, v - B * STEP
    return way


@given(st.floats(0.0, 60.0))
def test_brake_gap_is_the_sum_over_the_steps(speed: float) -> None:
    assert law.brake_gap(speed, B, STEP, False) == pytest.approx(braking_way_m(speed), abs=1e-9)


@given(st.floats(0.002, 300.0), st.sampled_from([1.0, 1.5, 2.0]))
def test_stop_speed_just_stops_in_the_gap(gap: float, headway: float) -> None:
    v = law.stop_speed(gap, 0.0, B, headway, STEP, False)
    assert v * headway + braking_way_m(v) <= gap + 1e-6
    assert (v + 0.02) * headway + braking_way_m(v + 0.02) > gap - law.MARGIN_M - 1e-6
    assert law.stops_within(gap, v - 1e-9, B, headway, STEP)
    assert not law.stops_within(gap, v + 1e-3, B, headway, STEP)


@given(st.floats(0.0, 40.0), st.floats(0.1, 300.0))
def test_the_ballistic_stop_obeys_its_equation(speed: float, gap: float) -> None:
    v = law.stop_speed(gap, speed, B, TAU, STEP, True)
    free = gap - law.MARGIN_M
    if speed * TAU < 2.0 * free and v > 0.0:
        assert v * v / (2.0 * B) + (speed + v) * TAU / 2.0 == pytest.approx(free, rel=1e-9, abs=1e-9)


@given(st.floats(0.0, 200.0), st.floats(0.0, 30.0))
def test_free_speed_reaches_the_target(distance: float, target: float) -> None:
    v = law.free_speed(distance, 0.0, target, B, STEP, False)
    assert v >= target
    way = 0.0
    while v > target + 1e-9:  # the step that begins now is driven at v, later ones slower
        way, v = way + v * STEP, max(v - B * STEP, target)
    assert way <= distance + max(target, v) * STEP + 1e-6


def test_a_ring_settles_at_the_closed_form() -> None:
    """Equal gaps g in equilibrium: v tau + (brake gap equal on both sides) = g, so v = (g - margin) / tau."""
    gap = 9.0
    v = law.follow_speed(gap, 8.0, gap - law.MARGIN_M, B, B, 9.0, TAU, STEP, False)
    assert v == pytest.approx(gap - law.MARGIN_M, abs=1e-9)


@given(st.floats(0.5, 100.0), st.floats(0.0, 30.0), st.floats(0.0, 30.0))
def test_arrival_time_is_the_time_of_the_motion(distance: float, speed: float, arrival: float) -> None:
    a = 2.6 if arrival >= speed else -B
    changing_s = (arrival - speed) / a
    if changing_s * (arrival + speed) / 2.0 <= distance and max(speed, arrival) > 0.2:
        t = law.arrival_time(distance, speed, arrival, 2.6, B)
        cruise = max(speed, arrival)
        assert changing_s * (arrival + speed) / 2.0 + (t - changing_s) * cruise == pytest.approx(distance, rel=1e-9)


def test_uniform_draws_are_uniform() -> None:
    u = np.array([law.uniform(np.uint32(7), row) for row in range(20_000)])
    assert abs(u.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.02
