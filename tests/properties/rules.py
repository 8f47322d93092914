"""What holds in every second, whatever the state, the demand and the decision."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from mndt.network import energy
from mndt.network.incidents import settings_at
from mndt.network.kpi import KPI_FIELDS
from mndt.state import Kpis, Mode, NetworkState, Status
from mndt.world import World

ROUNDING = 1e-6


def arrays(thing: Any, path: str = "state") -> dict[str, np.ndarray]:
    """All arrays of nested dataclasses and tuples, by path."""
    if dataclasses.is_dataclass(thing):
        return {
            k: v
            for f in dataclasses.fields(thing)
            for k, v in arrays(getattr(thing, f.name), f"{path}.{f.name}").items()
        }
    if isinstance(thing, tuple):
        return {k: v for i, part in enumerate(thing) for k, v in arrays(part, f"{path}.{i}").items()}
    return {path: np.asarray(thing)}


def check_all(second: Any, after: NetworkState, kpis: Kpis) -> None:
    check_blocks(second, after, kpis)
    check_settings(second, after, kpis)
    check_bits(second, after, kpis)
    check_energy(second.world, after, kpis)
    check_kpis(kpis)
    check_sums(kpis)
    check_numbers(after)


def check_blocks(second: Any, after: NetworkState, kpis: Kpis) -> None:
    """A block has one active user of its cell, or none and then no power; a cell's power is within its budget."""
    holder, power_w = after.allocation.user_of_block, after.allocation.power_w
    cells = second.world.city.cells
    used = holder >= 0
    cell_of_block = np.broadcast_to(np.arange(len(cells))[:, None], holder.shape)
    assert holder.min(initial=-1) >= -1
    assert holder.max(initial=-1) < len(after.users)
    assert kpis.user_active[holder[used]].all()
    np.testing.assert_array_equal(after.serving[holder[used]], cell_of_block[used])
    assert not used[np.arange(holder.shape[1]) >= cells.blocks[:, None]].any()
    assert (power_w >= 0).all()
    assert (power_w[~used] == 0).all()
    assert (power_w.sum(axis=1, dtype=np.float64) <= second.settings.power_w * (1 + ROUNDING)).all()
    np.testing.assert_array_equal(kpis.cell_blocks_used, used.sum(axis=1))
    assert (kpis.cell_blocks_used <= kpis.cell_blocks_available).all()
    np.testing.assert_array_equal(kpis.user_blocks, np.bincount(holder[used], minlength=len(after.users)))


def check_settings(second: Any, after: NetworkState, kpis: Kpis) -> None:
    """Cells that are off, asleep, failed or without power transmit nothing and serve nobody."""
    able = settings_at(second.world.incidents, second.settings, second.state.time_s)
    silent = able.status != Status.ON
    assert (kpis.cell_status[silent] == able.status[silent]).all()  # on takes a while, off and asleep do not
    silent |= kpis.cell_status != Status.ON
    assert not kpis.cell_power_w[silent].any()
    assert not kpis.cell_blocks_available[silent].any()
    assert not (after.allocation.user_of_block[silent] >= 0).any()
    assert not np.append(silent, False)[after.serving].any()
    for name, values in vars(second.settings).items():
        np.testing.assert_array_equal(getattr(after.settings, name), values)


def check_bits(second: Any, after: NetworkState, kpis: Kpis) -> None:
    """Bits are delivered to the present, out of what waits, at no more than the rate; the rest goes on waiting."""
    waiting = kpis.user_backlog_bits.astype(np.float64) + kpis.user_offered_bits
    present = after.users.mode != Mode.ABSENT
    delivered = kpis.user_delivered_bits.astype(np.float64)
    assert (kpis.user_backlog_bits <= second.state.buffer_bits * np.float32(1 + ROUNDING)).all()
    assert (delivered >= 0).all()
    assert (delivered <= waiting * (1 + ROUNDING)).all()
    assert (delivered <= kpis.user_rate_bps * (1 + ROUNDING)).all()
    assert (after.buffer_bits >= 0).all()
    np.testing.assert_allclose(
        after.buffer_bits[present], (waiting - delivered)[present], rtol=1e-6, atol=1e-6 * waiting.max(initial=0)
    )
    np.testing.assert_array_equal(kpis.user_offered_bits, np.where(present, second.demand.bits, 0))
    assert not kpis.user_delivered_bits[~kpis.user_active].any()
    np.testing.assert_array_equal(kpis.user_active[present], waiting[present] > 0)
    assert not after.connected[~kpis.user_active].any()
    for nothing in (after.buffer_bits, kpis.user_active, kpis.user_blocks, kpis.user_rate_bps, after.connected):
        assert not nothing[~present].any()
    for total, new in (("received_bits", kpis.user_delivered_bits), ("demand_bits", kpis.user_offered_bits)):
        grown = getattr(after.episode, total) - getattr(second.state.episode, total)
        np.testing.assert_allclose(grown, new, rtol=1e-9, atol=1e-3)


def check_energy(world: World, after: NetworkState, kpis: Kpis) -> None:
    """Cells add up to stations, stations to the total, and watts for a second to kilowatt hours."""
    found = energy.consumed_w(world.energy, after.power.status, kpis.cell_power_w, after.power.cycle_s)
    np.testing.assert_array_equal(found.cell_w, kpis.cell_consumed_w)
    of_site = np.zeros(len(world.city.sites))
    np.add.at(of_site, world.city.cells.site, found.cell_w.astype(np.float64))
    np.testing.assert_allclose(of_site, found.site_w, rtol=1e-5, atol=1e-3)
    parts = np.zeros(len(of_site))
    np.add.at(parts, world.city.cells.site, found.rru_w.astype(np.float64))
    np.testing.assert_allclose(parts + found.bbu_w + found.cooling_w, found.site_w, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(found.cell_w.sum(dtype=np.float64), found.total_w, rtol=1e-5, atol=1e-3)
    value = {f.column: f.value(kpis) for f in KPI_FIELDS if f.level == "total"}
    np.testing.assert_allclose(value["PEE.AvgPower"], found.total_w, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(value["PEE.Energy"] * 1000 * 3600, value["PEE.AvgPower"], rtol=1e-9)
    assert (found.cell_w >= 0).all()
    off = after.power.status == Status.OFF
    assert not found.cell_w[off].any()


COUNTED = ("X.Status", "X.NodeStatus")
CODES = {"X.Status": 2, "X.NodeStatus": 3}


def check_kpis(kpis: Kpis) -> None:
    """Every KPI is a finite number in its range; where it may be empty or minus infinity its definition says so."""
    for field in KPI_FIELDS:
        name, value = f"{field.column} ({field.level})", np.asarray(field.value(kpis), np.float64)
        if field.unit in ("dB", "dBm"):
            assert not (value == np.inf).any(), name
            assert not np.isnan(value).any() or (field.column == "X.SinrMedian" and not kpis.user_sinr.any()), name
            assert np.isfinite(value).all() or "-inf without" in field.definition or np.isnan(value).all(), name
            continue
        assert np.isfinite(value).all(), name
        assert (value >= 0).all(), name
        highest = {"ratio": 1.0, "%": 100.0}.get(field.unit, CODES.get(field.column, np.inf))
        assert (value <= highest * (1 + ROUNDING)).all(), name
        if field.unit == "":
            np.testing.assert_array_equal(value, np.rint(value), name)


def check_sums(kpis: Kpis) -> None:
    """The same bits, users and blocks, counted by cell, by area and in total."""
    active, served = np.count_nonzero(kpis.user_active), np.count_nonzero(kpis.user_active & ~kpis.user_outage)
    assert kpis.area_active.sum() == active
    assert kpis.area_connected.sum() == kpis.cell_connected.sum() <= active
    assert active - kpis.area_outage.sum() == served
    assert (np.maximum(kpis.cell_satisfied, kpis.cell_below_minimum) <= kpis.cell_connected).all()
    assert kpis.cell_below_minimum.sum() + active - kpis.cell_connected.sum() == kpis.area_outage.sum()
    assert (kpis.cell_connected <= kpis.cell_users).all()
    assert (kpis.area_connected <= kpis.area_active).all()
    assert (kpis.area_active <= kpis.area_users).all()
    for by_cell, by_area, by_user in (
        (kpis.cell_delivered_bits, kpis.area_delivered_bits, kpis.user_delivered_bits),
        (None, kpis.area_offered_bits, kpis.user_offered_bits),
    ):
        total = by_user.sum(dtype=np.float64)
        np.testing.assert_allclose(by_area.sum(dtype=np.float64), total, rtol=1e-5)
        if by_cell is not None:
            np.testing.assert_allclose(by_cell.sum(dtype=np.float64), total, rtol=1e-5)
    log = kpis.mobility
    assert (np.diff(log.offset_ms) >= 0).all()
    assert (kpis.cell_inter_done <= kpis.cell_inter_tried).all()
    assert (kpis.cell_intra_done <= kpis.cell_intra_tried).all()
    assert not (log.from_cell[log.kind == 0] == log.to_cell[log.kind == 0]).any()


def check_numbers(after: NetworkState) -> None:
    """Nothing that is remembered is infinite or no number at all."""
    for path, values in arrays(after).items():
        if values.dtype.kind == "f":
            assert np.isfinite(values).all(), path
