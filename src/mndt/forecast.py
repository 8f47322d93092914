"""What a run will take in time and memory, told before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.scenario import Scenario

SECONDS_PER_LINK: Final = 15e-9
"""One user and cell in one step, measured on one 2.x GHz core."""
SECONDS_PER_STEP: Final = 3e-3
"""Fixed costs of a step."""
COMPILE_S: Final = 10.0
"""Compiling or loading the kernels."""
BYTES_PER_LINK: Final = 8.0
"""Working memory of one user and cell."""
LIBRARIES_BYTES: Final = 4e8
"""What Python and its libraries take by themselves."""


@dataclass(frozen=True)
class Forecast:
    """What a run will take, from the sizes alone."""

    users: int
    cells: int
    steps: int
    maps_s: float  # building gain maps, where they are not in the cache
    maps_bytes: float
    steps_s: float
    bytes: float

    @property
    def sentence(self) -> str:
        """For the user, before long work."""
        return (
            f"{self.steps:,} steps of {self.users:,} users and {self.cells:,} cells: about {_duration(self.steps_s)}"
            f" and {self.bytes / 1e9:.1f} GB; gain maps, once, about {_duration(self.maps_s)}"
            f" and {self.maps_bytes / 1e6:.0f} MB."
        )


def forecast(scenario: Scenario, city: City) -> Forecast:
    """Estimate time and memory of a run before anything is built."""
    from mndt.radio.maps import estimate
    from mndt.users.population import PAPER_USERS_PER_KM2

    count = scenario.users.count
    n_users = round(city.frame.area_km2 * PAPER_USERS_PER_KM2) if count is None else count
    n_cells, steps = len(city.cells), scenario.run.steps
    maps_s, maps_mb = estimate(city, scenario.radio)
    steps_s = COMPILE_S + steps * (SECONDS_PER_STEP + SECONDS_PER_LINK * n_users * n_cells)
    memory = LIBRARIES_BYTES + maps_mb * 1e6 + BYTES_PER_LINK * n_users * n_cells
    return Forecast(n_users, n_cells, steps, maps_s, maps_mb * 1e6, steps_s, memory)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
