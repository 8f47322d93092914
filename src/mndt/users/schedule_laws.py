"""The laws of the rule-based schedules: published ones as default, or fitted to a diary or a matrix.

Sources of the published ones: chain shares, departures and mode thresholds as shipped with the open demand
toolchain mosstool; staying times and exploration by Song et al. (doi:10.1038/nphys1760).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float64, Int32

from mndt.errors import InputError

Array = np.ndarray

FORMAT: Final = "mndt schedule laws 1"

CHAINS: Final[tuple[tuple[str, float], ...]] = (
    ("HWH", 0.1879),
    ("HWHOH", 0.2003),  # published as HWH+
    ("HWOWH", 0.1376),  # HW+WH
    ("HWHWH", 0.0109),
    ("HWHWHOH", 0.0143),  # HWHWH+
    ("HSH", 0.0310),
    ("HSHOH", 0.0336),  # HSH+
    ("HOH", 0.1091),
    ("HOHOH", 0.1145),  # HOH+
)
"""Activity chains (H home, W work, S study, O other) and their shares of all people on a weekday."""

WEEKEND: Final = {"W": 0.2, "S": 0.0, "O": 1.8}
"""Factors on the shares of chains with work, with study, and with neither at weekends; assumed."""


@dataclass(frozen=True)
class Normal:
    """A truncated normal law, hours: of the clock, or of a wait."""

    mean_h: float
    sigma_h: float
    low_h: float
    high_h: float


@dataclass(frozen=True)
class Stay:
    """Stays of exploration and preferential return: density ~ t^-(1 + beta) exp(-t / tau) above the least."""

    least_s: float = 1200.0
    beta: float = 0.8
    tau_s: float = 17 * 3600.0


@dataclass(frozen=True)
class Matrix:
    """Trips between zones; a zone is where its centre is nearest. Degrees, or metres in the city's frame."""

    centre: tuple[tuple[float, float], ...]  # of the zones
    in_degrees: bool
    origin: tuple[int, ...]  # rows of zones
    target: tuple[int, ...]
    trips: tuple[float, ...]


@dataclass(frozen=True)
class ScheduleLaws:
    """Everything the rules draw from. `chains` begin and end with H; what their shares leave to 1 stays home."""

    chains: tuple[str, ...] = tuple(chain for chain, _ in CHAINS)
    weekday_shares: tuple[float, ...] = tuple(share for _, share in CHAINS)
    weekend_shares: tuple[float, ...] = tuple(
        share * WEEKEND["S" if "S" in chain else "W" if "W" in chain else "O"] for chain, share in CHAINS
    )
    to_work: Normal = Normal(8.0, 2.0, 4.0, 13.0)
    from_work: Normal = Normal(17.0, 2.0, 11.0, 23.0)
    at_noon: Normal = Normal(12.25, 0.75, 10.5, 14.5)  # out of work and back later; assumed
    back_to_work: Normal = Normal(0.9, 0.3, 0.3, 2.0)  # a wait; assumed
    first_out: Normal = Normal(11.5, 3.0, 6.0, 21.0)  # of a day without work; assumed
    out_again: tuple[float, float] = (0.5, 1.5)  # least and mean further hours at home; assumed
    errand: Stay = Stay()
    least_stay_s: float = 600.0  # shortest planned stay between two trips; ours
    travel: tuple[float, float] | None = None  # seconds a, exponent b: a trip of d km lasts a * d^b; None: by mode
    gravity: dict[str, float] = field(default_factory=dict)  # exponents by letter; missing: the parameter's
    explore: float | None = None  # share of errands to new places; None: rho * S^-gamma
    walk_m: float | None = None  # thresholds of the modes; None: the parameters'
    bicycle_m: float | None = None
    mode_edges_m: tuple[float, ...] = ()  # bands of distance ...
    mode_shares: tuple[tuple[float, float, float], ...] = ()  # ... and shares of walk, bicycle, car in each
    matrix: Matrix | None = None
    commuter_share: float | None = None  # None: the parameters'
    passer_share: float | None = None

    def shares(self, *, weekend: bool) -> Float64[Array, "chains"]:
        """Shares of the chains on a day."""
        return np.array(self.weekend_shares if weekend else self.weekday_shares)


def save(laws: ScheduleLaws, path: Path) -> None:
    """Write laws as JSON, whole or not at all."""
    from mndt.files import whole_file

    with whole_file(path) as part:
        part.write_text(json.dumps({"format": FORMAT, **asdict(laws)}, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> ScheduleLaws:
    """Read laws.

    Raises:
        InputError: no such file, or it is none that `mndt fit schedule` wrote.
    """
    allowed, fix = "a file that `mndt fit schedule` wrote", "fit it again"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError("schedule", f"{path} ({type(error).__name__})", allowed=allowed, fix=fix) from None
    if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
        raise InputError("schedule", path, allowed=allowed, fix=fix)
    try:
        laws = _from_plain(raw)
        _check(laws)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise InputError("schedule", f"{path} ({' '.join(str(error).split())})", allowed=allowed, fix=fix) from None
    return laws


def _from_plain(raw: dict[str, Any]) -> ScheduleLaws:
    kinds: dict[str, Any] = {
        "to_work": Normal, "from_work": Normal, "at_noon": Normal, "back_to_work": Normal, "first_out": Normal,
        "errand": Stay, "matrix": Matrix,
    }  # fmt: skip
    given = {}
    for name, value in raw.items():
        if name in kinds and value is not None:
            value = kinds[name](**{key: _tuples(item) for key, item in value.items()})
        given[name] = _tuples(value)
    return replace(ScheduleLaws(), **given)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _check(laws: ScheduleLaws) -> None:
    for shares in (laws.weekday_shares, laws.weekend_shares):
        if len(shares) != len(laws.chains) or min(shares, default=0.0) < 0 or sum(shares) > 1.0 + 1e-9:
            raise ValueError("chain shares must be 0 or more and add up to at most 1")
    for chain in laws.chains:
        if len(chain) < 2 or chain[0] != "H" or chain[-1] != "H" or set(chain) - set("HWSO"):
            raise ValueError(f"chain {chain} must begin and end with H and hold H, W, S, O only")
    for law in (laws.to_work, laws.from_work, laws.at_noon, laws.back_to_work, laws.first_out):
        if not (law.sigma_h > 0 and law.low_h < law.high_h):
            raise ValueError("normal laws need sigma above 0 and low below high")
    if not (laws.errand.least_s > 0 and laws.errand.tau_s > 0):
        raise ValueError("stays need positive times")
    m = laws.matrix
    if m is not None and not (len(m.origin) == len(m.target) == len(m.trips) and m.centre):
        raise ValueError("the matrix needs zones, and origin, target and trips of one length")


def classes(laws: ScheduleLaws) -> tuple[float, float]:
    """Shares of people who work and who study: all of them but for those who stay home that day.

    >>> w, s = classes(ScheduleLaws())
    >>> round(w, 3), round(s, 3)
    (0.658, 0.077)
    """
    shares = laws.shares(weekend=False)
    out = max(float(shares.sum()), 1e-9)
    study = np.array(["S" in chain for chain in laws.chains])
    work = np.array(["W" in chain for chain in laws.chains]) & ~study
    return float(shares[work].sum()) / out, float(shares[study].sum()) / out


def draw_chains(
    laws: ScheduleLaws, kind: Int32[Array, "n"], *, weekend: bool, rng: np.random.Generator
) -> Int32[Array, "n"]:
    """A chain for each person, -1 stays home, so that the day's shares hold over all people.

    Args:
        laws: the shares.
        kind: 0 neither, 1 works, 2 studies, see `classes`; only who works has chains with work.
        weekend: whether it is one.
        rng: draws two numbers a person.
    """
    shares = laws.shares(weekend=weekend)
    study = np.array(["S" in chain for chain in laws.chains])
    work = np.array(["W" in chain for chain in laws.chains]) & ~study
    people = np.array([1.0, *classes(laws)])
    u, v = rng.random(len(kind)), rng.random(len(kind))
    out = np.full(len(kind), -1, np.int32)
    open_ = np.ones(len(kind), bool)
    for number, those in ((1, work), (2, study)):
        total = float(shares[those].sum())
        goes = (kind == number) & (u < min(total / max(people[number], 1e-9), 1.0))
        if goes.any():
            out[goes] = _by_share(np.where(those, shares, 0.0), v[goes], total)
        open_ &= ~goes
    rest = np.where(work | study, 0.0, shares)
    left = 1.0 - float(shares[work | study].sum())
    out[open_] = _by_share(rest, v[open_], max(left, 1e-12))
    return out


def _by_share(shares: Array, u: Array, total: float) -> Array:
    """Rows by inverse distribution function; -1 above the sum of the shares."""
    edges = np.cumsum(shares) / total
    row = np.searchsorted(edges, u, side="right")
    # where the shares make up everything, rounding must leave nobody over
    whole = edges[-1] > 1.0 - 1e-9
    last = int(np.flatnonzero(shares > 0)[-1]) if shares.any() else -1
    return np.where(row < len(shares), row, last if whole else -1).astype(np.int32)
