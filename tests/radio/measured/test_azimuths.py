from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import small_operator

from mndt.radio.measured.azimuths import suspects
from mndt.radio.measured.case import make_case


def test_a_cell_that_points_elsewhere_is_found_and_no_other() -> None:
    samples, built, ground = small_operator.operator(6000)
    told = built.azimuth_deg.copy()
    told[4] = (told[4] + 130.0) % 360.0
    found = suspects(make_case(samples, replace(built, azimuth_deg=told), ground))
    assert [suspect.cell for suspect in found] == [4]
    assert found[0].turn_deg == pytest.approx(-130.0, abs=20.0)


def test_a_right_inventory_raises_no_suspicion() -> None:
    assert suspects(make_case(*small_operator.operator(6000))) == ()


def test_omnidirectional_cells_have_no_bearing_to_be_wrong() -> None:
    samples, built, ground = small_operator.operator(3000)
    assert suspects(make_case(samples, replace(built, omni=np.ones(len(built), bool)), ground)) == ()
