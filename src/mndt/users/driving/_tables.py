"""The tables that compiled code of the vehicle engine reads and writes."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

Array = np.ndarray

REACH: Final = 6
"""Lanes behind the one with its front bumper that a vehicle may still stand on."""

WIDEST: Final = 8
"""Lanes of an edge that drivers compare, from the right."""

WAY: Final = 6
"""Links ahead that drivers have chosen."""

NEVER: Final = 1e15
"""A time that does not come, in seconds."""

VEHICLE: Final = np.dtype(
    [
        ("lane", np.int32),  # with the front bumper; -1 where nobody drives
        ("kind", np.int32),  # row of the table of kinds
        ("cursor", np.int32),  # rows of the pool of routes: edge being driven, end, first edge
        ("route_end", np.int32),
        ("position_m", np.float64),  # of the front bumper, from the start of the lane
        ("speed_mps", np.float64),
        ("speed_factor", np.float64),  # the driver's own share of speed limits
        ("waited_s", np.float64),  # standing, or waiting to drive off
        ("first_item", np.int32),  # its rows of the table of lines ahead
        ("n_items", np.int32),
        ("waits", np.int32),  # it will not cross the next line: nobody should follow into the junction behind it
        ("n_behind", np.int32),  # lanes on which it still stands with its rear
        ("odometer_m", np.float64),  # since the trip began
        ("accel_mps2", np.float64),  # of the last step
        ("advice_mps", np.float64),  # not faster than this, to let somebody in or to fall in behind; inf = none
        ("entered_s", np.float64),  # when it drove into the junction it is in; `NEVER` outside or when it gave way
        ("entered_once_s", np.float64),  # the same, but kept when it gives way
        ("conflict_s", np.float64),  # when it drove into the part where ways cross
        ("behind", np.int32, (REACH,)),  # lanes with its rear, the nearest first
        ("route_start", np.int32),
        ("stop_edge", np.int32),  # row of the pool of routes with the next halt, -1 = none
        ("stop_m", np.float64),  # where it halts on that edge
        ("stop_s", np.float64),  # how long it still halts
        ("stop_from_m", np.float64),  # it may halt from here on
        ("stop_lane", np.int32),  # where that is
        ("unhelpful", np.int32),  # it never slows down to let others in
        ("eager", np.float64),  # gathered wish to be faster: positive to the left, negative to the right
        ("eager_right", np.float64),  # and to keep right, see `_lane_wish`
        ("look_mps", np.float64),  # speed by which it looks for its lane, slow to fall
        ("reserved_m", np.float64),  # kept free at the lane's end for who has to change the other way
        ("left_m", np.float64),  # to the end of the lane
        ("intent", np.int32),  # bits of `_lane_wish`
        ("known_at", np.int32),  # edge of the route, from 1 on, that the rest is about; 0 = none, see `_lanes.orient`
        ("leads_on", np.int32),  # a bit for each lane: it leads to the next edge
        ("is_open", np.int32),  # a bit for each lane: the road goes on beyond the end of the view
        ("reach_m", np.float64, (WIDEST,)),  # way that can be driven from a lane of the edge on without a change
        ("jam_m", np.float32, (WIDEST,)),  # lengths and gaps of the vehicles on that way, own edge not counted
        ("way", np.int32, (WAY,)),  # links to take from the lane it is on
        ("side", np.int8, (WIDEST,)),  # lanes to the left from each lane to the best one
        ("departs", np.int32),  # 1 = as the next three say, 0 = standing, one length into the edge, on the best lane
        ("depart_lane", np.int32),  # index; below zero a word of `mndt.formats.sumo_routes.WORDS`, as for the next two
        ("depart_m", np.float64),
        ("depart_mps", np.float64),
    ],
    align=True,
)
"""What a vehicle remembers from step to step; what every vehicle needs in every step comes first."""

ITEM: Final = np.dtype(
    [
        ("link", np.int32),  # -1 = the way ends here, -2 - link = it has changed lanes since
        ("vehicle", np.int32),
        ("after", np.int32),  # the next in the link's list of who approaches it
        ("request", np.int32),  # it means to cross
        ("stopped_ahead", np.int64),  # beyond it somebody stands or waits
        ("pass_mps", np.float64),  # speed now if it may cross
        ("wait_mps", np.float64),  # speed now if it has to stop
        ("leave_mps", np.float64),  # estimated speed when leaving the junction
        ("arrival_mps", np.float64),
        ("braking_mps", np.float64),  # speed at the line if it brakes from now on
        ("arrival_ms", np.int64),
        ("leaving_ms", np.int64),
        ("waited_ms", np.int64),
        ("distance_m", np.float64),
        ("space_m", np.float64),  # room beyond
    ],
    align=True,
)
"""A line ahead of a vehicle, as its driver means to take it."""

KIND: Final = np.dtype(
    [
        ("length_m", np.float64),
        ("min_gap_m", np.float64),
        ("accel_mps2", np.float64),
        ("decel_mps2", np.float64),
        ("emergency_mps2", np.float64),
        ("sigma", np.float64),
        ("tau_s", np.float64),
        ("top_mps", np.float64),
        ("classes", np.float64),  # bits of `mndt.formats.sumo_net.CLASS_BITS` that let it onto a lane
    ]
)
"""A row of `VehicleMemory.kinds`."""

LANE: Final = np.dtype(
    [
        ("edge", np.int32),
        ("index", np.int32),
        ("internal", np.int32),
        ("classes", np.int32),
        ("first_link", np.int32),
        ("link_end", np.int32),
        ("entry", np.int32),  # the link into an internal lane, -1 outside junctions
        ("junction_entry", np.int32),  # the link by which one came into the junction
        ("many", np.int32),  # lanes of its edge
        ("fans", np.int32),  # it has several links to one edge
        ("plain", np.int64),  # its only link needs no thought, see `_road.plain_lanes`
        ("length_m", np.float64),
        ("limit_mps", np.float64),
    ]
)

LINK: Final = np.dtype(
    [
        ("from_lane", np.int32),
        ("to_lane", np.int32),
        ("next_lane", np.int32),
        ("state", np.int32),  # letter shown now, by the light if there is one
        ("signal", np.int32),
        ("cont", np.int8),
        ("keep_clear", np.int8),
        ("has_foes", np.int8),
        ("junction", np.int32),
        ("direction", np.int32),
        ("from_inside", np.int8),
        ("into_inside", np.int8),
        ("after_waiting", np.int8),  # leaves a lane that begins at a waiting place inside a junction
        ("first_response", np.int32),
        ("response_end", np.int32),
        ("first_conflict", np.int32),
        ("conflict_end", np.int32),
        ("approach", np.int32),  # head of the list of those who approach, rows of the table of lines ahead
        ("length_m", np.float64),
        ("visibility_m", np.float64),
        ("radius_m", np.float64),
    ],
    align=True,
)

CONFLICT: Final = np.dtype(
    [
        ("lane", np.int32),
        ("behind_m", np.float64),
        ("size_m", np.float64),
        ("foe_behind_m", np.float64),
        ("foe_size_m", np.float64),
    ],
    align=True,
)


AHEAD: Final = np.dtype(
    [
        ("length_m", np.float64),
        ("jam_m", np.float64),
        ("side", np.int32),
        ("link", np.int32),
        ("reached", np.int32),
        ("leads_on", np.int32),
        ("is_open", np.int64),
    ],
    align=True,
)
"""A lane of an edge ahead, see `_lanes.orient`."""

SIDE: Final = np.dtype(
    [
        ("next", np.int32),  # vehicle that has its turn
        ("first_blocked", np.int32),  # who wants to this lane and cannot
        ("last_blocked", np.int64),
        ("jam_m", np.float64),  # lengths and gaps of those who had their turn
    ],
    align=True,
)
"""A lane of an edge whose vehicles change lanes now, see `_lane_change`."""


class Road(NamedTuple):
    """`LaneMap` as compiled code takes it; `link.state` and `link.approach` (-1 between steps) are scratch, too."""

    lane: Array  # LANE
    link: Array  # LINK
    response: Array  # i32: links to yield to
    conflict: Array  # CONFLICT
    edge_lane: Array  # i32[edges + 1]
    signalled: Array  # i32: links with a light
    signal_of: Array  # i32: their lights
    shown: Array  # u8: the letters they show now; scratch
    signal_start: Array
    signal_cycle: Array
    signal_state: Array
    wide_edge: Array  # i32: edges of several lanes
    ahead: Array  # AHEAD; scratch
    beside: Array  # SIDE; scratch


class Traffic(NamedTuple):
    """All vehicles, one row per user of the population, as compiled code changes them."""

    vehicle: Array  # VEHICLE
    leader: Array  # i32[users + lanes]: a circular list for each lane; entry users + lane is the lane itself
    follower: Array
    route_edge: Array
    kind: Array  # KIND
    before: Array  # ITEM, of the step before
    item: Array  # ITEM, of this step
    brutto_m: Array  # f64[lanes]: lengths and gaps of the vehicles on a lane
    rear_head: Array  # i32[lanes]: vehicles that stand on a lane with their rear only, head of a list
    rear: Array  # i32[rows, 2]: vehicle, next
    first_approach: Array  # i32[lanes + 1]: rows of `approach_link`
    approach_link: Array  # i32: links that lead onto a lane


class Step(NamedTuple):
    """What holds for one step."""

    now_s: float
    step_s: float
    key: np.uint32  # of the drivers' dawdling
    ballistic: bool
    impatience_s: float  # waiting for so long makes a driver take any gap
