"""What the user can set about radio propagation, with ranges."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Final, Literal, get_args, get_origin, get_type_hints

from annotated_types import Interval

from mndt.errors import InputError, unknown_name
from mndt.radio.fading import FadingLaw

DRAFT_MILLION: Final = 0.3
"""Rays from each station, in millions, that do for a first look."""

Law = Literal["rayleigh", "rician", "nakagami", "none"]


@dataclass(frozen=True)
class RadioParameters:
    """Propagation model of a scenario.

    Raises:
        InputError: a value outside its range or an unknown name.

    >>> RadioParameters(resolution_m=8).scenario
    'UMi'
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    scenario: Literal["UMi", "UMa", "RMa"] = "UMi"
    """TR 38.901 scenario of outdoor stations; indoor stations use InH inside and UMi outside."""
    engine: Literal["tr38901", "sweep", "fused"] = "sweep"
    """What finds the loss outdoors: TR 38.901's formulas in the state that the buildings give; the edges of the
    buildings between (sweep); or edges fused with traced rays (needs the extra rt)."""
    rays_million: Annotated[float, Interval(ge=0.01, le=30.0)] = 3.0
    """Rays traced from each outdoor station, in millions (engine fused); 0.3 is a draft, 10 take 1.1 GB."""
    resolution_m: Annotated[float, Interval(ge=1.0, le=20.0)] = 4.0
    """Edge of a map pixel in metres."""
    user_height_m: Annotated[float, Interval(ge=1.0, le=10.0)] = 1.5
    """Height of every user's antenna above ground in metres."""
    o2i: Literal["mixed", "low", "high"] = "mixed"
    """Building entry loss: low or high for every building, or mixed by its use: high (coated glass)
    for offices, shops and public buildings, low for homes, schools and industry, half and half else."""
    shadowing: bool = True
    """Whether the spread of wall losses is added and, to TR 38.901's formulas, correlated shadowing; what
    sweep and rays give is shadowed by the buildings themselves."""
    los_fading: Law = "rician"
    """Small-scale fading of links with line of sight."""
    nlos_fading: Law = "rayleigh"
    """Small-scale fading of links without line of sight."""
    rician_k_db: Annotated[float, Interval(ge=-20.0, le=30.0)] = 9.0
    """Rician factor K in dB; TR 38.901 table 7.5-6 has 9 dB as the mean of UMi and UMa."""
    nakagami_m: Annotated[float, Interval(ge=0.5, le=50.0)] = 1.0
    """Nakagami's m; 1 is Rayleigh."""
    coherence_mhz: Annotated[float, Interval(ge=0.0, le=1000.0)] = 0.0
    """Width over which blocks fade alike, in MHz; 0: every block on its own. Within a second the fading of
    whoever moves changes many times, which independent blocks stand for; for people who keep still,
    1 / (2 x delay spread) is physical (`doppler.coherence_hz`): 4.9 MHz for the 103 ns of UMi without line of
    sight at 3.5 GHz."""
    still_s: Annotated[float, Interval(ge=1.0, le=1e9)] = 10.0
    """Seconds after which people and cars near by have changed the fading of a user who keeps still; whoever moves
    by more than a third of a wavelength has another one anyway. 1: everybody's changes every second."""
    noise_figure_db: Annotated[float, Interval(ge=0.0, le=30.0)] = 0.0
    """Receiver noise figure in dB; the paper's Table I has none, 9 dB is typical of phones."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for field in fields(self):
            _check(field.name, getattr(self, field.name), hints[field.name])

    @property
    def fading(self) -> FadingLaw:
        """The fading laws of this scenario."""
        return FadingLaw(self.los_fading, self.nlos_fading, self.rician_k_db, self.nakagami_m)


def _check(name: str, value: Any, hint: Any) -> None:
    if get_origin(hint) is Literal and value not in get_args(hint):
        raise unknown_name(name, str(value), get_args(hint))
    for bound in getattr(hint, "__metadata__", ()):
        # written so that NaN fails
        if isinstance(bound, Interval) and not bound.ge <= value <= bound.le:
            allowed = f"{bound.ge:g} to {bound.le:g}"
            raise InputError(name, value, allowed=allowed, fix="choose a value in this range", where="radio")
