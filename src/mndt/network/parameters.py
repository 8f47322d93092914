"""What the user can set about the radio access network's own functions, with ranges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le


@dataclass(frozen=True)
class NetworkParameters:
    """What the radio access network's own functions are set to."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    patience_s: Annotated[float, Ge(1), Le(3600)] = 10.0  # s of a service's mean rate; more backlog is given up
    rate_memory_s: Annotated[float, Ge(1), Le(3600)] = 10.0  # s, window of the past rate for proportional fairness
