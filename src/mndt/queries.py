"""What would happen if: questions to the twin that leave it as it is."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Int

from mndt.border import check_settings
from mndt.engine import SERVICE_RATE_BPS
from mndt.errors import InputError
from mndt.radio import mcs
from mndt.state import CellSettings, NetworkState, Users
from mndt.units import linear_to_db
from mndt.world import World

Array = np.ndarray


@dataclass(frozen=True)
class RateIf:
    """Answer of `rate_if`."""

    rate_bps: float  # over all its blocks, without fading
    blocks: int  # it would hold
    sinr_db: float  # -inf where the cell would not serve
    rsrp_dbm: float  # power per block, without fading
    needed_bps: float  # mean rate of the user's service; 0 when idle
    satisfied: bool  # the cell serves and the rate is no less than needed


def rate_if(
    world: World,
    state: NetworkState,
    user: int,
    cell: int,
    settings: CellSettings | None = None,
    *,
    blocks: int | None = None,
) -> RateIf:
    """The rate a user would get from a cell under given operating parameters, and whether it suffices.

    The cell spreads its budget evenly over its blocks. Other cells interfere with the mean power per
    block that they transmit now, scaled by what the settings change; cells that would sleep are
    silent. Fading averages out and is left out.

    Args:
        world, state: the twin as it is; neither is changed.
        user, cell: rows.
        settings: operating parameters of all cells; None = as they are.
        blocks: blocks the user would hold; None = an equal share with the users that the cell serves now.

    Raises:
        InputError: no such user or cell, more blocks than the cell has, or settings that are not one number for
            each cell. Power may be beyond a cell's maximum: what if it had more?

    What if cell 5 had twice the power::

        more = state.settings.power_w.copy()
        more[5] *= 2
        answer = mndt.rate_if(world, state, user=17, cell=5, settings=dataclasses.replace(state.settings, power_w=more))
        print(answer.rate_bps / 1e6, "Mbit/s", answer.satisfied)
    """
    _check("user", user, len(state.users))
    _check("cell", cell, len(world.city.cells))
    if settings is None:
        settings = state.settings
    elif settings is not state.settings:
        check_settings(settings, world.city.cells, where="rate_if", any_power=True)
    who = np.array([user])
    links = world.channel.links(_rows(state.users, who), settings, np.uint32(0))
    share = _share(state, user, cell, int(links.blocks[cell]), blocks)
    gain, power_w = links.gain[0].astype(np.float64), links.even_power_w().astype(np.float64)
    now_w = state.settings.power_w.astype(np.float64)
    load_w = state.allocation.power_w.mean(axis=1, dtype=np.float64)
    load_w *= np.divide(links.budget_w, now_w, out=np.zeros_like(now_w), where=now_w > 0)
    load_w[cell] = 0.0
    received_w = gain[cell] * power_w[cell]
    sinr = received_w / (gain @ load_w + links.noise_w[cell])
    law, gap_db = world.network.rate_law, world.network.snr_gap_db
    rate_bps = share * float(mcs.rate_bps(law, np.array([sinr]), float(links.block_hz[cell]), gap_db)[0])
    needed_bps = float(SERVICE_RATE_BPS[state.service[user]])
    return RateIf(
        rate_bps=rate_bps,
        blocks=share,
        sinr_db=float(linear_to_db(sinr)),
        rsrp_dbm=float(linear_to_db(received_w)) + 30.0,
        needed_bps=needed_bps,
        satisfied=share > 0 and received_w > 0 and rate_bps >= needed_bps,
    )


def _rows(users: Users, who: Int[Array, "some"]) -> Users:
    return Users(**{f.name: getattr(users, f.name)[who] for f in fields(users)})


def _share(state: NetworkState, user: int, cell: int, has: int, asked: int | None) -> int:
    """Blocks the user would hold."""
    if asked is not None:
        if not _is_whole(asked) or not 0 <= asked <= has:
            raise InputError("blocks", asked, allowed=f"0 to {has}, the blocks of the cell", fix="ask for fewer")
        return int(asked)
    others = state.connected & (state.serving == cell)
    others[user] = False
    return min(has, max(1, has // (1 + int(np.count_nonzero(others)))))


def _is_whole(number: object) -> bool:
    """Whether it is a whole number; True and False are none, though they count as 1 and 0."""
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def _check(name: str, row: int, n: int) -> None:
    if not _is_whole(row) or not 0 <= row < n:
        raise InputError(name, row, allowed=f"0 to {n - 1}" if n else "none, for there are none", fix="choose a row")
