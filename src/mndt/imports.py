"""From the user's own map to a city that `mndt run` takes: everything is written, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mndt.city.model import City
from mndt.errors import InputError
from mndt.runfolder import fresh_folder, refuse_existing, write_text


def import_osm(
    file: Path,
    *,
    bbox: str | None,
    sites: Path | None,
    out: Path,
    seed: int = 0,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Read an OpenStreetMap extract and write ``city.npz``, ``cells.csv`` and ``scenario.toml`` to `out`.

    Args:
        file: the extract, ``.osm.pbf``.
        bbox: ``west,south,east,north`` in degrees; None = the whole extract.
        sites: a cell inventory (CSV); without one, sites are placed at the density of Table I.
        out: the folder to make.
        seed: draws the placed sites.
        force: replace a folder an earlier import made.
        say: called with what is about to happen.

    Returns:
        What was found, in lines for people.

    Raises:
        InputError: the map, the box or the inventory does not fit; nothing is written then.
    """
    refuse_existing(out, force, marker="scenario.toml")
    for field, path in (("FILE", file), ("--sites", sites)):
        if path is not None and not path.is_file():
            raise InputError(field, path, allowed="an existing file", fix="check the path")
    say(f"reading {file} ({file.stat().st_size / 1e6:.1f} MB) ...")
    from mndt.city.osm import read_osm
    from mndt.city.sites import write_cells
    from mndt.city.store import save_city
    from mndt.runs import scenario_name
    from mndt.scenario import CitySource, Scenario, dump

    city = read_osm(file, bbox, sites_csv=sites, seed=seed, name=scenario_name(out.resolve().name))
    with fresh_folder(out, replace_existing=force, marker="scenario.toml") as folder:
        save_city(city, folder / "city.npz")
        write_cells(folder / "cells.csv", city)
        source = CitySource(source="file", file="city.npz", sites="cells.csv", seed=seed)
        write_text(folder / "scenario.toml", dump(Scenario(name=city.name, city=source)))
    placed = "placed at the density of Table I; edit cells.csv to change them" if sites is None else f"from {sites}"
    return [*describe(city), f"cells are {placed}", f"run it: mndt run {out / 'scenario.toml'}"]


def describe(city: City) -> list[str]:
    """A city in a few lines: size, counts, share of known heights, attribution."""
    n, sites = len(city.buildings), city.sites
    known = f"{city.buildings.height_known.mean():.0%} of the heights known" if n else "no heights"
    indoor = int(sites.indoor.sum())
    lines = [
        f"{city.name}: {city.frame.width_m:,.0f} x {city.frame.depth_m:,.0f} m",
        f"{n:,} buildings ({known}), {len(city.areas):,} areas",
        f"{city.roads.n_lanes:,} lanes on {city.roads.edge_length_m.sum() / 1e3:.1f} km of road directions,"
        f" {city.footways.edge_length_m.sum() / 2e3:.1f} km of footways",
        f"{len(sites) - indoor:,} outdoor and {indoor:,} indoor stations, {len(city.cells):,} cells",
    ]
    lines += [f"put right: {repair}" for repair in city.repairs]
    return [*lines, city.attribution] if city.attribution else lines
