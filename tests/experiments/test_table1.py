from __future__ import annotations

from pathlib import Path

import pytest

from mndt.experiments import table1


def test_the_nine_settings_are_the_papers() -> None:
    found = table1.run(crowd=False)
    assert len(table1.SETTINGS) == 9
    assert {key for row in table1.SETTINGS for key in row.keys} == set(table1.TABLE1)
    for key, value in table1.TABLE1.items():
        assert found.figures[key] == pytest.approx(value), key
    assert found.figures["places"] == 8280
    for row in found.table.splitlines()[1:]:
        label, _, rest = row.partition("  ")
        half = len(rest.split()) // 2
        assert rest.split()[:half] == rest.split()[half:], label


@pytest.mark.slow
def test_the_channels_leave_users_unserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNDT_CACHE", str(tmp_path))
    figures = table1.run().figures
    assert figures["unserved"] == figures["unserved_inside"] + figures["unserved_outside"]
    assert figures["unserved"] >= 13_000 - 8_280
