"""`mndt bench sleep`: how long a decision over 100,000 cells takes, and how long the oracle of a week."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from mndt.checks.output import Figure, Result
from mndt.learn import traffic_quantiles
from mndt.optimise.sleep import rules
from mndt.optimise.sleep.fleet import Fleet
from mndt.optimise.sleep.learned import looking_ahead
from mndt.optimise.sleep.oracle import oracle
from mndt.optimise.sleep.outlook import Outlook, character, features
from mndt.optimise.sleep.problem import Method, Moment, Setting, play, serve
from mndt.optimise.sleep.scenario import fleet_for
from mndt.optimise.sleep.scores import price_of
from mndt.users.demand.observed import Observed
from mndt.users.demand.patterns import generate, load

Array = np.ndarray

PLACES: Final = 25_000
"""With four cells each on average."""
QUICK_PLACES: Final = 2_500
SLOTS: Final = 12
REPEATS: Final = 3
WEEK: Final = (28, 11)  # groups, grids of a group: about 1,240 cells
BOUND_ROUNDS: Final = 30


def run(*, quick: bool = False) -> Result:
    """Time every method's decision for a slot in the middle of a day, and the oracle.

    Args:
        quick: a tenth of the cells, and three days of a quarter of the places for the oracle.

    Figures: `cells`; `ms_*` of a decision by method, after some slots of the method's own; `s_100000_cells`, that of
    ours with the past known, in proportion to 100,000 cells; `ms_slot`, serving it; `s_oracle` (its course) and
    `s_bound` (course and proof), `oracle_cells`, `oracle_gap`. Processor time of one thread, least of several.
    """
    observed = _many(QUICK_PLACES if quick else PLACES)
    fleet = fleet_for(observed, 0)
    figures: dict[str, Figure] = {"cells": len(fleet.grid)}
    for name, (setting, method) in _methods(fleet, observed).items():
        figures[f"ms_{name}"] = _ms(fleet, observed, setting, method)
    moment = _middle(fleet, observed, Setting.RESERVE, rules.minimal(fleet))
    demand = observed.traffic[:, -1]
    figures["ms_slot"] = _least(lambda: serve(fleet, moment.status, moment.status, demand, Setting.RESERVE))
    figures["s_100000_cells"] = float(figures["ms_ours"] or 0.0) / 1e3 * 1e5 / len(fleet.grid)
    figures |= _oracle(quick)
    return Result("sleep", figures, seeds=[0], note="One thread, processor time.")


def _many(places: int) -> Observed:
    """Half a day of many places, lognormal around one course."""
    rng = np.random.default_rng(0)
    course = 1.2 + np.sin(2.0 * np.pi * (np.arange(SLOTS) / 48.0))
    size = np.exp(rng.standard_normal((places, 1)))
    return Observed(
        100.0 * size * course * np.exp(0.4 * rng.standard_normal((places, SLOTS))), np.arange(places) // 16, 1800
    )


def _methods(fleet: Fleet, observed: Observed) -> dict[str, tuple[Setting, Method]]:
    """Networks are not trained: they take as long."""
    known, price = character(observed.traffic), price_of(fleet, observed.traffic)
    width = features(known, observed.traffic[:, :4], observed.group, 0.0, 1).shape[1]
    weights = tuple(traffic_quantiles.start_weights(width, seed) for seed in range(6))
    outlook = Outlook(known, observed.group, 48, weights, np.zeros((6, len(observed)), bool))
    return {
        "peng": (Setting.KNOWN, rules.minimal(fleet)),
        "greedy": (Setting.KNOWN, rules.dropping(fleet)),
        "myopic": (Setting.KNOWN, rules.myopic(fleet, Setting.KNOWN)),
        "ours": (Setting.CAUSAL, rules.weighing(fleet, Setting.CAUSAL, price, outlook.distribution)),
        "ours_reserve": (Setting.RESERVE, rules.weighing(fleet, Setting.RESERVE, price, outlook.distribution)),
        "ours_known": (Setting.KNOWN, looking_ahead(fleet, outlook)),
    }


def _middle(fleet: Fleet, observed: Observed, setting: Setting, method: Method) -> Moment:
    """The last slot, as the method comes to it."""
    outcome = play(fleet, observed.traffic[:, :-1], setting, method, begin=SLOTS - 2)
    known = observed.traffic[:, -1] if setting.knows else None
    return Moment(SLOTS - 1, SLOTS - 1, observed.traffic[:, -5:-1], known, outcome.status[-1])


def _ms(fleet: Fleet, observed: Observed, setting: Setting, method: Method) -> float:
    moment = _middle(fleet, observed, setting, method)
    return _least(lambda: method(moment))


def _least(call: Callable[[], object]) -> float:
    took = []
    for _ in range(REPEATS):
        began = time.process_time()
        call()
        took.append(time.process_time() - began)
    return 1e3 * min(took)


def _oracle(quick: bool) -> dict[str, Figure]:
    """A week of about 1,240 cells."""
    groups, days = (7, 3) if quick else (WEEK[0], 7)
    observed = generate(load("nanchang"), [WEEK[1]] * groups, np.random.default_rng(0), slots=48 * days)
    fleet = fleet_for(observed, 0)
    oracle(fleet, observed.traffic[:, :5], rounds=1)  # compiles
    took = []
    for rounds in (0, BOUND_ROUNDS):
        began = time.process_time()
        found = oracle(fleet, observed.traffic, rounds=rounds)
        took.append(time.process_time() - began)
    return {"s_oracle": took[0], "s_bound": took[1], "oracle_cells": len(fleet.grid), "oracle_gap": found.gap}
