"""Fig. 4: a small week end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mndt.cli import main
from mndt.experiments import fig4


def test_a_small_week_ends_in_figures_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fig4, "QUICK", (2, 3, 2))
    found = CliRunner().invoke(
        main, ["reproduce", "fig4", "--quick", "--setting", "a", "--out", str(tmp_path), "--json"]
    )
    assert found.exit_code == 0, found.output
    figures = json.loads(found.stdout.strip().splitlines()[-1])["figures"]
    assert figures["saving_original"] == pytest.approx(0)
    assert figures["gap_to_oracle_oracle"] == 0
    assert 0 < figures["gap_to_oracle_ours"] < figures["gap_to_oracle_peng"]
    assert figures["unserved_ours"] < 1e-12
    assert figures["j_ours"] == figures["j_ours_a"]
    assert 0 <= figures["oracle_gap"] < 0.01
    assert (tmp_path / "fig4.png").stat().st_size > 10_000


def test_settings_that_do_not_know_the_slot_are_not_compared_with_the_oracle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fig4, "QUICK", (2, 3, 2))
    found = fig4.run(settings=("b",), quick=True, out=tmp_path).figures
    assert "j_oracle_b" not in found
    assert {"j10u_ours", "j10u_ours_careful", "j10u_newsvendor", "unserved_grids_peng_margin"} <= set(found)


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "traffic.npz").write_bytes(b"nothing")
    found = CliRunner().invoke(main, ["reproduce", "fig4", "--traffic", str(tmp_path / "traffic.npz")])
    assert found.exit_code == 2
    assert "allowed is an .npz of plain arrays" in found.output
