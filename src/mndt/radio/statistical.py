"""L_d + L_s of one layer by TR 38.901: what a map is without tracing anything but line of sight.

Links cross walls as clause 7.4.3 says: loss over the whole distance in the state of the outdoor part,
plus the wall, plus 0.5 dB per metre inside, with the shadowing of that state in place of the outdoor one.
"""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
from jaxtyping import Float32, Int16

from mndt.radio import pathloss
from mndt.radio.ground import Ground, Place, sight_of, wall_db
from mndt.radio.inside import fill_inside
from mndt.radio.parameters import RadioParameters
from mndt.radio.shadowing import unit_field
from mndt.streams import Streams

Array = np.ndarray

_UNUSED = np.zeros((1, 1), np.float32)


def fill_layer(
    level: Int16[Array, "rows cols layers"], place: Place, ground: Ground, parameters: RadioParameters, seed: int
) -> None:
    """Write one layer: line of sight, loss, walls and shadowing to every pixel."""
    from mndt.radio import _map_kernels

    own = place.own
    scenario = parameters.scenario if own < 0 else "UMi"
    seen = sight_of(ground, place, parameters.user_height_m)
    rng = Streams(seed).generator("shadowing", place.site)
    sigma_db, fields = _shadows(ground, parameters, scenario, own, rng)
    law = pathloss.loss_law(scenario, place.carrier_ghz, place.height_m, parameters.user_height_m)
    f = np.float32
    _map_kernels.write_loss(
        ground.building, ground.facade_row, ground.facade_col, ground.depth_m, seen, f(ground.pixel_m),
        f(place.x_m), f(place.y_m), f(place.height_m - parameters.user_height_m), np.array(astuple(law), f), sigma_db,
        *fields, parameters.shadowing, np.int32(own), f(place.exit_db), wall_db(ground, place.carrier_ghz),
        f(pathloss.INSIDE_DB_PER_M), level, place.layer,
    )  # fmt: skip
    if own >= 0:
        fill_inside(level[:, :, place.layer], ground, parameters, place, rng)


def _shadows(
    ground: Ground, parameters: RadioParameters, scenario: str, own: int, rng: np.random.Generator
) -> tuple[Float32[Array, "4"], tuple[Array, Array, Array]]:
    """Deviations (los near, los far, nlos, through a wall) and unit fields (los, nlos, through a wall)."""
    states = pathloss.SHADOWING[scenario]
    near = states["los"].sigma_db
    far = pathloss.RMA_FAR_SIGMA_DB if scenario == "RMa" else near
    sigma_db = np.array([near, far, states["nlos"].sigma_db, states["o2i"].sigma_db], np.float32)
    if not parameters.shadowing:
        return sigma_db, (_UNUSED, _UNUSED, _UNUSED)
    rows, cols = ground.building.shape
    names = ("o2i",) if own >= 0 else ("o2i", "los", "nlos")  # behind walls only one state occurs
    fields = {name: unit_field(rows, cols, ground.pixel_m, states[name].correlation_m, rng) for name in names}
    return sigma_db, (fields.get("los", _UNUSED), fields.get("nlos", _UNUSED), fields["o2i"])
