"""The papers and standards behind the models that a run used, ready to cite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mndt.scenario import Scenario


@dataclass(frozen=True)
class Source:
    """One model, where it comes from, and whether a scenario uses it."""

    model: str
    reference: str
    used: Callable[[Scenario], bool] = lambda scenario: True


def _fades(law: str) -> Callable[[Scenario], bool]:
    return lambda scenario: law in (scenario.radio.los_fading, scenario.radio.nlos_fading)


SOURCES: Final[tuple[Source, ...]] = (
    Source(
        "digital twin of a mobile network",
        "Li et al., How AI-driven Digital Twins Can Empower Mobile Networks, 2023, arXiv:2311.12273",
    ),
    Source(
        "map",
        "OpenStreetMap contributors, ODbL 1.0, https://www.openstreetmap.org/copyright",
        lambda scenario: scenario.city.source in ("helsinki", "osm"),
    ),
    Source(
        "routes (A*)",
        "P. Hart, N. Nilsson, B. Raphael, A Formal Basis for the Heuristic Determination of Minimum Cost Paths, "
        "IEEE Trans. Syst. Sci. Cybern. 4(2), 1968, doi:10.1109/TSSC.1968.300136",
    ),
    Source(
        "vehicles (Krauss)",
        "S. Krauss, P. Wagner, C. Gawron, Metastable states in a microscopic model of traffic flow, "
        "Phys. Rev. E 55, 1997, doi:10.1103/PhysRevE.55.5597",
    ),
    Source(
        "places people visit",
        "C. Song, T. Koren, P. Wang, A.-L. Barabasi, Modelling the scaling properties of human mobility, "
        "Nature Physics 6, 2010, doi:10.1038/nphys1760",
    ),
    Source(
        "path loss, line of sight, shadowing, entry loss, antenna element",
        "3GPP TR 38.901, Study on channel model for frequencies from 0.5 to 100 GHz",
    ),
    Source(
        "diffraction over roofs (Bullington)",
        "Recommendation ITU-R P.526-16, Propagation by diffraction, annex 1, clause 4.5.1",
        lambda scenario: scenario.radio.engine != "tr38901",
    ),
    Source(
        "ray tracing (Sionna RT)",
        "J. Hoydis et al., Sionna RT: Differentiable Ray Tracing for Radio Propagation Modeling, 2023, "
        "arXiv:2303.11103; materials by Recommendation ITU-R P.2040",
        lambda scenario: scenario.radio.engine == "fused",
    ),
    Source(
        "Rician fading",
        "S. O. Rice, Statistical Properties of a Sine Wave Plus Random Noise, Bell Syst. Tech. J. 27, 1948, "
        "doi:10.1002/j.1538-7305.1948.tb01334.x",
        _fades("rician"),
    ),
    Source(
        "Nakagami fading",
        "M. Nakagami, The m-Distribution, in Statistical Methods in Radio Wave Propagation, 1960, "
        "doi:10.1016/B978-0-08-009306-2.50005-4",
        _fades("nakagami"),
    ),
    Source(
        "rate",
        "C. E. Shannon, A Mathematical Theory of Communication, Bell Syst. Tech. J. 27, 1948, "
        "doi:10.1002/j.1538-7305.1948.tb01338.x",
    ),
    Source(
        "rates capped by modulation and coding",
        "3GPP TS 38.214, clause 5.1.3.1; for the law truncated TR 36.942, annex A.1",
        lambda scenario: scenario.network.rate_law != "shannon",
    ),
    Source(
        "handover",
        "3GPP TS 38.331, clauses 5.3.10, 5.5.3.2 and 5.5.4.4",
        lambda scenario: scenario.run.policy != "fundamentals",
    ),
    Source(
        "energy",
        "G. Auer et al., How much energy is needed to run a wireless network?, IEEE Wireless Commun. 18(5), 2011, "
        "doi:10.1109/MWC.2011.6056691; 3GPP TR 38.864, clause 5.1",
    ),
    Source(
        "proportional-fair scheduling",
        "F. P. Kelly, A. K. Maulloo, D. K. H. Tan, Rate control for communication networks: shadow prices, "
        "proportional fairness and stability, J. Oper. Res. Soc. 49, 1998, doi:10.1057/palgrave.jors.2600523",
        lambda scenario: scenario.run.policy == "proportional-fair",
    ),
)


def citation(scenario: Scenario | None = None) -> str:
    """References of the models that a scenario uses, one a line; of all models without one.

    >>> print(citation().splitlines()[2].split(":")[0])
    routes (A*)
    """
    chosen = SOURCES if scenario is None else tuple(source for source in SOURCES if source.used(scenario))
    return "\n".join(f"{source.model}: {source.reference}" for source in chosen)
