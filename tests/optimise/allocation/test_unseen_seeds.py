"""What ours promises, at full size on seeds that nothing was trained or tuned on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mndt.optimise.allocation.methods import make_method
from mndt.optimise.allocation.problem import Episode, play
from mndt.optimise.allocation.scenarios import episode

NOT_FREE = {"table2": 0.97, "table2-umi": 0.95}
"""What demands satisfy at most when they are ignored: above, a floor would cost nothing."""

LEAST = {0.95: (0.95, 0.985), 0.99: (0.988, 0.93)}
"""Floor -> satisfaction and throughput by that of ignoring demands, on a single seed."""


def remembered(scene: Episode) -> Episode:
    """Gains drawn once for several methods."""
    gains = [scene.gain_at(step) for step in range(scene.n_steps)]
    return replace(scene, gain_at=gains.__getitem__)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [90, 91])
@pytest.mark.parametrize("name", ["table2", "table2-umi"])
def test_floors_are_kept_on_unseen_seeds_at_little_cost(name: str, seed: int) -> None:
    scene = remembered(episode(name, seed))
    ignoring = play(scene, make_method("ignoring", scene))
    assert 0.88 < ignoring.satisfaction < NOT_FREE[name]
    for floor, (satisfied, ratio) in LEAST.items():
        found = play(scene, make_method("learned", scene, floor=floor), checked=True)
        assert found.satisfaction >= satisfied
        assert found.throughput >= ratio * ignoring.throughput
    blind = replace(scene, position_at=None)
    unseeing = play(blind, make_method("learned", blind, floor=0.95), checked=True)
    assert unseeing.satisfaction >= 0.94
