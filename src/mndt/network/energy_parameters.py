"""What cells consume, class by class, and how long they take to wake up, with ranges.

Watts are those of EARTH: G. Auer et al., "How much energy is needed to run a wireless network?",
IEEE Wireless Communications 18(5), 2011, doi:10.1109/MWC.2011.6056691, table 2; they are per
transceiver chain, and EARTH's reference sites have two chains per sector. The baseband part is
table 1's share of P_0. Wake-up times and energies: 3GPP TR 38.864 V18.1.0 clause 5.1, tables
5.1-3 to 5.1-5, base stations of category 2. docs/energy.md has the reckoning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, Lt

from mndt.city.schema import ENERGY_CLASSES
from mndt.errors import InputError

Watts = Annotated[float, Ge(0.0), Le(100_000.0)]
Slope = Annotated[float, Ge(0.0), Le(100.0)]
Share = Annotated[float, Ge(0.0), Lt(1.0)]


@dataclass(frozen=True)
class CellPower:
    """What a cell of one energy class consumes."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    chains: Annotated[int, Ge(1), Le(1024)]  # transceiver chains of one cell
    idle_w: Watts  # P_0 of one chain: on, nothing transmitted, everything included
    slope: Slope  # Delta_p: W consumed for each W transmitted by the cell
    sleep_w: Watts  # P_sleep of one chain, everything included
    baseband_w: Watts  # of idle_w and sleep_w: baseband of one chain at the mains, without its cooling
    cooling_share: Share  # of all that is consumed: active cooling


@dataclass(frozen=True)
class MacroPower(CellPower):
    """What a cell of class macro consumes."""

    chains: Annotated[int, Ge(1), Le(1024)] = 2
    idle_w: Watts = 130.0
    slope: Slope = 4.7
    sleep_w: Watts = 75.0
    baseband_w: Watts = 35.1
    cooling_share: Share = 0.1


@dataclass(frozen=True)
class RrhPower(CellPower):
    """What a cell of class rrh (remote radio head) consumes."""

    chains: Annotated[int, Ge(1), Le(1024)] = 2
    idle_w: Watts = 84.0
    slope: Slope = 2.8
    sleep_w: Watts = 56.0
    baseband_w: Watts = 34.8
    cooling_share: Share = 0.0


@dataclass(frozen=True)
class MicroPower(CellPower):
    """What a cell of class micro consumes."""

    chains: Annotated[int, Ge(1), Le(1024)] = 2
    idle_w: Watts = 56.0
    slope: Slope = 2.6
    sleep_w: Watts = 39.0
    baseband_w: Watts = 32.1
    cooling_share: Share = 0.0


@dataclass(frozen=True)
class PicoPower(CellPower):
    """What a cell of class pico consumes."""

    chains: Annotated[int, Ge(1), Le(1024)] = 2
    idle_w: Watts = 6.8
    slope: Slope = 4.0
    sleep_w: Watts = 4.3
    baseband_w: Watts = 3.7
    cooling_share: Share = 0.0


@dataclass(frozen=True)
class EnergyParameters:
    """What stations consume, and how long their cells take to wake up."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    cooling_factor: Annotated[float, Ge(0.0), Le(5.0)] | None = None
    """W of cooling for each W of equipment in classes with a cooling_share; left out: as that share says"""

    sleep_share: Annotated[float, Ge(0.0), Le(1.0)] = 1.0
    """share of a sleeping radio unit's power (sleep_w without baseband) that remains; less than 1 for a deeper sleep"""

    sleep_wake_s: Annotated[float, Ge(0.0), Le(3600.0)] = 0.64  # s from sleep until the cell serves, rounded up
    off_wake_s: Annotated[float, Ge(0.0), Le(3600.0)] = 10.0  # s from off until the cell serves, rounded up
    sleep_cycle_s: Annotated[float, Ge(0.0), Le(60.0)] = 0.034
    """energy of going to sleep and coming back, in s at full load; charged at wake-up"""

    off_cycle_s: Annotated[float, Ge(0.0), Le(60.0)] = 0.53
    """energy of switching off and on again, in s at full load; charged at wake-up"""

    macro: MacroPower = MacroPower()
    rrh: RrhPower = RrhPower()
    micro: MicroPower = MicroPower()
    pico: PicoPower = PicoPower()

    def of_class(self, name: str) -> CellPower:
        """The row of an energy class (`mndt.city.schema.ENERGY_CLASSES`)."""
        rows: dict[str, CellPower] = {
            "macro": self.macro,
            "rrh": self.rrh,
            "micro": self.micro,
            "pico": self.pico,
        }
        return rows[name]


def check_energy(parameters: EnergyParameters, *, where: str = "") -> None:
    """See whether the parts of each class fit into the whole.

    Raises:
        InputError: a baseband that consumes more than an idle or sleeping cell.
    """
    for name in ENERGY_CLASSES:
        row = parameters.of_class(name)
        most_w = min(row.idle_w, row.sleep_w) * (1.0 - row.cooling_share)
        if row.baseband_w > most_w * (1 + 1e-9):
            raise InputError(
                f"energy.{name}.baseband_w",
                row.baseband_w,
                allowed=f"at most {most_w:g}, which is the smaller of idle_w and sleep_w without its cooling",
                fix="lower it, or raise those",
                where=where,
            )
