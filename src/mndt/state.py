"""What changes from second to second, and the words that pass between the rooms.

Frozen dataclasses of arrays; nothing here computes. Row u is a user, row c a cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, Int32

Array = np.ndarray


class Mode(IntEnum):
    """How a user moves; `Users.mode` holds these numbers."""

    ABSENT = -1  # an unused row: the population may grow and shrink
    INSIDE = 0  # inside an area
    WALK = 1
    BICYCLE = 2
    CAR = 3


class Status(IntEnum):
    """Whether a cell serves; `CellSettings.status` holds these numbers."""

    ON = 0
    SLEEP = 1
    OFF = 2


class Mobility(IntEnum):
    """What happened to a connected user's serving cell; `MobilityLog.kind` holds these numbers."""

    HANDOVER = 0  # executed
    REFUSED = 1  # triggered, but the target had no place: the user stays
    HANDOVER_FAILURE = 2  # the target was below Qout when the user came
    RADIO_LINK_FAILURE = 3  # the serving cell was below Qout for T310: the user selects a cell anew


@dataclass(frozen=True)
class Users:
    """Where everyone is: what every mobility source returns each second."""

    x_m: Float32[Array, "users"]
    y_m: Float32[Array, "users"]
    speed_mps: Float32[Array, "users"]
    mode: Int8[Array, "users"]  # Mode
    area: Int32[Array, "users"]  # row of Areas, -1 on the way

    def __len__(self) -> int:
        return len(self.x_m)


@dataclass(frozen=True)
class NoWay:
    """Trips given up because no way leads there. A mobility source whose memory has such a field
    `no_way` has them among the run's events, each in its second."""

    time_s: Int32[Array, "trips"]
    user: Int32[Array, "trips"]
    from_area: Int32[Array, "trips"]
    to_area: Int32[Array, "trips"]


@dataclass(frozen=True)
class Demand:
    """What users ask for in one second."""

    service: Int8[Array, "users"]  # row of schema.SERVICES, -1 idle
    bits: Float32[Array, "users"]  # newly arrived downlink bits


@dataclass(frozen=True)
class CellSettings:
    """What an operator turns: one value a cell. Meaning, unit and range: `mndt.city.schema`.

    Halve the power of cell 3 and put cell 5 to sleep::

        power_w, status = state.settings.power_w.copy(), state.settings.status.copy()
        power_w[3] /= 2
        status[5] = mndt.state.Status.SLEEP
        settings = dataclasses.replace(state.settings, power_w=power_w, status=status)
        state, kpis = mndt.step(world, state, mndt.Action(settings=settings))
    """

    power_w: Float32[Array, "cells"]  # power budget, at most Cells.max_power_w
    azimuth_deg: Float32[Array, "cells"]
    mechanical_tilt_deg: Float32[Array, "cells"]
    electrical_tilt_deg: Float32[Array, "cells"]
    handover_offset_db: Float32[Array, "cells"]  # cell-individual offset
    status: Int8[Array, "cells"]  # Status


@dataclass(frozen=True)
class Allocation:
    """Who holds which block at which power. A block used twice is impossible by construction."""

    user_of_block: Int32[Array, "cells blocks"]  # -1 = free; columns beyond Cells.blocks stay -1
    power_w: Float32[Array, "cells blocks"]  # 0 where free


PowerRule = Callable[[Any, Array, Array], Array]
"""A policy's own rule of power, called within the second, when it is known who waits for what: what cells expect of
their users (`mndt.radio.channel.Expected`), users of the blocks, bits waiting -> powers in W, as
`Allocation.power_w`."""


@dataclass(frozen=True)
class Action:
    """A policy's decision for the coming second. What is left None the network's own
    fundamentals decide; a name picks one of the network's functions, an array decides outright, and power
    may be a function of the policy's own. Of arrays, what cells that are down, other cells' users or the idle would
    get falls away.

    >>> Action(association="strongest", blocks="proportional-fair", power="equal").settings is None
    True
    """

    settings: CellSettings | None = None
    association: str | Int32[Array, "users"] | None = None  # serving cell of each user, -1 = none
    blocks: str | Int32[Array, "cells blocks"] | None = None  # as Allocation.user_of_block
    power: str | Float32[Array, "cells blocks"] | PowerRule | None = None  # as Allocation.power_w


@dataclass(frozen=True)
class Episode:
    """Demand and service so far, in bits, for policies that plan over a horizon."""

    demand_bits: Float64[Array, "users"]
    received_bits: Float64[Array, "users"]


@dataclass(frozen=True)
class MobilityLog:
    """What happened to serving cells in one second, in order of time, then of user."""

    offset_ms: Int32[Array, "entries"]  # after the start of the second
    user: Int32[Array, "entries"]
    kind: Int8[Array, "entries"]  # Mobility
    from_cell: Int32[Array, "entries"]
    to_cell: Int32[Array, "entries"]  # -1 where no cell is left
    ping_pong: Bool[Array, "entries"]  # a handover back to the cell left less than the ping-pong window ago

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class NetworkState:
    """Everything that must survive a kill. `mobility` and `demand` are the private memories of
    the sources in `users/`: (nested) frozen dataclasses of arrays.

    How many users cell 0 serves now::

        state = mndt.start(world)
        state, kpis = mndt.step(world, state)
        print((state.connected & (state.serving == 0)).sum())
    """

    time_s: int  # seconds since midnight of the scenario's day
    users: Users
    mobility: Any
    demand: Any
    service: Int8[Array, "users"]  # row of schema.SERVICES, -1 idle
    buffer_bits: Float32[Array, "users"]  # arrived and not yet delivered
    mean_rate_bps: Float32[Array, "users"]  # exponential average of the past rate
    serving: Int32[Array, "users"]  # the cell a user is connected to or, idle, camps on; -1 = none
    connected: Bool[Array, "users"]  # had bits waiting and a place in its serving cell
    settings: CellSettings  # as the operator wants them
    power: Any  # power supply of the cells: network.energy.Power
    measurements: Any  # what users measured for their handovers: network.handover.Measurements
    allocation: Allocation
    episode: Episode


@dataclass(frozen=True)
class Kpis:
    """Measured in one second. Names in files, units, denominators: `mndt.network.kpi`.

    The ten busiest cells::

        state, kpis = mndt.step(world, state)
        print(kpis.cell_blocks_used.argsort()[-10:], kpis.throughput_bps / 1e6, "Mbit/s")
    """

    time_s: int
    # per cell
    cell_rate_bps: Float32[Array, "cells"]
    cell_power_w: Float32[Array, "cells"]  # transmitted
    cell_consumed_w: Float32[Array, "cells"]  # at the mains; NaN where no energy model ran
    cell_status: Int8[Array, "cells"]  # Status
    cell_node_status: Int8[Array, "cells"]  # mndt.network.incidents.NodeStatus, 0 = in order
    cell_offered_bits: Float32[Array, "cells"]  # newly arrived: of users it admitted and of the refused who wanted it
    cell_waiting_bits: Float32[Array, "cells"]  # theirs, backlog included
    cell_delivered_bits: Float32[Array, "cells"]
    cell_users: Int32[Array, "cells"]  # connected to it or, idle, camping on it
    cell_connected: Int32[Array, "cells"]  # active users the cell admitted
    cell_satisfied: Int32[Array, "cells"]  # of those, users that received all that waited for them
    cell_below_minimum: Int32[Array, "cells"]  # of those, users below their service's minimum rate
    cell_refused: Int32[Array, "cells"]  # active users that wanted this cell first and that none admitted
    cell_blocks_used: Int32[Array, "cells"]
    cell_blocks_available: Int32[Array, "cells"]  # 0 for a cell asleep or off
    # per cell, of the users that leave it; between stations ("inter") and within one ("intra")
    cell_inter_tried: Int32[Array, "cells"]  # handovers begun, done or failed
    cell_inter_done: Int32[Array, "cells"]
    cell_intra_tried: Int32[Array, "cells"]
    cell_intra_done: Int32[Array, "cells"]
    cell_handovers_refused: Int32[Array, "cells"]
    cell_link_failures: Int32[Array, "cells"]
    cell_ping_pongs: Int32[Array, "cells"]
    # per user; a user is active when it has something to receive this second
    user_rate_bps: Float32[Array, "users"]  # of its blocks, by the rate law in force
    user_delivered_bits: Float32[Array, "users"]
    user_offered_bits: Float32[Array, "users"]  # newly arrived
    user_backlog_bits: Float32[Array, "users"]  # waiting from earlier seconds, before the new arrivals
    user_sinr: Float32[Array, "users"]  # linear, mean over its blocks; 0 without a block
    user_rsrp_dbm: Float32[Array, "users"]  # of the serving cell; -inf without one
    user_blocks: Int32[Array, "users"]  # blocks it holds
    user_active: Bool[Array, "users"]
    user_outage: Bool[Array, "users"]  # active and (unconnected or below the service's minimum)
    # per area of interest; the last row, which is row -1, holds the users on the way
    area_users: Int32[Array, "areas_plus_1"]  # present, idle or active
    area_active: Int32[Array, "areas_plus_1"]
    area_connected: Int32[Array, "areas_plus_1"]
    area_outage: Int32[Array, "areas_plus_1"]
    area_offered_bits: Float32[Array, "areas_plus_1"]
    area_delivered_bits: Float32[Array, "areas_plus_1"]
    # totals
    throughput_bps: float
    satisfied_share: float  # delivered / (offered + backlog), see network.kpi
    outage_ratio: float
    handovers: int
    mobility: MobilityLog
