"""The public face: names that exist, load lazily, and show by example what they do."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

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


def test_the_page_of_the_api_names_everything_and_nothing_else() -> None:
    page = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
    before, _, rest = page.partition("The rest is public")
    assert sorted(re.findall(r"`(\w+)`", before.partition("first used:")[2])) == sorted(mndt.__all__)
    listed, _, sections = rest.partition("Names that begin")
    elsewhere, shown = re.findall(r"`(mndt\.[\w.]+)`", listed), re.findall(r"^::: (\S+)", sections, re.MULTILINE)
    found = {}
    for path in (*elsewhere, *shown):
        module, _, name = path.rpartition(".")
        found[path] = getattr(import_module(module), name)
    known = [getattr(mndt, name) for name in mndt.__all__] + [found[path] for path in elsewhere]
    for path in shown:
        assert any(found[path] is one for one in known) or path.startswith("mndt.optimise.envs."), path


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
