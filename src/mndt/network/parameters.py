"""What the user can set about the radio access network's own functions, with ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from mndt.errors import InputError


@dataclass(frozen=True)
class NetworkParameters:
    """What the radio access network's own functions are set to."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    patience_s: Annotated[float, Ge(1), Le(3600)] = 10.0  # s of a service's mean rate; more backlog is given up
    rate_memory_s: Annotated[float, Ge(1), Le(3600)] = 10.0  # s, window of the past rate for proportional fairness
    rate_law: Literal["shannon", "64qam", "256qam", "truncated"] = "shannon"
    """What a SINR is worth: Shannon's law (the paper's), the tables of TS 38.214 up to 64QAM or 256QAM,
    or truncated Shannon of TR 36.942."""
    snr_gap_db: Annotated[float, Ge(0), Le(20)] = 0.0
    """By how many dB a code misses Shannon's limit; 0 is an ideal code. Not for the law truncated."""


def check_network(parameters: NetworkParameters, *, where: str = "") -> None:
    """See whether the rate law and the gap to Shannon's limit fit together.

    Raises:
        InputError: a gap with the law truncated, which has its own.

    >>> check_network(NetworkParameters(rate_law="64qam", snr_gap_db=2.0))
    """
    if parameters.rate_law == "truncated" and parameters.snr_gap_db > 0:
        raise InputError(
            "network.snr_gap_db", f"{parameters.snr_gap_db:g}", allowed="0 dB with network.rate_law truncated",
            fix="leave one of them out: truncated has its losses in it", where=where,
        )  # fmt: skip
