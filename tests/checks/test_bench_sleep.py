"""The benchmark of cell sleep, small."""

from __future__ import annotations

import pytest

from mndt.checks import bench_sleep


def test_every_method_is_timed_and_the_oracle_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_sleep, "QUICK_PLACES", 40)
    monkeypatch.setattr(bench_sleep, "WEEK", (8, 2))
    monkeypatch.setattr(bench_sleep, "REPEATS", 1)
    found = bench_sleep.run(quick=True).figures
    assert {"ms_peng", "ms_greedy", "ms_myopic", "ms_ours", "ms_ours_reserve", "ms_ours_known"} <= set(found)
    assert all(found[key] > 0 for key in found if key.startswith(("ms_", "s_")))
    assert found["s_100000_cells"] == pytest.approx(found["ms_ours"] / 1e3 * 1e5 / found["cells"])
    assert 0 <= found["oracle_gap"] < 0.01
