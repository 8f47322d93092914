"""Everything that the models of a fit look at, computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32

from mndt.radio.measured import law, selection
from mndt.radio.measured.features import Links, Surroundings, links
from mndt.radio.measured.samples import Ground, MeasuredCells, Samples

Array = np.ndarray


@dataclass(frozen=True)
class Case:
    """Samples with their features, and the pairs of every cell with every coarse place for the contest."""

    samples: Samples
    cells: MeasuredCells
    links: Links
    x: Float64[Array, "rows terms"]  # of the law
    reference_dbm: Float64[Array, "rows"]
    weight: Float64[Array, "rows"]  # see law.block_weights
    site: Int32[Array, "rows"]
    raw: Float32[Array, "rows raw"]  # what an operator's table holds, see raw_columns
    contest: selection.Contest
    pair_x: Float32[Array, "pairs terms"]
    pair_reference_dbm: Float64[Array, "pairs"]

    def __len__(self) -> int:
        return len(self.samples)


def make_case(samples: Samples, cells: MeasuredCells, ground: Ground) -> Case:
    """Compute the features of all samples and of the contest."""
    around = Surroundings(ground)
    own = links(samples.cell, samples.x_m, samples.y_m, cells, around)
    field = selection.contest(samples, cells)
    pairs = links(*field.pairs(), cells, around)
    return Case(
        samples=samples,
        cells=cells,
        links=own,
        x=law.design(own),
        reference_dbm=law.reference_dbm(own),
        weight=law.block_weights(samples.cell, samples.x_m, samples.y_m),
        site=cells.site[samples.cell],
        raw=raw_columns(samples, cells, own),
        contest=field,
        pair_x=law.design(pairs).astype(np.float32),
        pair_reference_dbm=law.reference_dbm(pairs),
    )


def raw_columns(samples: Samples, cells: MeasuredCells, own: Links) -> Float32[Array, "rows raw"]:
    """The inputs of plain boosted trees: inventory and terrain as they are, with distance and angles worked out.

    This baseline gets everything that the files hold, but no diffraction, no look along the path, no rivals.
    """
    c, s = cells, samples
    of = samples.cell
    columns = (
        s.x_m - s.x_m.mean(), s.y_m - s.y_m.mean(), c.x_m[of] - s.x_m.mean(), c.y_m[of] - s.y_m.mean(),
        s.x_m - c.x_m[of], s.y_m - c.y_m[of], own["log_slant"], own["off_azimuth_deg"], own["below_deg"],
        c.height_m[of], c.azimuth_deg[of], c.mechanical_tilt_deg[of], c.electrical_tilt_deg[of],
        c.power_dbm[of], c.carrier_ghz[of], own["roof_m"], own["indoor"], own["ground_m"], own["rise_m"],
    )  # fmt: skip
    return np.column_stack(columns).astype(np.float32)
