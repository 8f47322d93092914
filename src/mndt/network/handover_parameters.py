"""What the user can set about handover, with ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from annotated_types import Ge, Le

from mndt.errors import InputError

SUBSTEP_MS: Final = 40
"""Time between two measurements of a cell: what users measure within a second."""

TimeToTrigger = Literal[0, 40, 64, 80, 100, 128, 160, 256, 320, 480, 512, 640, 1024, 1280, 2560, 5120]
FilterCoefficient = Literal[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 17, 19]


@dataclass(frozen=True)
class HandoverParameters:
    """Event A3 and radio-link failure, in the words and values of TS 38.331."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    offset_db: Annotated[float, Ge(-15.0), Le(15.0)] = 3.0  # dB, a3-Offset: how much better a neighbour must be
    hysteresis_db: Annotated[float, Ge(0.0), Le(15.0)] = 1.0  # dB, more to enter the condition, less to leave it
    time_to_trigger_ms: TimeToTrigger = 160  # ms the condition must hold, rounded up to steps of 40 ms
    filter_k: FilterCoefficient = 4  # coefficient k of the layer 3 filter, 0 = none
    window_db: Annotated[float, Ge(0.0), Le(40.0)] = 3.0
    """dB below the serving cell down to which neighbours are measured"""
    qout_db: Annotated[float, Ge(-30.0), Le(10.0)] = -8.0  # dB, SINR below which the link is out of synchronisation
    qin_db: Annotated[float, Ge(-30.0), Le(10.0)] = -6.0  # dB, SINR above which it is back in it
    t310_ms: Annotated[int, Ge(0), Le(6000)] = 1000  # ms out of synchronisation after which the link has failed
    ping_pong_s: Annotated[float, Ge(0.0), Le(60.0)] = 1.0  # s, a handover back within this time is a ping-pong
    retry_s: Annotated[float, Ge(0.0), Le(600.0)] = 5.0
    """s after a refusal in which the network does not try to hand the user over again (assumed)"""


def check_handover(parameters: HandoverParameters, *, where: str = "") -> None:
    """See whether a link that comes back into synchronisation was out of it before.

    Raises:
        InputError: Qout above Qin: a link between the two would be out and in at once.

    >>> check_handover(HandoverParameters(qout_db=-8.0, qin_db=-8.0))
    """
    if parameters.qout_db > parameters.qin_db:
        raise InputError(
            "handover.qout_db", f"{parameters.qout_db:g}", where=where,
            allowed=f"at most handover.qin_db, which is {parameters.qin_db:g} dB", fix="lower it, or raise qin_db",
        )  # fmt: skip
