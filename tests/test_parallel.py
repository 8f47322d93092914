from __future__ import annotations

import io
import sys
import threading

import pytest

from mndt import parallel


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def use_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error is a terminal from now on (pytest puts its own there after every fixture)."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(parallel._SCREEN, "quiet", False)
    return screen


def test_track_passes_everything_through() -> None:
    assert list(parallel.track(range(5), "counting")) == [0, 1, 2, 3, 4]
    assert list(parallel.track((n * n for n in range(3)), "squares")) == [0, 1, 4]


def test_bars_are_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = use_terminal(monkeypatch)
    assert list(parallel.track(range(4), "four things")) == [0, 1, 2, 3]
    assert "four things" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()


def test_bars_inside_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = use_terminal(monkeypatch)
    pairs = [(a, b) for a in parallel.track("ab", "outer") for b in parallel.track("xyz", "inner")]
    assert len(pairs) == 6
    assert terminal.getvalue().count("inner") >= 2
    assert parallel._SCREEN.progress is None  # the last one closes the display


def test_a_loop_left_early_closes_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = use_terminal(monkeypatch)
    loop = parallel.track(range(10), "left early")
    next(loop)
    loop.close()
    assert "left early" in terminal.getvalue()
    assert parallel._SCREEN.progress is None


def test_no_bars_when_quiet_or_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = use_terminal(monkeypatch)
    monkeypatch.setattr(parallel._SCREEN, "quiet", True)
    list(parallel.track(range(3), "silent"))
    monkeypatch.setattr(parallel._SCREEN, "quiet", False)
    monkeypatch.setattr(Terminal, "isatty", lambda self: False)
    list(parallel.track(range(3), "silent"))
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_side_by_side_keeps_the_order(threads: bool, n_jobs: int) -> None:
    found = parallel.side_by_side(abs, range(0, -20, -1), "absolute values", n_jobs, threads=threads)
    assert found == list(range(20))


def test_side_by_side_is_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=20)
    assert len(parallel.side_by_side(lambda _: both.wait(), range(2), "meet", 2, threads=True)) == 2


def refuse(n: int) -> int:
    raise ValueError(f"not {n}")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_the_function_raises_arrives(n_jobs: int) -> None:
    with pytest.raises(ValueError, match="not "):
        parallel.side_by_side(refuse, [1, 2], "refusing", n_jobs, threads=True)


def test_nothing_to_do() -> None:
    assert parallel.side_by_side(abs, [], "nothing") == []
