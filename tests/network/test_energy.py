from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mndt.city.model import Cells
from mndt.city.schema import ENERGY_CLASSES
from mndt.errors import InputError
from mndt.network.energy import EnergyModel, advance, consumed_w, kwh, start
from mndt.network.energy_parameters import EnergyParameters, MacroPower, MicroPower
from mndt.state import Status

ON, SLEEP, OFF = (np.int8(status) for status in Status)

EARTH = {"macro": (6, 20, 130, 4.7, 75), "rrh": (6, 20, 84, 2.8, 56), "micro": (2, 6.3, 56, 2.6, 39),
         "pico": (2, 0.13, 6.8, 4.0, 4.3)}  # fmt: skip
"""N_TRX, P_max, P_0, Delta_p, P_sleep of Auer et al. 2011, table 2."""


def make_cells(classes, site=None, max_power_w=20.0) -> Cells:
    n = len(classes)
    zeros = np.zeros(n)
    return Cells(
        name=tuple(f"c{i}" for i in range(n)),
        site=np.arange(n) if site is None else np.asarray(site),
        height_m=zeros, azimuth_deg=zeros, mechanical_tilt_deg=zeros, electrical_tilt_deg=zeros,
        pattern=("omni",) * n, carrier_hz=zeros + 3.5e9, blocks=np.full(n, 45), block_hz=zeros + 180e3,
        max_power_w=zeros + max_power_w, energy_class=tuple(classes),
    )  # fmt: skip


def station(name: str, parameters: EnergyParameters | None = None) -> EnergyModel:
    """EARTH's reference site: three cells of macro or rrh, one of micro or pico."""
    n_cells = EARTH[name][0] // 2
    cells = make_cells([name] * n_cells, site=[0] * n_cells, max_power_w=2 * EARTH[name][1])
    return EnergyModel.build(cells, 1, parameters)


def total_w(model: EnergyModel, status, load: float) -> float:
    status = np.broadcast_to(np.int8(status), model.slope.shape)
    largest_w = (model.full_w - model.rru_w[0]) / model.slope
    return consumed_w(model, status, (load * largest_w).astype(np.float32)).total_w


@pytest.mark.parametrize("name", ENERGY_CLASSES)
def test_reference_sites_consume_what_earth_says(name):
    chains, max_w, idle_w, slope, sleep_w = EARTH[name]
    model = station(name)
    assert total_w(model, ON, 1.0) == pytest.approx(chains * (idle_w + slope * max_w), rel=1e-6)
    assert total_w(model, ON, 0.0) == pytest.approx(chains * idle_w, rel=1e-6)
    assert total_w(model, ON, 0.3) == pytest.approx(chains * (idle_w + 0.3 * slope * max_w), rel=1e-6)
    assert total_w(model, SLEEP, 0.7) == pytest.approx(chains * sleep_w, rel=1e-6)
    assert total_w(model, OFF, 0.7) == 0.0


def test_the_parts_of_a_macro_station_by_hand():
    """At full load: 1344 W, a tenth of it cooling, 6 x 35.1 W baseband, the rest radio units."""
    found = consumed_w(station("macro"), np.full(3, ON), np.full(3, 40, np.float32))
    assert found.cooling_w[0] == pytest.approx(134.4, rel=1e-6)
    assert found.bbu_w[0] == pytest.approx(210.6, rel=1e-6)
    assert found.rru_w.tolist() == pytest.approx([(1344 * 0.9 - 210.6) / 3] * 3, rel=1e-6)
    assert found.cell_w.tolist() == pytest.approx([448] * 3, rel=1e-6)


def test_an_off_cell_saves_its_radio_unit_and_the_last_one_takes_the_baseband_along():
    model, dark = station("macro"), np.zeros(3, np.float32)
    radio_w = 2 * (130 * 0.9 - 35.1) / 0.9  # one idle radio unit with its cooling
    base_w = 6 * 35.1 / 0.9
    for n_off, expected_w in ((0, 3 * radio_w + base_w), (1, 2 * radio_w + base_w), (2, radio_w + base_w), (3, 0.0)):
        status = np.where(np.arange(3) < n_off, OFF, ON)
        found = consumed_w(model, status, dark)
        assert found.total_w == pytest.approx(expected_w, rel=1e-6)
        assert (found.cell_w[status == OFF] == 0).all()
    one_asleep = consumed_w(model, np.array([OFF, OFF, SLEEP]), dark)
    assert one_asleep.bbu_w[0] == pytest.approx(6 * 35.1, rel=1e-6)


def test_cooling_factor_and_deeper_sleep():
    warm = station("macro", EnergyParameters(cooling_factor=0.25))
    assert total_w(warm, ON, 1.0) == pytest.approx(1344 * 0.9 * 1.25, rel=1e-6)
    passive = station("pico", EnergyParameters(cooling_factor=0.25))
    assert total_w(passive, ON, 1.0) == total_w(station("pico"), ON, 1.0)
    deep = station("macro", EnergyParameters(sleep_share=0.0))
    assert total_w(deep, SLEEP, 0.0) == pytest.approx(6 * 35.1 / 0.9, rel=1e-6)


def test_power_beyond_the_tables_maximum_goes_on_along_the_line():
    model = EnergyModel.build(make_cells(["micro"], max_power_w=50.0), 1)
    assert consumed_w(model, np.array([ON]), np.float32([50])).total_w == pytest.approx(2 * 56 + 2.6 * 50, rel=1e-6)


@st.composite
def networks(draw):
    n_sites = draw(st.integers(1, 5))
    n_cells = draw(st.integers(0, 12))
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    max_power_w = rng.uniform(0.01, 60, n_cells)
    cells = make_cells(rng.choice(ENERGY_CLASSES, n_cells).tolist(), rng.integers(0, n_sites, n_cells), max_power_w)
    status = rng.integers(0, 3, n_cells).astype(np.int8)
    return EnergyModel.build(cells, n_sites), status, (rng.random(n_cells) * max_power_w).astype(np.float32)


@settings(max_examples=150, deadline=None)
@given(networks())
def test_cells_add_up_to_stations_and_stations_to_the_total(network):
    model, status, transmitted_w = network
    found = consumed_w(model, status, transmitted_w)
    by_site = np.bincount(model.site, found.cell_w.astype(np.float64), model.n_sites)
    np.testing.assert_allclose(by_site, found.site_w, rtol=1e-5)
    parts = np.bincount(model.site, found.rru_w.astype(np.float64), model.n_sites) + found.bbu_w + found.cooling_w
    np.testing.assert_allclose(parts, found.site_w, rtol=1e-5)
    assert found.total_w == pytest.approx(float(found.cell_w.sum(dtype=np.float64)), rel=1e-5)
    assert (found.cell_w >= 0).all()
    assert (found.cell_w[status == OFF] == 0).all()
    station_on = np.bincount(model.site, status != OFF, model.n_sites) > 0
    assert ((found.site_w > 0) == station_on).all()
    assert ((found.bbu_w > 0) == station_on).all()


@settings(max_examples=50, deadline=None)
@given(networks(), st.integers(0, 2**31))
def test_cells_in_another_order_consume_the_same(network, seed):
    model, status, transmitted_w = network
    order = np.random.default_rng(seed).permutation(len(status))
    moved = dataclasses.replace(
        model,
        rru_w=model.rru_w[:, order],
        **{name: getattr(model, name)[order] for name in ("site", "slope", "full_w", "base_w", "cooling")},
    )
    one, other = consumed_w(model, status, transmitted_w), consumed_w(moved, status[order], transmitted_w[order])
    np.testing.assert_allclose(other.cell_w, one.cell_w[order], rtol=1e-6)
    np.testing.assert_allclose(other.site_w, one.site_w, rtol=1e-6)


@settings(max_examples=100, deadline=None)
@given(networks(), st.integers(0, 11))
def test_more_load_and_more_awake_cells_consume_more(network, which):
    model, status, transmitted_w = network
    if not len(status):
        return
    cell = which % len(status)
    totals = []
    for state in (OFF, SLEEP, ON):
        tried = status.copy()
        tried[cell] = state
        totals.append(consumed_w(model, tried, transmitted_w).total_w)
    assert totals[0] < totals[1] < totals[2]
    more_w = transmitted_w.copy()
    more_w[cell] += 1.0
    before, after = (consumed_w(model, tried, w) for w in (transmitted_w, more_w))  # `tried` has the cell on
    kappa = model.cooling[cell]
    assert after.total_w - before.total_w == pytest.approx(model.slope[cell] * (1 + kappa), rel=1e-3, abs=1e-3)


def play(model: EnergyModel, wanted, seconds: int):
    """Status as users see it and switches, second by second; `wanted` maps a second to a new wish."""
    power, status, seen, switched = start(len(model.slope)), ON, [], []
    for second in range(seconds):
        status = wanted.get(second, status)
        power, serving, changed = advance(model, power, np.full(len(model.slope), status, np.int8))
        seen.append(int(serving[0]))
        switched.append(bool(changed[0]))
    return seen, switched, power


def first_served(seen: list[int], after: int) -> int:
    return next(second for second in range(after, len(seen)) if seen[second] == Status.ON) - after


@pytest.mark.parametrize(
    ("low", "wake_s", "late_s"),
    [(SLEEP, 0.0, 0), (SLEEP, 0.64, 1), (SLEEP, 3.0, 3), (OFF, 10.0, 10), (OFF, 10.2, 11), (OFF, 0.0, 0)],
)
def test_a_cell_serves_its_wake_up_time_after_it_was_asked(low, wake_s, late_s):
    times = EnergyParameters(sleep_wake_s=min(wake_s, 3.0), off_wake_s=wake_s)
    seen, switched, _ = play(station("pico", times), {5: low, 8: ON}, 30)
    assert seen[:5] == [Status.ON] * 5
    assert seen[5:8] == [low] * 3
    assert first_served(seen, 8) == late_s
    assert seen[8 + late_s :] == [Status.ON] * (22 - late_s)
    assert [second for second, changed in enumerate(switched) if changed] == [5, 8]


def test_a_sleeping_cell_of_a_cold_station_starts_up_first():
    times = EnergyParameters(sleep_wake_s=2.0, off_wake_s=10.0)
    model = station("pico", times)
    warm, _, _ = play(model, {0: OFF, 5: SLEEP, 25: ON}, 40)
    assert first_served(warm, 25) == 2
    cold, _, _ = play(model, {0: OFF, 5: SLEEP, 8: ON}, 40)
    assert first_served(cold, 8) == 10 - 3  # three of the ten seconds are over
    hesitant, _, _ = play(model, {0: OFF, 5: ON, 9: OFF, 12: ON}, 40)
    assert first_served(hesitant, 12) == 10  # nothing is gained by what was broken off


def test_waking_up_costs_power_before_it_serves_and_the_cycle_once():
    times = EnergyParameters(sleep_wake_s=2.0, sleep_cycle_s=0.5)
    model = station("micro", times)
    power, wants, energy_j = start(1), {0: SLEEP, 3: ON}, []
    for second in range(7):
        wanted = np.array([wants.get(second, power.status[0])], np.int8)
        power, serving, _ = advance(model, power, wanted)
        transmitted_w = np.float32([1.0]) * (serving == ON)
        energy_j.append(consumed_w(model, power.status, transmitted_w, power.cycle_s).total_w)
    full_w = model.full_w[0]  # of the radio unit
    assert energy_j == pytest.approx([78, 78, 78, 112 + 0.5 * full_w, 112, 114.6, 114.6], rel=1e-6)
    assert kwh(sum(energy_j) / 7, 7) == pytest.approx(sum(energy_j) / 3.6e6)


def test_cells_wake_up_by_themselves():
    model = EnergyModel.build(make_cells(["pico", "pico"]), 2, EnergyParameters(sleep_wake_s=1.0))
    power, _, _ = advance(model, start(2), np.array([SLEEP, ON]))
    power, serving, switched = advance(model, power, np.array([ON, ON]))
    assert serving.tolist() == [SLEEP, ON]
    assert switched.tolist() == [True, False]


def test_a_baseband_larger_than_its_cell_is_refused():
    with pytest.raises(InputError, match=r"energy\.micro\.baseband_w is 50\.0, allowed is at most 39,") as caught:
        station("micro", EnergyParameters(micro=MicroPower(baseband_w=50.0)))
    assert "\n" not in str(caught.value)


def test_own_figures_of_a_class():
    parameters = EnergyParameters(macro=dataclasses.replace(MacroPower(), idle_w=200.0, cooling_share=0.2))
    assert total_w(station("macro", parameters), ON, 0.0) == pytest.approx(1200, rel=1e-6)
