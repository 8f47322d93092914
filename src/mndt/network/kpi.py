"""The KPIs: what is measured in one second. Names, units and denominators: `kpi_fields`."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int, Int8, Int32

from mndt.city.schema import SERVICES
from mndt.errors import InputError
from mndt.network.kpi_docs import document
from mndt.network.kpi_field import KpiField, share
from mndt.network.kpi_fields import KPI_FIELDS
from mndt.network.kpi_period import Period, summarise
from mndt.state import Kpis, Mobility, MobilityLog, Status

__all__ = [
    "KPI_FIELDS",
    "KpiField",
    "OfBlocks",
    "Period",
    "area_columns",
    "cell_columns",
    "changes",
    "document",
    "measure",
    "minimum_rates_bps",
    "of_blocks",
    "summarise",
    "total_row",
    "user_columns",
]

Array = np.ndarray


def minimum_rates_bps(service: Int8[Array, "users"]) -> Float32[Array, "users"]:
    """The minimum rate of each user's service (row of `schema.SERVICES`); 0 for idle users (-1).

    >>> minimum_rates_bps(np.int8([0, -1])).tolist()
    [24400.0, 0.0]
    """
    rates: Array = _MINIMUM_RATES_BPS[service]
    return rates


_MINIMUM_RATES_BPS: Final = np.array([s.min_rate_bps for s in SERVICES] + [0.0], np.float32)  # row -1 is the last


class OfBlocks(NamedTuple):
    """What the blocks come to for each user and cell."""

    user_rate_bps: Float32[Array, "users"]  # sum over its blocks
    user_sinr: Float32[Array, "users"]  # mean over its blocks, linear; 0 without one
    user_blocks: Int32[Array, "users"]  # blocks it holds
    cell_power_w: Float32[Array, "cells"]  # transmitted
    cell_blocks_used: Int32[Array, "cells"]


def of_blocks(
    user_of_block: Int32[Array, "cells blocks"],
    block_rate_bps: Float32[Array, "cells blocks"],
    block_sinr: Float32[Array, "cells blocks"],
    power_w: Float32[Array, "cells blocks"],
    n_users: int,
) -> OfBlocks:
    """Sums over the blocks of each user and each cell, in one pass.

    Args:
        user_of_block: user of every block, -1 = free.
        block_rate_bps: what the block carries.
        block_sinr: linear.
        power_w: power on the block.
        n_users: how many there are.

    Raises:
        InputError: a block is given to a user that does not exist.

    Two blocks of user 0 and a free one::

        found = of_blocks(np.int32([[0, 0, -1]]), rate_bps, sinr, power_w, 1)
    """
    from mndt.network import _kpi

    _refuse_beyond("user of a block", user_of_block, n_users)
    n_cells = len(user_of_block)
    sums, held = np.zeros((n_users, 2)), np.zeros(n_users, np.int32)
    power, used = np.empty(n_cells, np.float32), np.empty(n_cells, np.int32)
    given = (_plain(values, np.float32) for values in (block_rate_bps, block_sinr, power_w))
    _kpi.sum_blocks(_plain(user_of_block, np.int32), *given, sums, held, power, used)
    rate_bps, sinr = np.empty(n_users, np.float32), np.empty(n_users, np.float32)
    _kpi.mean_and_sum(sums, held, rate_bps, sinr)
    return OfBlocks(rate_bps, sinr, held, power, used)


def measure(
    *,
    time_s: int,
    serving: Int32[Array, "users"],
    previous_serving: Int32[Array, "users"],
    active: Bool[Array, "users"],
    user_of_block: Int32[Array, "cells blocks"],
    power_w: Float32[Array, "cells blocks"],
    blocks: Int32[Array, "cells"],
    user_rate_bps: Float32[Array, "users"],
    user_sinr: Float32[Array, "users"],
    user_rsrp_dbm: Float32[Array, "users"],
    min_rate_bps: Float32[Array, "users"],
    backlog_bits: Float32[Array, "users"],
    offered_bits: Float32[Array, "users"],
    delivered_bits: Float32[Array, "users"],
    held: OfBlocks | None = None,
    consumed_w: Float32[Array, "cells"] | None = None,
    status: Int8[Array, "cells"] | None = None,
    node_status: Int8[Array, "cells"] | None = None,
    mobility: MobilityLog | None = None,
    wanted: Int32[Array, "users"] | None = None,
    present: Bool[Array, "users"] | None = None,
    area: Int32[Array, "users"] | None = None,
    n_areas: int = 0,
    site: Int[Array, "cells"] | None = None,
) -> Kpis:
    """The KPIs of one second, as `KPI_FIELDS` defines them.

    Args:
        time_s: seconds since midnight.
        serving: serving cell, -1 = none; idle users may camp on a cell.
        previous_serving: cell in which the user held a place in the last second, -1 for none and
            for users that were idle: the array that `association.associate` takes.
        active: users with bits to receive in this second.
        user_of_block: user of every block, -1 = free.
        power_w: power of every block.
        blocks: blocks each cell may use, 0 for cells asleep or off.
        user_rate_bps: sum of the rates of the user's blocks.
        user_sinr: linear, mean over the user's blocks, 0 without one.
        user_rsrp_dbm: from the serving cell, -inf without one.
        min_rate_bps: minimum of the user's service (`minimum_rates_bps`).
        backlog_bits: waiting from earlier seconds, before the new arrivals.
        offered_bits: newly arrived.
        delivered_bits: taken from the buffers in this second.
        held: what `of_blocks` found; None = found here.
        consumed_w: power consumed at the mains; None = unknown.
        status: Status; None = cells with blocks are on, the others off.
        node_status: `incidents.NodeStatus`; None = all in order.
        mobility: what happened to serving cells; None = changes of serving cell are handovers.
        wanted: first choice of every user, -1 = unknown; None = unknown for all.
        present: users that exist; None = all.
        area: area of interest of every user, -1 = on the way; None = all on the way.
        n_areas: how many there are.
        site: site of every cell, which tells handovers within a station; None = one cell a site.

    Raises:
        InputError: a cell, an area or a user that does not exist is referred to.
    """
    from mndt.network import _kpi

    n_users, n_cells = len(serving), len(blocks)
    wanted = np.full(n_users, -1, np.int32) if wanted is None else wanted
    area = np.full(n_users, -1, np.int32) if area is None else area
    for name, rows, n in (
        ("serving cell", serving, n_cells),
        ("wanted cell", wanted, n_cells),
        ("area", area, n_areas),
    ):
        _refuse_beyond(name, rows, n)
    outage = np.empty(n_users, np.bool_)
    flow, count = np.zeros((n_cells, 4)), np.zeros((n_cells, 5), np.int32)
    area_flow, area_count = np.zeros((n_areas + 1, 2)), np.zeros((n_areas + 1, 4), np.int32)
    waiting_bits, throughput_bps, n_active, n_outage = _kpi.sum_users(
        *(_plain(rows, np.int32) for rows in (serving, wanted, area)),
        np.ones(n_users, np.bool_) if present is None else _plain(present, np.bool_),
        _plain(active, np.bool_),
        *(_plain(v, np.float32) for v in (user_rate_bps, min_rate_bps, backlog_bits, offered_bits, delivered_bits)),
        outage, flow, count, area_flow, area_count,
    )  # fmt: skip
    if held is None:
        nothing = np.zeros(user_of_block.shape, np.float32)
        held = of_blocks(user_of_block, nothing, nothing, power_w, n_users)
    log = changes(previous_serving, np.where(active, serving, -1)) if mobility is None else mobility
    flow, area_flow = flow.astype(np.float32), area_flow.astype(np.float32)
    return Kpis(
        time_s=time_s,
        cell_rate_bps=flow[:, _kpi.RATE],
        cell_power_w=held.cell_power_w,
        cell_consumed_w=np.full(n_cells, np.nan, np.float32) if consumed_w is None else consumed_w,
        cell_status=_on_where_blocks(blocks) if status is None else status,
        cell_node_status=np.zeros(n_cells, np.int8) if node_status is None else node_status,
        cell_offered_bits=flow[:, _kpi.OFFERED],
        cell_delivered_bits=flow[:, _kpi.DELIVERED],
        cell_waiting_bits=flow[:, _kpi.WAITING],
        cell_users=count[:, _kpi.USERS],
        cell_connected=count[:, _kpi.CONNECTED],
        cell_satisfied=count[:, _kpi.SATISFIED],
        cell_below_minimum=count[:, _kpi.BELOW],
        cell_refused=count[:, _kpi.REFUSED],
        cell_blocks_used=held.cell_blocks_used,
        cell_blocks_available=blocks.astype(np.int32),
        **_departures(log, n_cells, site),
        user_rate_bps=user_rate_bps,
        user_delivered_bits=delivered_bits,
        user_offered_bits=offered_bits,
        user_backlog_bits=backlog_bits,
        user_sinr=user_sinr,
        user_rsrp_dbm=user_rsrp_dbm,
        user_blocks=held.user_blocks,
        user_active=active,
        user_outage=outage,
        area_users=area_count[:, _kpi.IN_AREA],
        area_active=area_count[:, _kpi.ACTIVE],
        area_connected=area_count[:, _kpi.ADMITTED],
        area_outage=area_count[:, _kpi.OUTAGE],
        area_offered_bits=area_flow[:, _kpi.AREA_OFFERED],
        area_delivered_bits=area_flow[:, _kpi.AREA_DELIVERED],
        throughput_bps=throughput_bps,
        satisfied_share=float(share(throughput_bps, waiting_bits, 1.0)),
        outage_ratio=float(share(n_outage, n_active, 0.0)),
        handovers=int(np.count_nonzero(log.kind == Mobility.HANDOVER)),
        mobility=log,
    )


def changes(previous: Int32[Array, "users"], now: Int32[Array, "users"]) -> MobilityLog:
    """A log in which every change from one cell to another is a handover at the start of the second.

    >>> changes(np.int32([0, 0, -1]), np.int32([0, 1, 1])).user.tolist()
    [1]
    """
    user = np.flatnonzero((previous >= 0) & (now >= 0) & (previous != now)).astype(np.int32)
    n = len(user)
    return MobilityLog(
        offset_ms=np.zeros(n, np.int32),
        user=user,
        kind=np.full(n, Mobility.HANDOVER, np.int8),
        from_cell=previous[user].astype(np.int32),
        to_cell=now[user].astype(np.int32),
        ping_pong=np.zeros(n, np.bool_),
    )


def total_row(kpis: Kpis) -> dict[str, float]:
    """One row of the table of totals: column name -> value."""
    return {f.column: float(f.value(kpis)) for f in KPI_FIELDS if f.level == "total"}


def cell_columns(kpis: Kpis) -> dict[str, Array]:
    """The columns of the table of cells in this second: column name -> one value per cell."""
    return {f.column: f.value(kpis) for f in KPI_FIELDS if f.level == "cell"}


def user_columns(kpis: Kpis) -> dict[str, Array]:
    """The columns of the table of users in this second: column name -> one value per user."""
    return {f.column: f.value(kpis) for f in KPI_FIELDS if f.level == "user"}


def area_columns(kpis: Kpis) -> dict[str, Array]:
    """The KPIs of the areas in this second: column name -> one value per area, then that of the way."""
    return {f.column: f.value(kpis) for f in KPI_FIELDS if f.level == "area"}


# Inside -----------------------------------------------------------------------------------------


def _plain(values: Array, kind: type) -> Array:
    """What the kernels take: contiguous, of one type, so that they are compiled once."""
    return np.ascontiguousarray(values, kind)


def _refuse_beyond(field: str, rows: Array, n: int) -> None:
    """Kernels trust their rows; a policy's decision may be wrong."""
    most = int(rows.max(initial=-1))
    if most >= n:
        allowed = f"-1 to {n - 1}" if n else "-1, for there are none"
        raise InputError(field, most, allowed=allowed, fix="mend the policy or the source that named it")


def _on_where_blocks(blocks: Int32[Array, "cells"]) -> Int8[Array, "cells"]:
    return np.where(blocks > 0, Status.ON, Status.OFF).astype(np.int8)


def _departures(
    log: MobilityLog, n_cells: int, site: Int[Array, "cells"] | None
) -> dict[str, Int32[Array, "cells"]]:  # fmt: skip
    """Handovers and failures of the users that leave each cell: fields of `Kpis`."""
    done, known = log.kind == Mobility.HANDOVER, log.from_cell >= 0
    tried = done | (log.kind == Mobility.HANDOVER_FAILURE)
    intra = known & (log.to_cell >= 0)
    intra &= False if site is None else site[log.from_cell] == site[log.to_cell]
    chosen = {
        "inter_tried": tried & ~intra,
        "inter_done": done & ~intra,
        "intra_tried": tried & intra,
        "intra_done": done & intra,
        "handovers_refused": log.kind == Mobility.REFUSED,
        "link_failures": log.kind == Mobility.RADIO_LINK_FAILURE,
        "ping_pongs": done & log.ping_pong,
    }
    return {
        f"cell_{name}": np.bincount(log.from_cell[mask & known], minlength=n_cells).astype(np.int32)
        for name, mask in chosen.items()
    }
