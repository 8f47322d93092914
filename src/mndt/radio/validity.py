"""Where the propagation models hold: carriers they were made for are asked for, distances are told."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np

from mndt.city.model import City
from mndt.errors import InputError
from mndt.radio.parameters import RadioParameters

CARRIERS_GHZ: Final = {"UMi": (0.5, 100.0), "UMa": (0.5, 100.0), "RMa": (0.5, 30.0), "InH": (0.5, 100.0)}
"""Carriers of each scenario: TR 38.901 V17 table 7.4.1-1, note 2."""

REACH_M: Final = 5000.0
"""Longest ground distance of the outdoor scenarios without line of sight: TR 38.901 V17 table 7.4.1-1."""

_log = logging.getLogger(__name__)


def check_validity(city: City, parameters: RadioParameters) -> None:
    """See whether the models hold for every cell; links longer than they reach are extrapolated, and the log says so.

    Args:
        city: its cells, and how far one can be from them.
        parameters: the scenario of outdoor stations; indoor ones use InH.

    Raises:
        InputError: the carrier of a cell is outside its scenario's range.
    """
    cells, sites = city.cells, city.sites
    carrier_ghz, indoor = np.asarray(cells.carrier_hz) / 1e9, sites.indoor[cells.site]
    for scenario, of_it in (("InH", indoor), (parameters.scenario, ~indoor)):
        low, high = CARRIERS_GHZ[scenario]
        wrong = np.flatnonzero(of_it & ~((carrier_ghz >= low) & (carrier_ghz <= high)))
        if len(wrong):
            raise InputError(
                "carrier_ghz", f"{carrier_ghz[wrong[0]]:g}", allowed=f"{low:g} to {high:g} GHz with {scenario}",
                fix="change the carrier or radio.scenario" if scenario == "RMa" else "change or remove the cell",
                where=f"cell {cells.name[wrong[0]]}",
            )  # fmt: skip
    x_m, y_m = sites.x_m[~sites.indoor], sites.y_m[~sites.indoor]
    if len(x_m):
        across_m = np.maximum(x_m, city.frame.width_m - x_m), np.maximum(y_m, city.frame.depth_m - y_m)
        furthest_m = float(np.hypot(*across_m).max())
        if furthest_m > REACH_M:
            _log.warning(
                "%s: links of up to %.1f km; %s holds up to %g km, beyond that it is extrapolated",
                city.name, furthest_m / 1e3, parameters.scenario, REACH_M / 1e3,
            )  # fmt: skip
