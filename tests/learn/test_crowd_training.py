from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mndt.checks.validate_crowd import Task, paired, summary
from mndt.errors import InputError
from mndt.learn.crowd_model import KINDS, _slots, desired_speed, first_weights, pack, roll_out
from mndt.learn.crowd_scores import Scores, contacts, score
from mndt.learn.crowd_tracks import EVERY, Scene, blocks_of, read_scenes, scene_of, without_shared
from mndt.users.crowd.correction import Correction
from mndt.users.crowd.walking import People, Walls, WayTables, by_area, walk

Array = np.ndarray


def line(
    start_s: float, end_s: float, a: tuple[float, float], b: tuple[float, float], dt: float = 0.1
) -> tuple[Array, Array]:
    t = np.arange(round((end_s - start_s) / dt) + 1) * dt + start_s
    return t, np.array(a) + ((t - t[0]) / (t[-1] - t[0]))[:, None] * (np.array(b) - a)


def crossing(start_s: float = 0.0) -> Scene:
    """Two friends side by side, one who meets them, one who is still there at the end, and two absurd ones."""
    tracks = [
        line(0.0, 12.0, (0, 0), (14, 0)), line(0.0, 12.0, (0, 0.6), (14, 0.6)), line(1.0, 13.0, (14, 0.2), (0, 0.2)),
        line(4.0, 20.0, (3, 5), (9, 5)), line(2.0, 4.0, (0, 9), (14, 9)), line(2.0, 3.0, (0, 8), (1, 8)),
    ]  # fmt: skip
    return scene_of("crossing", start_s, start_s + 20.0, [(t + start_s, p) for t, p in tracks])


def test_a_scene_keeps_walks_drops_absurd_ones_and_knows_companions() -> None:
    scene = crossing()
    assert (scene.n, scene.dropped) == (4, 2)
    assert scene.leaves.tolist() == [True, True, True, False]
    assert scene.first.tolist() == [4, 4, 9, 24]
    np.testing.assert_allclose(scene.seen_mps[0], [14 / 12, 0], atol=1e-9)
    np.testing.assert_allclose(scene.goal_m[2], [0, 0.2], atol=1e-9)
    together = scene.companions()
    assert together[0, 1]
    assert together.sum() == 2


def test_tables_and_arrays_give_the_same_scenes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    xy = np.full((200, 5, 2), np.nan)
    for k in range(5):
        xy[10 * k : 150 + 10 * k, k] = np.cumsum(rng.normal(0.1, 0.02, (150, 2)), axis=0)
    np.savez(tmp_path / "a.npz", scene_names=np.array(["one"]), start_s=np.array([50]), dt_s=0.1, scene00_positions=xy)
    t, person = (a[np.isfinite(xy[..., 0])] for a in np.indices((200, 5)))
    rows = np.column_stack([50 + 0.1 * t, person, *xy[t, person].T])
    shuffled = rng.permutation(rows)
    text = "time,id,x,y\n" + "\n".join(f"{a:.2f},p{b:.0f},{c!r},{d!r}" for a, b, c, d in shuffled.tolist())
    (tmp_path / "a.csv").write_text(text)
    one, two = read_scenes(tmp_path / "a.npz")[0], read_scenes(tmp_path / "a.csv")[0]
    assert one.n == two.n == 5
    assert (one.first == two.first).all()
    np.testing.assert_allclose(one.xy_m[: len(two.xy_m)], two.xy_m, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,id,x\n1,a,2\n", "column of y"),
        ("time,id,x,y\n1,a,two,2\n2,a,three,2\n", "seconds and metres"),
        ("time,id,x,y\n1,a,2,2\n", "at least 1.6 s"),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_scenes(tmp_path / "a.csv")


def test_blocks_are_contiguous_and_share_nobody() -> None:
    scenes = [crossing(s) for s in (0.0, 100.0, 200.0, 300.0, 320.0, 340.0)]
    assert blocks_of(scenes) == [[0, 1, 2], [3, 4, 5]]
    assert blocks_of([crossing(20.0 * k) for k in range(8)]) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    before, after = without_shared([crossing(0.0), crossing(20.0), crossing(45.0)], [0, 2], [1])
    assert before.tolist() == [True, True, True, False]  # the last one is still there when the test begins
    assert after.tolist() == [False, False, False, True] or after.tolist()[3]


def test_slots_are_never_shared() -> None:
    rng = np.random.default_rng(0)
    tracks = [
        line(a, a + d, (0, 0), (d, 0)) for a, d in zip(rng.uniform(0, 40, 60), rng.uniform(2, 15, 60), strict=True)
    ]
    scene = scene_of("many", 0.0, 60.0, tracks)
    place, here = _slots(scene), np.isfinite(scene.xy_m[..., 0])
    for row in here:
        assert len(set(place[row])) == row.sum()
    assert place.max() + 1 == here.sum(1).max()


def test_scores_know_closed_forms() -> None:
    scene = crossing()
    packed = pack([scene], desired_speed([scene]))
    nobody = np.zeros(packed.person.shape, bool)
    real = packed.real.astype(float)
    moved = score(packed, real + np.array([0.3, 0.4]), nobody).pooled()
    assert moved["mae_m"] == pytest.approx(0.5, abs=1e-5)
    assert moved["ot"] <= moved["mae_m"] + 1e-9
    place = _slots(scene)
    swapped = real.copy()
    swapped[:, :, place[[0, 1]]] = real[:, :, place[[1, 0]]]
    exchanged = score(packed, swapped, nobody).pooled()
    assert exchanged["mae_m"] > 0.3
    assert exchanged["ot"] < 1e-6
    assert exchanged["mmd"] < 1e-6
    # the friends do not count, the one who meets them does: within 0.4 m of each for one sample or two
    found = contacts(packed, real, nobody)[0]
    xy = scene.xy_m[::EVERY]
    both = (np.arange(len(xy)) * EVERY > scene.first[2]) & np.isfinite(xy[:, :3, 0]).all(1)
    assert found == sum((np.hypot(*(xy[both, 2] - xy[both, k]).T) < 0.4).sum() for k in (0, 1)) > 0


def test_roll_outs_are_those_of_the_engine() -> None:
    rng = np.random.default_rng(1)
    n = 15
    tracks = [line(0.0, 6.0, tuple(rng.uniform(0, 8, 2)), tuple(rng.uniform(0, 20, 2))) for _ in range(n)]
    tracks = [(t, p) for t, p in tracks if np.hypot(*(p[-1] - p[0])) < 20]
    scene = scene_of("hall", 0.0, 10.0, tracks)
    packed = pack([scene], (0.0, 1.0))
    weights = {
        k: v + np.float32(0.2) * rng.normal(size=v.shape).astype(np.float32)
        for k, v in first_weights("ours", 0).items()
    }
    rows = packed.rows[0, scene.first[0] :][:3]
    x, _ = (np.asarray(a) for a in roll_out("ours", weights, rows, 2))
    a = rows[0, :, :].astype(float)
    who = np.flatnonzero(a[:, 10])
    far = np.hypot(a[who, 4] - a[who, 0], a[who, 5] - a[who, 1])
    columns = [np.ascontiguousarray(a[who, k]) for k in (0, 1, 2, 3, 4, 5, 6)]
    zero = np.zeros(len(who), np.int8)
    p = People(*columns, far, zero, zero.copy(), np.ones(len(who), bool))
    everyone = by_area(np.zeros(len(who), int), np.ones(len(who), bool), 1)
    walk(p, *everyone, Walls.none(), WayTables.none(), Correction.of(weights), 0.2)
    # the recorded walkers were seen to walk straight at their pace, as the engine assumes of its own
    assert np.abs(np.c_[p.x, p.y] - x[1, who]).max() < 2e-3


def test_the_summary_pairs_scenes_and_means_seeds() -> None:
    def scores(ot: float, touched: int) -> Scores:
        ten = np.full(2, 10.0)
        return Scores(ten, ten * ot, ten * ot, ten / 100, np.array([touched, 0]), np.array([4, 4]))

    found = {Task(kind, b, 0): scores(1.0 + k / 10, 3) for k, kind in enumerate(KINDS[:3]) for b in (0, 1)}
    found |= {Task("ours", b, s): scores(0.9 + s / 50, 4 + s) for b in (0, 1) for s in (0, 1)}
    figures, table = summary(found, 4, [[0, 1], [2, 3]])
    assert figures["ot_ours"] == pytest.approx(0.91)
    assert figures["stranger_contacts_real"] == 16
    assert figures["stranger_contacts_ours"] == 9
    assert figures["ot_gap_to_social_force"] == pytest.approx(0.91 / 1.1 - 1)
    assert "closed_form" in table
    gap = paired(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.5]), "gap")
    assert gap["gap"] == pytest.approx(-3.5 / 9.5)
    half = 4.303 * np.std([1, 1, 1.5], ddof=1) / np.sqrt(3)
    assert gap["gap_high"] == pytest.approx((-3.5 / 3 + half) / (9.5 / 3))


@pytest.mark.slow
def test_training_learns_that_people_slow_down_and_leaves_a_card(tmp_path: Path) -> None:
    from mndt.learn.crowd_card import train_crowd
    from mndt.users.crowd.correction import read_correction

    rng = np.random.default_rng(0)
    rows = []
    for k in range(80):
        t = np.arange(0, 10, 0.2)
        y0, begin = rng.uniform(0, 20), rng.uniform(0, 45)
        x = 8 * (1 - np.exp(-t / 5))  # slower and slower, unlike the straight walker
        rows += [f"{begin + a:.2f},{k},{b:.4f},{y0:.3f}" for a, b in zip(t, x, strict=True)]
    (tmp_path / "walks.csv").write_text("time,id,x,y\n" + "\n".join(rows))
    fitted = train_crowd(tmp_path / "walks.csv", tmp_path / "w.npz", updates=60)
    assert fitted.loss_m < 0.35
    assert np.isfinite(read_correction(tmp_path / "w.npz").table()).all()
    assert "walks.csv" in (tmp_path / "w.md").read_text()
