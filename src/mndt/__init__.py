"""mndt: an open digital twin of a city's mobile network.

Five lines from a map to a report::

    import mndt

    city = mndt.read_osm("city.osm.pbf", (24.935, 60.164, 24.953, 60.179))
    run = mndt.run(city, policy="proportional-fair", minutes=10)
    print(run.summary)
    mndt.write_report([run], "report.html")

Names load when first used, so ``import mndt`` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mndt.city.model import City
    from mndt.city.osm import helsinki, read_osm
    from mndt.city.synthetic import synthetic_city
    from mndt.engine import step
    from mndt.errors import InputError
    from mndt.optimise.policy import make_policy
    from mndt.queries import rate_if
    from mndt.references import citation
    from mndt.report import write_report
    from mndt.runs import Run, compare, resume, run
    from mndt.runs import read as read_run
    from mndt.scenario import Scenario
    from mndt.scenario import load as load_scenario
    from mndt.state import Action, CellSettings, Kpis, NetworkState
    from mndt.streams import Streams
    from mndt.world import World, build_world, start

__version__ = "0.1.0"

_HOMES: Final = {
    "Action": "mndt.state",
    "CellSettings": "mndt.state",
    "City": "mndt.city.model",
    "InputError": "mndt.errors",
    "Kpis": "mndt.state",
    "NetworkState": "mndt.state",
    "Run": "mndt.runs",
    "Scenario": "mndt.scenario",
    "Streams": "mndt.streams",
    "World": "mndt.world",
    "build_world": "mndt.world",
    "citation": "mndt.references",
    "compare": "mndt.runs",
    "helsinki": "mndt.city.osm",
    "load_scenario": "mndt.scenario:load",
    "make_policy": "mndt.optimise.policy",
    "rate_if": "mndt.queries",
    "read_osm": "mndt.city.osm",
    "read_run": "mndt.runs:read",
    "resume": "mndt.runs",
    "run": "mndt.runs",
    "start": "mndt.world",
    "step": "mndt.engine",
    "synthetic_city": "mndt.city.synthetic",
    "write_report": "mndt.report",
}

__all__ = [
    "Action",
    "CellSettings",
    "City",
    "InputError",
    "Kpis",
    "NetworkState",
    "Run",
    "Scenario",
    "Streams",
    "World",
    "build_world",
    "citation",
    "compare",
    "helsinki",
    "load_scenario",
    "make_policy",
    "rate_if",
    "read_osm",
    "read_run",
    "resume",
    "run",
    "start",
    "step",
    "synthetic_city",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mndt' has no attribute {name!r}")
    module, _, original = _HOMES[name].partition(":")
    value = getattr(import_module(module), original or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
