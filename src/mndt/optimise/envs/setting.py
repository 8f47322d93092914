"""What a compact study is set to: its size, its laws of radio, sharing and movement, checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike

from mndt.errors import InputError, unknown_name
from mndt.radio.pathloss import loss_law
from mndt.units import THERMAL_NOISE_DBM_PER_HZ, db_to_linear, linear_to_db

Array = np.ndarray


class Size(NamedTuple):
    """How much of everything a named size has."""

    n_users: int
    n_cells: int
    side_m: tuple[float, float]  # east-west, north-south


SIZES: Final[dict[str, Size]] = {
    "small": Size(5, 3, (200.0, 200.0)),
    "medium": Size(15, 7, (200.0, 300.0)),
    "large": Size(30, 13, (300.0, 300.0)),
}
"""The sizes of mobile-env's scenarios of the same names."""

PHYSICS: Final = ("umi", "mobile-env")
MODES: Final = ("multi", "single")
SHARES: Final = ("resource-fair", "rate-fair", "proportional")
"""How a cell's time is shared: equal times, times for equal rates, or times in proportion to each link's rate."""

RULE: Final = np.dtype(
    [
        ("width_m", "f4"), ("height_m", "f4"), ("step_m", "f4"),
        ("near", "f4"), ("near_slope", "f4"), ("far", "f4"), ("far_slope", "f4"), ("bend_m2", "f4"), ("rise_m2", "f4"),
        ("least_snr", "f4"), ("bandwidth", "f8"), ("leave", "f4"), ("arrive", "f4"),
        ("mode", "i4"), ("share", "i4"), ("interference", "i4"), ("broadcast", "i4"), ("episode_steps", "i4"),
    ]
)  # fmt: skip
"""The laws as the kernel takes them. ``log2(SNR) = near + near_slope log2(slant_m^2)`` up to the bend,
`far` and `far_slope` beyond; `bandwidth` in units of rate; `leave` and `arrive` are chances a step."""

_RANGES: Final[Mapping[str, tuple[float, float, str]]] = {
    "n_users": (1, 100_000, ""),
    "n_cells": (1, 10_000, ""),
    "speed_mps": (0.0, 1e6, " m/s"),
    "power_dbm": (-50.0, 60.0, " dBm"),
    "bandwidth_hz": (1e3, 1e10, " Hz"),
    "carrier_ghz": (0.5, 100.0, " GHz"),
    "least_snr_db": (-100.0, 100.0, " dB"),
    "episode_steps": (2, 1_000_000, ""),
    "stay_s": (1.0, 1e6, " s"),
    "away_s": (1.0, 1e6, " s"),
}

NOISE_FIGURE_DB: Final = 9.0
"""Of a phone: the usual assumption of 3GPP studies (TR 38.901 table 7.8-1)."""

SITE_HEIGHT_M: Final = 10.0
"""TR 38.901 table 7.2-1, UMi street canyon."""

USER_HEIGHT_M: Final = 1.5


@dataclass(frozen=True)
class Setting:
    """All that `mndt/Association-v0` can be set to; the arguments of `gymnasium.make`.

    Args:
        size: "small" (5 users, 3 cells, 200 x 200 m), "medium" (15, 7, 200 x 300 m) or "large" (30, 13,
            300 x 300 m). What follows overrides it.
        n_users, n_cells: counts.
        side_m: side of the square, or (east-west, north-south), in metres.
        cells_m: positions (x, y) of the cells in metres; without them they are spread evenly over the area.
        physics: "umi": TR 38.901 UMi street canyon with line of sight (table 7.4.1-1), stations at 10 m,
            thermal noise with a 9 dB noise figure. "mobile-env": the constants of mobile-env 2.1, see below.
        mode: "multi": action a toggles the connection to cell a - 1. "single": action a makes cell a - 1
            the only serving cell. Action 0 always changes nothing.
        interference: whether cells that serve somebody disturb each other; default: with "umi".
        share: how a cell's time is shared, see `SHARES`.
        broadcast: whether users also observe, of cells in reach, the mean utility of the users connected
            and how many they are.
        speed_mps: of every user, in m/s.
        power_dbm, bandwidth_hz, carrier_ghz: of every cell.
        least_snr_db: a user can hold a cell above this SNR; default 0 dB, -77 dB with "mobile-env".
        stay_s, away_s: mean times for which a user is present and absent, geometric; None = always present.
        episode_steps: length of an episode in steps of one second.

    With "mobile-env" loss is Hata's (IEEE Trans. Veh. Technol. 29 (1980), doi:10.1109/T-VT.1980.23859) for
    stations at 50 m, with the distance in *metres* where Hata has kilometres, and noise of -90 dBm: SNRs lie
    around -80 dB and rates are a few bit/s, as in that package. Utilities then count bit/s, not Mbit/s.

    Raises:
        InputError: a value outside its range or an unknown name.

    >>> Setting(size="large", n_users=60).counts
    (60, 13)
    """

    size: str = "small"
    n_users: int | None = None
    n_cells: int | None = None
    side_m: float | tuple[float, float] | None = None
    cells_m: ArrayLike | None = None
    physics: str = "umi"
    mode: str = "multi"
    interference: bool | None = None
    share: str = "resource-fair"
    broadcast: bool = False
    speed_mps: float = 1.5
    power_dbm: float = 30.0
    bandwidth_hz: float = 9e6
    carrier_ghz: float = 2.5
    least_snr_db: float | None = None
    stay_s: float | None = None
    away_s: float = 60.0
    episode_steps: int = 100

    def __post_init__(self) -> None:
        for name, known in (("size", SIZES), ("physics", PHYSICS), ("mode", MODES), ("share", SHARES)):
            if getattr(self, name) not in known:
                raise unknown_name(name, str(getattr(self, name)), known, where=_WHERE)
        for name, (low, high, unit) in _RANGES.items():
            _in_range(name, getattr(self, name), low, high, unit)
        for name in ("n_users", "n_cells", "episode_steps"):
            if getattr(self, name) is not None and int(getattr(self, name)) != getattr(self, name):
                raise InputError(name, getattr(self, name), allowed="whole numbers", fix="round it", where=_WHERE)
        for side_m in self.sides_m:
            _in_range("side_m", side_m, 10.0, 20_000.0, " m")
        if self.cells_m is not None:
            _check_cells(np.asarray(self.cells_m, float), self.n_cells, self.sides_m)

    @property
    def counts(self) -> tuple[int, int]:
        """Numbers of users and cells."""
        size = SIZES[self.size]
        n_cells = len(np.asarray(self.cells_m)) if self.cells_m is not None else self.n_cells
        return (
            size.n_users if self.n_users is None else int(self.n_users),
            size.n_cells if n_cells is None else int(n_cells),
        )

    @property
    def sides_m(self) -> tuple[float, float]:
        """East-west and north-south extent."""
        if self.side_m is None:
            return SIZES[self.size].side_m
        pair = (self.side_m, self.side_m) if np.ndim(self.side_m) == 0 else tuple(self.side_m)  # type: ignore[arg-type]
        if len(pair) != 2:
            raise InputError("side_m", self.side_m, allowed="one or two lengths", fix="give (x, y)", where=_WHERE)
        return float(pair[0]), float(pair[1])  # type: ignore[arg-type]

    @property
    def observed(self) -> int:
        """Numbers observed of each user."""
        return (4 if self.broadcast else 2) * self.counts[1] + 1

    @property
    def rate_unit_bps(self) -> float:
        """What a rate of 1 in the utility stands for."""
        return 1.0 if self.physics == "mobile-env" else 1e6

    def places_m(self) -> Float32[Array, "2 cells"]:
        """Positions of the cells: as given, or evenly spread.

        Spread are the points of the two-dimensional Kronecker sequence of the plastic number: the same
        for every seed, and each size's cells are the first of the next size's.
        """
        if self.cells_m is not None:
            return np.ascontiguousarray(np.asarray(self.cells_m, np.float32).T)
        plastic = 1.324717957244746  # the real root of x^3 = x + 1
        steps = np.arange(1, self.counts[1] + 1)
        unit = (0.5 + np.stack([steps / plastic, steps / plastic**2])) % 1.0
        return np.asarray(unit * np.array(self.sides_m)[:, None], dtype=np.float32)

    def rule(self) -> Array:
        """The laws in the kernel's form: one record of `RULE`."""
        out = np.zeros(1, RULE)
        out["width_m"], out["height_m"] = self.sides_m
        out["step_m"] = self.speed_mps
        for name, value in (self._hata() if self.physics == "mobile-env" else self._umi()).items():
            out[name] = value
        default_db = 10.0 * np.log10(2e-8) if self.physics == "mobile-env" else 0.0
        out["least_snr"] = db_to_linear(default_db if self.least_snr_db is None else self.least_snr_db)
        out["bandwidth"] = self.bandwidth_hz / self.rate_unit_bps
        if self.stay_s is not None:
            out["leave"], out["arrive"] = 1.0 / self.stay_s, 1.0 / self.away_s
        out["mode"], out["share"] = MODES.index(self.mode), SHARES.index(self.share)
        out["interference"] = self.physics == "umi" if self.interference is None else self.interference
        out["broadcast"], out["episode_steps"] = self.broadcast, self.episode_steps
        return out

    def _umi(self) -> dict[str, float]:
        """UMi with line of sight above thermal noise."""
        law = loss_law("UMi", self.carrier_ghz, SITE_HEIGHT_M, USER_HEIGHT_M)
        noise_dbm = THERMAL_NOISE_DBM_PER_HZ + float(linear_to_db(self.bandwidth_hz)) + NOISE_FIGURE_DB
        budget_db = self.power_dbm - noise_dbm
        return {
            "near": _log2(budget_db - law.near_db),
            "near_slope": -law.near_slope / 20.0,
            "far": _log2(budget_db - law.far_db),
            "far_slope": -law.far_slope / 20.0,
            "bend_m2": law.break_m**2,
            "rise_m2": (SITE_HEIGHT_M - USER_HEIGHT_M) ** 2,
        }

    def _hata(self) -> dict[str, float]:
        """Hata's median loss in a small or medium city (eq. 13 with the correction a(h_m)), d in metres."""
        lg_mhz, lg_height = np.log10(1e3 * self.carrier_ghz), np.log10(50.0)
        user_db = (1.1 * lg_mhz - 0.7) * USER_HEIGHT_M - (1.56 * lg_mhz - 0.8)
        loss_db = 69.55 + 26.16 * lg_mhz - 13.82 * lg_height - user_db
        near, slope = _log2(self.power_dbm + 90.0 - loss_db), -(44.9 - 6.55 * lg_height) / 20.0
        return {"near": near, "near_slope": slope, "far": near, "far_slope": slope, "bend_m2": 1e30, "rise_m2": 1e-12}


_WHERE: Final = "mndt/Association-v0"


def make_setting(setting: Setting | None, changes: Mapping[str, Any]) -> Setting:
    """A setting from keywords, on top of another one.

    Raises:
        InputError: an unknown keyword, with the nearest known one, or a value that does not fit.
    """
    known = Setting.__dataclass_fields__
    for name in changes:
        if name not in known:
            raise unknown_name("argument", name, known, where=_WHERE)
    return Setting(**changes) if setting is None else replace(setting, **changes)


def _log2(level_db: float) -> float:
    """log2 of the ratio that a level in dB stands for."""
    return float(level_db) * float(np.log2(10.0)) / 10.0


def _in_range(name: str, value: Any, low: float, high: float, unit: str) -> None:
    if value is not None and not low <= value <= high:  # written so that NaN fails
        allowed = f"{low:,g} to {high:,g}{unit}"
        raise InputError(name, value, allowed=allowed, fix="choose a value in this range", where=_WHERE)


def _check_cells(cells_m: Array, n_cells: int | None, sides_m: Sequence[float]) -> None:
    """Positions must be pairs inside the area, and as many as asked for."""
    if cells_m.ndim != 2 or cells_m.shape[1] != 2 or not len(cells_m):
        raise InputError(
            "cells_m", f"of shape {cells_m.shape}", allowed="(cells, 2)", fix="give one (x, y) a cell", where=_WHERE
        )
    if n_cells is not None and n_cells != len(cells_m):
        raise InputError("n_cells", n_cells, allowed=f"{len(cells_m)}, as in cells_m", fix="leave it out", where=_WHERE)
    outside = ~((cells_m >= 0) & (cells_m <= np.array(sides_m))).all(axis=1)
    if outside.any():
        row = int(outside.argmax())
        allowed = f"0 to {sides_m[0]:g} and 0 to {sides_m[1]:g} m"
        raise InputError(
            "cells_m", tuple(cells_m[row].tolist()), allowed=allowed, fix="move it or widen side_m",
            where=f"{_WHERE}, cell {row}",
        )  # fmt: skip
