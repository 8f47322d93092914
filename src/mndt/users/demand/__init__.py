"""Traffic demand: what users ask for each second, and how traffic of whole places goes through the week."""

from mndt.users.demand.own import (
    PREFERENCES,
    PROFILES,
    SHIPPED,
    DemandParameters,
    DemandSource,
    OwnDemand,
    Sessions,
    active_share,
    check_demand,
    mean_rate_bps,
    random_clusters,
    session_shares,
    start_rates_hz,
)

__all__ = [
    "PREFERENCES",
    "PROFILES",
    "SHIPPED",
    "DemandParameters",
    "DemandSource",
    "OwnDemand",
    "Sessions",
    "active_share",
    "check_demand",
    "mean_rate_bps",
    "random_clusters",
    "session_shares",
    "start_rates_hz",
]
