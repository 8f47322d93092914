"""The public face: names that exist, load lazily, and show by example what they do."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mndt


def test_at_most_25_names_and_all_of_them_load() -> None:
    assert len(mndt.__all__) <= 25
    assert sorted(mndt.__all__) == sorted(mndt._HOMES)
    for name in mndt.__all__:
        assert getattr(mndt, name) is not None


@pytest.mark.parametrize("name", mndt.__all__)
def test_every_name_says_what_it_is_with_an_example(name: str) -> None:
    text = getattr(mndt, name).__doc__ or ""
    assert len(text.splitlines()[0]) > 10
    assert ">>>" in text or "::" in text, f"mndt.{name} has no example"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        mndt.no_such_name  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, mndt; print([m for m in ('numpy', 'numba', 'pydantic', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_sources_of_a_run_are_those_of_its_models() -> None:
    by_default = mndt.citation(mndt.Scenario())
    assert "TR 38.901" in by_default
    assert "Rician" in by_default
    assert "Nakagami fading" not in by_default
    assert "Nakagami fading" in mndt.citation()
