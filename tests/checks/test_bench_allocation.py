"""The benchmark of a step of allocation, at a size for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mndt.checks import bench_allocation
from mndt.optimise.allocation.scenarios import episode
from mndt.optimise.allocation.solver import Effort, Worth

TINY = {"n_users": 120, "n_cells": 6}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, float], Path]:
    out = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_allocation, "QUICK", TINY)
        converged = Effort(rounds=3, first_rounds=3, roomy=1.0, power_steps=50)
        patch.setattr(bench_allocation, "CONVERGED", converged)
        efforts = bench_allocation.EFFORTS | {"ours, converged": converged}
        patch.setattr(bench_allocation, "EFFORTS", efforts)
        return bench_allocation.run(quick=True, out=out).figures, out


def test_the_worst_scenario_is_named(figures: tuple[dict[str, float], Path]) -> None:
    found, out = figures
    names = ("table2", "table2_umi")
    assert found["ms_per_step"] == max(found[f"ms_per_step_{name}"] for name in names)
    kinds = [found[f"quality_of_converged_{name}_{kind}"] for name in names for kind in ("ones", "favour")]
    assert found["quality_of_converged"] == min(kinds)
    assert 0.8 < min(kinds) <= max(kinds) < 1.2
    assert found["quality_strongest_cell_random_block_equal_power_table2_umi"] < 0.9
    assert (out / "quality.png").read_bytes()[:4] == b"\x89PNG"


def test_worth_is_counted_up_to_the_need() -> None:
    scene = episode("table2", 1, **TINY)
    moment = replace(bench_allocation._middle(scene), demand=np.full(120, 100.0))
    choice = moment.previous
    assert choice is not None
    ones = np.ones(120)
    plain = bench_allocation.worth_by_user(moment, Worth.of(ones), choice)
    capped = bench_allocation.worth_by_user(moment, Worth.of(ones, ones, 0.0 * ones), choice)
    free = bench_allocation.worth_by_user(moment, Worth.of(ones, ones, 1e6 * ones), choice)
    assert plain == capped == pytest.approx(free / 2)
