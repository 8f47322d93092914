"""Which source says where everyone is: keys of the scenario's table `mobility`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le
from pydantic import StringConstraints

Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$")]


@dataclass(frozen=True)
class MobilityParameters:
    """Where positions come from: the twin's own people, recorded tracks, or a live SUMO scenario."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    source: Literal["own", "tracks", "sumo"] = "own"  # tracks and sumo need the key file
    file: str | None = None  # tracks: .csv, .parquet, .xml of SUMO's FCD output, .gpx; sumo: .sumocfg
    net: str | None = None  # FCD in metres: the .net.xml its positions refer to
    offset_m: tuple[float, float] | None = None  # instead of a projection: where a SUMO net's origin lies in the city
    gap_s: Annotated[float, Ge(0.0), Le(86_400.0)] = 10.0  # tracks: longer without a record, and the user is absent
    begin: Clock | None = None  # tracks: clock time of the first record; as written when left out

    @property
    def begin_s(self) -> int | None:
        """Second of the day at which the first record is placed; None = as written.

        >>> MobilityParameters(begin="07:30").begin_s
        27000
        """
        if self.begin is None:
            return None
        hours, minutes, *seconds = (int(part) for part in self.begin.split(":"))
        return 3600 * hours + 60 * minutes + sum(seconds)
