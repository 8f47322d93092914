"""`mndt validate demand`: generated traffic of places the generators never saw, beside the real ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mndt.checks._demand_features import acf, features, judges, nearest_days, step_divergence
from mndt.checks._demand_rivals import RIVALS, Generator
from mndt.checks.output import Figure, Result, aligned
from mndt.checks.reference_data import reference_file
from mndt.errors import InputError
from mndt.parallel import track
from mndt.state import Users
from mndt.streams import Streams
from mndt.users.demand import OwnDemand, random_clusters
from mndt.users.demand.fitting import dispersion_law, fit_patterns
from mndt.users.demand.observed import Observed
from mndt.users.demand.patterns import generate
from mndt.users.population import CLUSTERS

Array = np.ndarray

SPLITS: Final = 10
QUICK_SPLITS: Final = 1
HELD_OUT: Final = 10 / 28
"""Share of the groups that no generator sees."""
LEAST_GROUPS: Final = 6
LEAST_SERIES: Final = 30


@dataclass(frozen=True)
class Score:
    """One generator on one split."""

    jsd_diff: float
    acf_day_error: float
    acf1_error: float
    nearest_day: float
    auc_forest: float
    auc_boosting: float

    @property
    def auc(self) -> float:
        """The judge that tells better counts."""
        return max(self.auc_forest, self.auc_boosting)


def ours(train: Observed, sizes: list[int], rng: np.random.Generator) -> Array:
    """The generator of the twin, fitted to the training series."""
    return generate(fit_patterns(train), sizes, rng, slots=train.traffic.shape[1]).traffic


GENERATORS: Final[dict[str, Generator]] = {**RIVALS, "ours": ours}


def run(
    *, data: Path | None = None, splits: int | None = None, quick: bool = False, observed: Observed | None = None
) -> Result:
    """Generate traffic for places held out, and judge it.

    Args:
        data: folder with nanchang_week.npz; None = the one MNDT_DATA names.
        splits: how often places are split anew; None = 10, or 1 when quick.
        quick: within a minute.
        observed: series to use instead of the week of Nanchang.

    Figures per generator: Jensen-Shannon divergence of first differences, errors of the autocorrelation at a
    day and at a slot, distance to the nearest training day (the real places' own is `nearest_day_real`), and the
    area under the curve of the better of two trained judges; means over the splits, `auc_interval_*` is half the
    95 % interval of that mean over splits. `*_to_resample` are our errors by those of other real places.

    Raises:
        InputError: no data, or too few places to hold some out.
    """
    table = nanchang(reference_file("nanchang_week.npz", data)) if observed is None else observed
    n = splits or (QUICK_SPLITS if quick else SPLITS)
    found: dict[str, list[Score]] = {name: [] for name in GENERATORS}
    nearest_real = []
    for k, (train, test) in enumerate(track(list(split(table, n)), "splits")):
        nearest_real.append(nearest_days(test.traffic, train.traffic, table.slots_per_day, table.quantum))
        for name, generator in GENERATORS.items():
            found[name].append(score(generator, train, test, k))
    figures: dict[str, Figure] = {"nearest_day_real": float(np.mean(nearest_real))}
    for name, scores in found.items():
        figures |= _means(name, scores)
    for key in ("jsd_diff", "acf_day_error", "acf1_error"):
        figures[f"{key}_to_resample"] = _number(figures, f"{key}_ours") / _number(figures, f"{key}_resample")
    figures |= {"splits": n, "places": len(np.unique(table.group)), "series": len(table)}
    figures["user_cv_ours"] = user_cv(table.slot_s)
    law = dispersion_law(table)
    if len(law):
        figures |= {"user_cv_real": float(np.sqrt(law[0])), "user_dispersion_exponent_real": float(law[1])}
    return Result("demand", figures, seeds=list(range(n)), table=_table(figures))


def user_cv(slot_s: int, n_users: int = 4000, time_s: int = 20 * 3600) -> float:
    """Coefficient of variation of what a user of the twin asks for in one slot, mean over the clusters of users."""
    streams, zero = Streams(0), np.zeros(n_users, np.float32)
    users = Users(zero, zero, zero, np.zeros(n_users, np.int8), np.zeros(n_users, np.int32))
    demand = OwnDemand(random_clusters(n_users, streams))
    memory, bits = demand.start(users, time_s, streams), np.zeros(n_users)
    for k in range(slot_s):
        memory, now = demand.step(memory, users, time_s + k, streams)
        bits += now.bits
    parts = [bits[demand.cluster == c] for c in range(len(CLUSTERS))]
    return float(np.mean([part.std() / part.mean() for part in parts]))


def nanchang(path: Path) -> Observed:
    """The first week of the 307 active cells of Nanchang; cells of one place are neighbours.

    The upstream validation and test tiles are the same places a week later and overlap in time, so
    they are left out; inactive cells are missing data, not silence.
    """
    with np.load(path, allow_pickle=False) as held:
        keep = held["active"] & (held["start_slot"] == 0)
        return Observed(
            held["traffic"][keep].astype(np.float64), held["place"][keep].astype(np.int64),
            int(held["slot_minutes"]) * 60, held["users"][keep].astype(np.float64),
        )  # fmt: skip


def split(observed: Observed, n: int) -> Iterator[tuple[Observed, Observed]]:
    """Training and test series, whole groups apart.

    Raises:
        InputError: too few groups or series.
    """
    groups = np.unique(observed.group)
    if len(groups) < LEAST_GROUPS or len(observed) < LEAST_SERIES:
        raise InputError(
            "places", f"{len(groups)} groups of {len(observed)} series",
            allowed=f"at least {LEAST_GROUPS} groups and {LEAST_SERIES} series",
            fix="give more, so that some can be held out",
        )  # fmt: skip
    held = max(2, round(HELD_OUT * len(groups)))
    for k in range(n):
        test = np.isin(observed.group, np.random.default_rng([0, k]).permutation(groups)[:held])
        yield observed.take(~test), observed.take(test)


def score(generator: Generator, train: Observed, test: Observed, seed: int) -> Score:
    """What one generator makes of one split; it is told the sizes of the test groups and nothing else of them."""
    q, s = train.quantum, train.slots_per_day
    _, sizes = np.unique(test.group, return_counts=True)
    made = generator(train, sizes.tolist(), np.random.default_rng(seed))
    y, y_real = np.log(made + q), np.log(test.traffic + q)
    forest, boosting = judges(features(test.traffic, s, q), features(made, s, q), seed)
    return Score(
        step_divergence(made, test.traffic, q),
        abs(float(acf(y, s).mean() - acf(y_real, s).mean())),
        abs(float(acf(y, 1).mean() - acf(y_real, 1).mean())),
        nearest_days(made, train.traffic, s, q), forest, boosting,
    )  # fmt: skip


def _means(name: str, scores: list[Score]) -> dict[str, Figure]:
    from scipy import stats

    keys = ("jsd_diff", "acf_day_error", "acf1_error", "nearest_day", "auc_forest", "auc_boosting", "auc")
    out: dict[str, Figure] = {f"{key}_{name}": float(np.mean([getattr(s, key) for s in scores])) for key in keys}
    auc = [s.auc for s in scores]
    if len(auc) > 1:
        error = np.std(auc, ddof=1) / np.sqrt(len(auc))
        out[f"auc_interval_{name}"] = float(stats.t.ppf(0.975, len(auc) - 1) * error)
    return out


def _number(figures: dict[str, Figure], key: str) -> float:
    value = figures[key]
    assert isinstance(value, float)
    return value


def _table(figures: dict[str, Figure]) -> str:
    rows = [["", "JSD of steps", "ACF a day", "ACF a slot", "nearest day", "forest", "boosting", "AUC"]]
    keys = ("jsd_diff", "acf_day_error", "acf1_error", "nearest_day", "auc_forest", "auc_boosting", "auc")
    for name in GENERATORS:
        rows.append([name, *(f"{_number(figures, f'{key}_{name}'):.4f}" for key in keys)])
    rows.append(["real places", "0", "0", "0", f"{_number(figures, 'nearest_day_real'):.4f}", "", "", ""])
    lines = [aligned(rows)]
    ratios = [
        f"{key} {_number(figures, f'{key}_to_resample'):.2f}" for key in ("jsd_diff", "acf_day_error", "acf1_error")
    ]
    lines.append(f"ours by resampling other real places: {', '.join(ratios)}")
    if "user_cv_real" in figures:
        real, own = _number(figures, "user_cv_real"), _number(figures, "user_cv_ours")
        lines.append(f"variation of a user's slot: {real:.2f} by the law of dispersion, {own:.2f} of the twin's users")
    lines.append(f"means over {figures['splits']} splits of {figures['places']} places")
    return "\n".join(lines)
