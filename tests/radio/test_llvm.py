"""The guard before the ray tracer: which LLVM library is taken, which refused, and with what words."""

import sys
from pathlib import Path

import pytest

from mndt.errors import InputError
from mndt.radio import _llvm


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of libraries whose version is what stands in them, in the place of this machine's."""
    monkeypatch.delenv(_llvm.VARIABLE, raising=False)
    monkeypatch.setattr(_llvm, "_SYSTEM", (f"{tmp_path}/system",))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(_llvm.site, "getuserbase", lambda: str(tmp_path / "nobody"))
    monkeypatch.setattr(_llvm, "ask_version", lambda path: int(path.read_text()) if path.is_file() else 0)
    monkeypatch.setattr(_llvm, "find_spec", lambda module: object())
    for folder in ("lib", "system"):
        (tmp_path / folder).mkdir()
    return tmp_path


def put(folder: Path, name: str, version: int) -> Path:
    (folder / name).write_text(str(version))
    return folder / name


def test_the_newest_library_of_the_environment_is_taken(libraries: Path) -> None:
    put(libraries / "lib", "libLLVM.so.9.0", 9)
    newest = put(libraries / "lib", "libLLVM.so.23.1", 23)
    put(libraries / "lib", "libLLVM.so.19.1", 19)
    put(libraries / "system", "libLLVM-99.so.1", 99)
    assert _llvm.require() == _llvm.Library(newest, 23)


def test_the_systems_library_is_taken_where_the_environment_has_none_that_is_good(libraries: Path) -> None:
    put(libraries / "lib", "libLLVM-16.so", 16)
    good = put(libraries / "system", "libLLVM-18.so.1", 18)
    put(libraries / "system", "libLLVM-15.so.1", 0)
    assert _llvm.require() == _llvm.Library(good, 18)


def test_the_users_choice_comes_first_and_is_refused_if_it_is_too_old(
    libraries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(libraries / "lib", "libLLVM.so.23.1", 23)
    monkeypatch.setenv(_llvm.VARIABLE, str(put(libraries / "system", "libLLVM-16.so", 16)))
    with pytest.raises(InputError, match=r"version 16\), allowed is version 17 or later; unset DRJIT_LIBLLVM_PATH"):
        _llvm.require()


@pytest.mark.parametrize(("version", "word"), [(0, "too old to tell"), (14, "version 14"), (16, "version 16")])
def test_an_old_library_is_refused_with_the_fix(libraries: Path, version: int, word: str) -> None:
    put(libraries / "system", "libLLVM-1.so", version)
    assert word in _llvm.why_not()
    assert "pip install 'mndt[rt]'" in _llvm.why_not()
    assert not _llvm.available()


def test_parts_and_archives_of_llvm_are_no_libraries(libraries: Path) -> None:
    for name in ("libLLVMSupport.a", "libLLVMCore.so.19", "libLLVM.so.19.txt"):
        put(libraries / "lib", name, 19)
    assert "not found" in _llvm.why_not()


def test_a_missing_extra_is_named(libraries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_llvm, "find_spec", lambda module: None if module == "mitsuba" else object())
    assert _llvm.why_not() == "ray tracing is without mitsuba, allowed is the extra rt; pip install 'mndt[rt]'."


def test_what_is_no_library_does_not_harm_this_process(tmp_path: Path) -> None:
    broken = tmp_path / "libLLVM.so"
    broken.write_bytes(b"\x7fELF" + bytes(200))
    assert _llvm.ask_version(broken) == 0
    assert _llvm.ask_version(tmp_path / "none.so") == 0


def test_nothing_of_the_ray_tracer_is_imported_to_find_out() -> None:
    _llvm.why_not()
    if not _llvm._LOADED:
        assert not {"mitsuba", "drjit", "sionna"} & set(sys.modules)


@pytest.mark.rt
def test_the_ray_tracer_loads_and_computes() -> None:
    tracer = _llvm.load()
    assert tracer.mi.variant() == "llvm_ad_mono_polarized"
    assert float(tracer.dr.sum(tracer.mi.Float([1.0, 2.0]))[0]) == 3.0
