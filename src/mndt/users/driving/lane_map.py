"""The ground that vehicles drive on: lanes, links between them, right of way and traffic lights.

One form for networks of SUMO (`LaneMap.from_sumo`) and for a city's roads (`LaneMap.from_ways`, which
first builds the junctions). The meaning of every number is SUMO's
(https://sumo.dlr.de/docs/Networks/SUMO_Road_Networks.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int32, UInt8, UInt16

from mndt.city.model import Ways
from mndt.formats.sumo_net import SumoNet
from mndt.users.driving._tables import Road

Array = np.ndarray


@dataclass(frozen=True)
class LaneMap:
    """Lanes, links and lights.

    Lanes: edges outside junctions come first, in the order of the file or of the ways, then those inside.
    Lanes of edge e are rows ``edge_lane[e]:edge_lane[e + 1]`` from right to left; points of lane k are columns
    ``shape_start[k]:shape_start[k + 1]`` of `shape`.

    Links: one per connection, those that leave lanes inside junctions included. Links that leave lane k are rows
    ``lane_link[k]:lane_link[k + 1]``. A vehicle on lane `link_from` drives on on lane `link_next`, and is on its way
    to lane `link_to` beyond the junction. Lists of link k in `response`, `foe` and the `conflict_` arrays are rows
    ``response_start[k]:response_start[k + 1]`` and so on. Conflicts belong to links that leave lanes inside junctions.

    Lights: signal s shows ``signal_state[signal_start[s] + t % signal_cycle_s[s]]`` (a letter) from second t on.
    """

    lane_edge: Int32[Array, "lanes"]
    lane_index: Int32[Array, "lanes"]  # 0 = rightmost
    lane_length_m: Float64[Array, "lanes"]
    lane_limit_mps: Float64[Array, "lanes"]
    lane_width_m: Float64[Array, "lanes"]
    lane_internal: Bool[Array, "lanes"]
    lane_classes: UInt16[Array, "lanes"]  # bits of `mndt.formats.sumo_net.CLASS_BITS`
    lane_link: Int32[Array, "lanes_plus_1"]
    lane_entry: Int32[Array, "lanes"]  # the link that leads into an internal lane, -1 outside junctions
    shape_start: Int32[Array, "lanes_plus_1"]
    shape: Float64[Array, "3 points"]  # x and y in m, and distance from the lane's start, scaled to its length

    edge_lane: Int32[Array, "edges_plus_1"]
    edge_from: Int32[Array, "edges"]  # junctions
    edge_to: Int32[Array, "edges"]
    edge_internal: Bool[Array, "edges"]
    edge_priority: Int32[Array, "edges"]  # the greater the more important

    link_from: Int32[Array, "links"]  # lane it leaves
    link_to: Int32[Array, "links"]  # lane beyond the junction
    link_next: Int32[Array, "links"]  # lane driven next: inside the junction, or `link_to`
    link_exit: Int32[Array, "links"]  # the link that leaves `link_next` where that is inside the junction, else -1
    link_dir: UInt8[Array, "links"]  # letters s, l, r, t (turning round), L, R
    link_state: UInt8[Array, "links"]  # letter where no light shows one: M goes first, m yields, and so on
    link_cont: Bool[Array, "links"]  # may drive in and wait inside
    link_keep_clear: Bool[Array, "links"]
    link_has_foes: Bool[Array, "links"]
    link_junction: Int32[Array, "links"]
    link_index: Int32[Array, "links"]  # in its junction's table of right of way, -1 = in none
    link_signal: Int32[Array, "links"]  # -1 = no light
    link_length_m: Float64[Array, "links"]  # of `link_next` where that is inside, else the gap between the lanes
    link_visibility_m: Float64[Array, "links"]  # from where foes are seen
    link_radius_m: Float64[Array, "links"]  # of the curve that a link leaves, 1e9 = straight or not said

    response_start: Int32[Array, "links_plus_1"]
    response: Int32[Array, "responses"]  # links to yield to
    foe_start: Int32[Array, "links_plus_1"]
    foe: Int32[Array, "foes"]  # links that this one is in the way of, or they of it
    conflict_start: Int32[Array, "links_plus_1"]
    conflict_lane: Int32[Array, "conflicts"]  # lane inside the junction that crosses, joins or begins with the link's
    conflict_flag: UInt8[Array, "conflicts"]  # see `mndt.users.driving._conflicts`
    conflict_behind_m: Float64[Array, "conflicts"]  # from where they meet to the end of the link's own lane
    conflict_size_m: Float64[Array, "conflicts"]
    conflict_foe_behind_m: Float64[Array, "conflicts"]  # the same seen from `conflict_lane`; -1e4 = does not meet
    conflict_foe_size_m: Float64[Array, "conflicts"]

    signal_start: Int32[Array, "signals_plus_1"]
    signal_cycle_s: Int32[Array, "signals"]
    signal_state: UInt8[Array, "signal_seconds"]

    lane_name: tuple[str, ...]
    edge_name: tuple[str, ...]
    junction_name: tuple[str, ...]

    @property
    def n_lanes(self) -> int:
        """All lanes, those inside junctions included."""
        return len(self.lane_edge)

    @property
    def n_edges(self) -> int:
        """All edges, those inside junctions included."""
        return len(self.edge_from)

    @property
    def n_links(self) -> int:
        """All links."""
        return len(self.link_from)

    @cached_property
    def n_roads(self) -> int:
        """Edges outside junctions: rows 0 to n_roads."""
        return int((~self.edge_internal).sum())

    @cached_property
    def road(self) -> Road:
        """The tables that compiled code reads."""
        from mndt.users.driving._road import tables_of

        return tables_of(self)

    @cached_property
    def tape(self) -> tuple[Float64[Array, "points"], Float64[Array, "lanes"]]:
        """All lanes laid one after another, 1 m apart: where each point of `shape` lies, and where each lane begins."""
        start_m = np.cumsum(self.lane_length_m + 1.0) - self.lane_length_m - 1.0
        return self.shape[2] + np.repeat(start_m, np.diff(self.shape_start)), start_m

    @cached_property
    def incoming(self) -> tuple[Int32[Array, "lanes_plus_1"], Int32[Array, "links"]]:
        """Links by the lane that they lead to next: starts per lane, and links."""
        order = np.argsort(self.link_next, kind="stable").astype(np.int32)
        return starts(self.link_next, self.n_lanes), order

    @classmethod
    def from_sumo(cls, net: SumoNet) -> LaneMap:
        """The lanes of a SUMO network.

        Args:
            net: as `mndt.formats.sumo_net.read_net` reads it.

        Raises:
            InputError: a light's cycle is no whole number of seconds.
        """
        from mndt.users.driving._assembly import assemble

        return cls(**assemble(net))

    @classmethod
    def from_ways(cls, roads: Ways) -> LaneMap:
        """The lanes of a city's roads, with junctions built for them; edge e of the ways is edge e of the map."""
        from mndt.users.driving.junctions import build_net

        return cls.from_sumo(build_net(roads))


def starts(group: Array, n_groups: int) -> Int32[Array, "groups_plus_1"]:
    """Where the rows of every group begin once they are sorted by group.

    >>> starts(np.array([0, 0, 2]), 3).tolist()
    [0, 2, 2, 3]
    """
    return np.concatenate(([0], np.cumsum(np.bincount(group, minlength=n_groups)))).astype(np.int32)
