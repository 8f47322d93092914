"""From what a planner types to a map: the network, what is changed in it, and the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mndt.errors import InputError
from mndt.maps import files, rasters
from mndt.maps.changes import Change, apply, cells_named, is_change, read_change, told
from mndt.maps.rasters import KINDS, Network, Raster

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.scenario import Scenario


def draw_map(
    source: str | Path,
    layer: str,
    out: Path,
    *,
    site: str | None = None,
    cell: str | None = None,
    sets: Sequence[str] = (),
    before: Sequence[str] = (),
    after: Sequence[str] = (),
    outdoors: bool = False,
    load: float = 1.0,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Write one map, or the difference between two.

    Args:
        source: a scenario, a preset or a run folder.
        layer: a name of `KINDS`.
        out: the file; its ending decides between picture, GeoTIFF and KML.
        site, cell: the station that is looked at.
        sets: keys of the scenario and changes of cells that hold throughout.
        before, after: changes of cells on either side of a difference; as built where one is left out.
        outdoors: leave buildings out.
        load: share of their blocks that other cells use, for a SINR.
        say: called with what is about to happen.

    Returns:
        What the map shows, in lines for people.

    Raises:
        InputError: what does not fit, before anything is computed or written.
    """
    files.check_out(out)
    if layer not in KINDS:
        from mndt.errors import unknown_name

        raise unknown_name("--layer", layer, KINDS)
    if not 0.0 <= load <= 1.0:
        raise InputError("--load", load, allowed="0 to 1", fix="give a share of the blocks")
    scenario, city = open_network(source, [text for text in sets if not is_change(text)])
    chosen = cells_named(city, site, cell)
    changes = [
        [read_change(t, city, chosen, name) for t in texts]
        for name, texts in (("--before", before), ("--after", after))
    ]
    held = [read_change(text, city, chosen) for text in sets if is_change(text)]
    first = network_of(scenario, city, held, say=say)
    told_changes = [told(first.city, first.settings, change) for change in (*changes[0], *changes[1])]
    networks = [turned(first, side) if side else first for side in changes]
    changed, kind = any(changes), KINDS[layer]
    shown = () if changed and kind.shared else chosen  # a change concerns neighbours, too
    made = [rasters.raster_of(network, layer, shown, load=load) for network in networks[: 2 if changed else 1]]
    raster = rasters.difference(*made) if changed else made[0]
    if outdoors:
        raster = rasters.masked(raster, ~indoors(city, raster))
    who = f"site {site}" if site else f"cell {cell}" if cell else ""
    where = f" where {who} serves" if kind.shared else f" of {who}"
    title = f"{city.name}: {'change of the ' if changed else ''}{kind.title}{where if who and chosen == shown else ''}"
    facts = rasters.summary(raster)
    if raster.difference and not raster.known.any():
        facts = [*facts, *_idle(networks[-1].city, [change for side in changes for change in side])]
    sheet = files.Sheet(networks[-1].city, raster, title, (*told_changes, *facts), chosen)
    written = files.write(out, sheet)
    return [*told_changes, *facts, f"map: {', '.join(str(path) for path in written)}"]


def export_geotiff(folder: str | Path, out: Path, *, say: Callable[[str], None] = print) -> list[str]:
    """A run's network as built in one GeoTIFF: bands of received power, best server and SINR.

    Raises:
        InputError: no run, or a file that cannot be written.
    """
    _check_ending(out, (".tif", ".tiff"))
    network = _run_network(folder, say)
    made = [rasters.raster_of(network, layer) for layer in ("rsrp", "best-server", "sinr")]
    files.write_geotiff(out, network.city, made, f"{network.city.name}, as built")
    rows, cols = made[0].values.shape
    return [f"{out}: bands {', '.join(raster.kind.name for raster in made)}, {cols} x {rows} pixels"]


def export_kml(folder: str | Path, out: Path, *, say: Callable[[str], None] = print) -> list[str]:
    """A run's cells and the power received from them, as built, for Google Earth.

    Raises:
        InputError: no run, or a file that cannot be written.
    """
    _check_ending(out, (".kml", ".kmz"))
    network = _run_network(folder, say)
    raster = rasters.raster_of(network, "rsrp")
    title = f"{network.city.name}: {raster.kind.title}"
    written = files.write_kml(out, files.Sheet(network.city, raster, title, tuple(rasters.summary(raster))))
    return [f"{', '.join(str(path) for path in written)}: {len(network.city.cells)} cells"]


def _check_ending(out: Path, endings: tuple[str, ...]) -> None:
    files.check_out(out)
    if out.suffix.lower() not in endings:
        raise InputError("--out", f"'{out}'", allowed=f"a file {' or '.join(endings)}", fix="change the ending")


def _run_network(folder: str | Path, say: Callable[[str], None]) -> Network:
    from mndt import runfolder

    run = runfolder.read(folder)
    return network_of(run.scenario, run.city, say=say)


def _idle(city: City, changes: Sequence[Change]) -> list[str]:
    """Why a change changes nothing, where that can be told."""
    for change in changes:
        pattern = city.cells.pattern[change.cells[0]]
        if change.field == "electrical_tilt_deg" and pattern in ("sector", "omni"):
            return [f"electrical tilt turns panels and antenna files, not the pattern {pattern}"]
    return []


def open_network(source: str | Path, sets: Sequence[str] = ()) -> tuple[Scenario, City]:
    """Scenario and city of a run folder, a scenario file or a preset, with keys changed.

    Raises:
        InputError: no such source or key.
    """
    from mndt import runfolder
    from mndt.scenario import load, open_city, set_value

    if (Path(source) / "run.json").is_file():
        run = runfolder.read(source)
        scenario, city = run.scenario, run.city
        for text in sets:
            changed = set_value(scenario, text)
            if changed.city != scenario.city:
                fix = "map the scenario file in place of the run"
                raise InputError("--set", text, allowed="keys that leave the run's city as it is", fix=fix)
            scenario = changed
        return scenario, city
    scenario = load(source)
    for text in sets:
        scenario = set_value(scenario, text)
    return scenario, open_city(scenario.city, scenario.name)


def network_of(
    scenario: Scenario, city: City, changes: Sequence[Change] = (), *, say: Callable[[str], None] = lambda _: None
) -> Network:
    """The city with its gain maps, from the cache or built now, aimed as built and changed."""
    from mndt.radio.aiming import aim
    from mndt.radio.maps import build_maps
    from mndt.world import as_built

    if not len(city.cells):
        raise InputError("cells", 0, allowed="at least 1", fix="give an inventory or let sites be placed")
    city, settings = apply(city, as_built(city), changes)
    say(f"gain maps of {city.name}: {len(city.cells)} cells, {scenario.radio.resolution_m:g} m ...")
    site_maps = build_maps(city, scenario.radio, seed=scenario.city.seed)
    maps = aim(site_maps, city, settings)
    return Network(city, settings, site_maps, maps, scenario.radio.noise_figure_db)


def turned(network: Network, changes: Sequence[Change]) -> Network:
    """The network after changes: only the gains of the cells they speak of are computed anew."""
    from mndt.radio.aiming import re_aim

    city, settings = apply(network.city, network.settings, changes)
    rows = np.unique([row for change in changes for row in change.cells]).astype(np.int32)
    maps = re_aim(network.maps, network.site_maps, city, settings, rows)
    return replace(network, city=city, settings=settings, maps=maps)


def indoors(city: City, raster: Raster) -> np.ndarray:
    """Which pixels of a map lie in buildings."""
    from mndt.city.raster import rasterise

    rows, cols = raster.values.shape
    inside: np.ndarray = rasterise(city.buildings, city.frame, raster.cell_m).building[:rows, :cols] >= 0
    return inside
