"""Inside the building of an indoor station."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from jaxtyping import Int16

from mndt.radio import pathloss
from mndt.radio.ground import Ground, Place
from mndt.radio.layers import encode
from mndt.radio.parameters import RadioParameters
from mndt.radio.shadowing import unit_field

Array = np.ndarray

_LEAST_M = 1.0  # minimum coupling distance


STOREY_M: Final = 3.0
"""Height of a storey, TR 38.901 table 7.2-1."""


def storey(height_m: float) -> int:
    """The storey of an antenna, 0 on the ground; one under the ceiling belongs to the storey below it.

    >>> storey(1.5), storey(3.0), storey(3.5)
    (0, 0, 1)
    """
    return max(math.ceil(height_m / STOREY_M) - 1, 0)


def floor_loss_db(floors: int) -> float:
    """Loss through floors, 17 + 4 (n - 1) dB: WINNER II D1.1.2 V1.2 table 4-4, scenario A1.

    >>> floor_loss_db(0), floor_loss_db(2)
    (0.0, 21.0)
    """
    return 17.0 + 4.0 * (floors - 1) if floors else 0.0


def fill_inside(
    level: Int16[Array, "rows cols"],
    ground: Ground,
    parameters: RadioParameters,
    place: Place,
    rng: np.random.Generator,
) -> None:
    """The station's own building: InH, mixed office.

    The state is drawn once for the map: line of sight where a unit field with the correlation distance
    of InH, turned into a uniform variable, lies below the probability of table 7.4.2-1. So the share of
    pixels in sight follows the table at every distance, in patches rather than as noise.
    """
    from scipy.special import ndtr

    row, col = np.nonzero(ground.building == place.own)
    if not len(row):
        return
    states = pathloss.SHADOWING["InH"]
    first_row, first_col = row.min(), col.min()
    size = int(row.max() - first_row) + 1, int(col.max() - first_col) + 1
    at = row - first_row, col - first_col
    state, clear, blocked = (
        unit_field(*size, ground.pixel_m, states[name].correlation_m, rng)[at] for name in ("los", "los", "nlos")
    )
    ground_m = np.hypot((col + 0.5) * ground.pixel_m - place.x_m, (row + 0.5) * ground.pixel_m - place.y_m)
    slant_m = np.maximum(np.hypot(ground_m, place.height_m - parameters.user_height_m), _LEAST_M)
    los = ndtr(state) < pathloss.los_probability("InH", ground_m)
    heights_m = place.height_m, parameters.user_height_m
    loss_db = pathloss.loss_db("InH", los, ground_m, slant_m, place.carrier_ghz, *heights_m)
    loss_db = loss_db + floor_loss_db(abs(storey(place.height_m) - storey(parameters.user_height_m)))
    if parameters.shadowing:
        loss_db = loss_db + np.where(los, states["los"].sigma_db * clear, states["nlos"].sigma_db * blocked)
    level[row, col] = encode(-loss_db, los)
