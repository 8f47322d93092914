"""Which link of a lane leads on along a route."""

from __future__ import annotations

from mndt.users.driving._krauss import inner


@inner
def _continues(road, t, lane, edge):  # type: ignore[no-untyped-def]
    """Whether a lane has a link to an edge."""
    for link in range(road.lane[lane].first_link, road.lane[lane].link_end):
        if road.lane[road.link[link].to_lane].edge == edge:
            return True
    return False


@inner
def next_link(road, t, me, lane, cursor):  # type: ignore[no-untyped-def]
    """The link to take from a lane at row `cursor` of the pool of routes; -1 where the lane does not lead on.

    Of several links to the next edge, the one to a lane that leads on from there.
    """
    here = road.lane[lane]
    if here.internal:
        return here.first_link
    if cursor + 1 >= me.route_end:
        return -1
    edge, best = t.route_edge[cursor + 1], -1
    beyond = t.route_edge[cursor + 2] if cursor + 2 < me.route_end else -1
    classes = int(t.kind[me.kind].classes)
    for link in range(here.first_link, here.link_end):
        to = road.lane[road.link[link].to_lane]
        if to.edge != edge or not to.classes & classes:
            continue
        if best < 0:
            best = link
        if beyond < 0 or _continues(road, t, road.link[link].to_lane, beyond):
            return link
    return best
