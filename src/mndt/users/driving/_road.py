"""`LaneMap` as the tables that compiled code reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mndt.users.driving._lanes import MOST_EDGES
from mndt.users.driving._tables import AHEAD, CONFLICT, LANE, LINK, SIDE, WIDEST, Road

if TYPE_CHECKING:
    from mndt.users.driving.lane_map import LaneMap

Array = np.ndarray


def tables_of(m: LaneMap) -> Road:
    """The tables; kernels note things in scratch columns, so a map serves one step at a time."""
    conflict = np.zeros(len(m.conflict_lane), CONFLICT)
    for name in CONFLICT.names or ():
        conflict[name] = getattr(m, f"conflict_{name}")
    signalled = np.flatnonzero(m.link_signal >= 0).astype(np.int32)
    return Road(
        lane=_lanes(m),
        link=_links(m),
        response=m.response.astype(np.int32),
        conflict=conflict,
        edge_lane=m.edge_lane.astype(np.int32),
        signalled=signalled,
        signal_of=m.link_signal[signalled].astype(np.int32),
        shown=np.zeros(len(signalled), np.uint8),
        signal_start=m.signal_start.astype(np.int32),
        signal_cycle=m.signal_cycle_s.astype(np.int32),
        signal_state=m.signal_state,
        wide_edge=np.flatnonzero((np.diff(m.edge_lane) > 1) & ~m.edge_internal).astype(np.int32),
        ahead=np.zeros(MOST_EDGES * WIDEST, AHEAD),
        beside=np.zeros(WIDEST, SIDE),
    )


def _lanes(m: LaneMap) -> Array:
    lane = np.zeros(m.n_lanes, LANE)
    for name in ("edge", "index", "internal", "classes", "entry", "length_m", "limit_mps"):
        lane[name] = getattr(m, f"lane_{name}")
    lane["first_link"], lane["link_end"] = m.lane_link[:-1], m.lane_link[1:]
    came = m.lane_entry.copy()
    while True:  # back to the link by which one came into the junction
        inside = np.flatnonzero(came >= 0)
        inside = inside[m.lane_internal[m.link_from[came[inside]]]]
        if not len(inside):
            break
        came[inside] = m.lane_entry[m.link_from[came[inside]]]
    lane["junction_entry"] = came
    lane["many"], lane["fans"] = np.diff(m.edge_lane)[m.lane_edge], fanning_lanes(m)
    lane["plain"] = plain_lanes(m)
    return lane


def plain_lanes(m: LaneMap) -> Array:
    """Lanes with one link, to a lane with no other way in, that nobody else minds: no light, no foes, no junction."""
    n_in, n_out = np.bincount(m.link_next, minlength=m.n_lanes), np.diff(m.lane_link)
    alone = (m.link_state == ord("M")) & (m.link_signal < 0) & ~np.asarray(m.link_has_foes, bool)
    alone &= (np.diff(m.response_start) == 0) & (np.diff(m.conflict_start) == 0)
    alone &= ~m.lane_internal[m.link_from] & ~m.lane_internal[m.link_next]
    alone &= (n_out[m.link_from] == 1) & (n_in[m.link_next] == 1)
    alone[m.response] = False
    plain = np.zeros(m.n_lanes, bool)
    plain[m.link_from[alone]] = True
    return plain


def fanning_lanes(m: LaneMap) -> Array:
    """Lanes outside junctions with several links to one edge."""
    fans = np.zeros(m.n_lanes, bool)
    pair = np.stack((m.link_from, m.lane_edge[m.link_to]))[:, ~m.lane_internal[m.link_from]]
    pairs, count = np.unique(pair, axis=1, return_counts=True)
    fans[pairs[0, count > 1]] = True
    return fans


def _links(m: LaneMap) -> Array:
    link = np.zeros(m.n_links, LINK)
    for name in ("signal", "cont", "keep_clear", "has_foes", "junction", "length_m", "visibility_m", "radius_m"):
        link[name] = getattr(m, f"link_{name}")
    link["from_lane"], link["to_lane"], link["next_lane"] = m.link_from, m.link_to, m.link_next
    link["state"], link["direction"], link["approach"] = m.link_state, m.link_dir, -1
    link["from_inside"], link["into_inside"] = m.lane_internal[m.link_from], m.lane_internal[m.link_next]
    entry = m.lane_entry[m.link_from]
    link["after_waiting"] = (entry >= 0) & m.lane_internal[m.link_from[np.maximum(entry, 0)]]
    link["first_response"], link["response_end"] = m.response_start[:-1], m.response_start[1:]
    link["first_conflict"], link["conflict_end"] = m.conflict_start[:-1], m.conflict_start[1:]
    return link
