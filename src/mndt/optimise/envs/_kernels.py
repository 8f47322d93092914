"""One step of many compact studies in one pass: connect, share, judge, move, look.

Conventions: e a study, u a user, c a cell. Arrays over studies, users and cells are flat, row-major;
float32 for links, whose loops are vectorised, float64 where few numbers are summed.
"""
# mypy: disable-error-code="call-arg,var-annotated,no-untyped-def"

from __future__ import annotations

from math import log1p, log10, sqrt
from typing import Any, Final

import numba as nb
import numpy as np

from mndt.radio._simd import FAST, F, I, exp2f, log2f, mix, step_of

INNER: Final[dict[str, Any]] = FAST | {"cache": False}
"""Options of what is only called from `advance`, and kept on disk as part of it."""

USER: Final = np.dtype(
    [
        ("x_m", "f4"), ("y_m", "f4"), ("to_x_m", "f4"), ("to_y_m", "f4"),
        ("utility", "f4"), ("rate", "f4"), ("present", "i4"), ("draws", "i4"),
    ]
)  # fmt: skip
"""A user: position, waypoint, utility in [-1, 1], rate in units of the setting, draws made so far."""

STUDY: Final = np.dtype([("seed", "i4"), ("episode", "i4"), ("key", "i4"), ("step", "i4"), ("over", "i4")])
"""A study: its seed, how many episodes it has begun, the key of this one's draws, time, is it over?"""

X, Y, COUNT, SUM = 0, 1, 2, 3
CELL_ROWS: Final = 4
"""Rows of `cells`: position, and, while a study is worked on, users connected and a sum over them."""

REWARD, OVER, LINKS, CONNECTED, RATE = 0, 1, 2, 3, 4
FOUND: Final = 5
"""Rows of `out_found`: reward, is the episode over?, links in use, users connected, mean rate."""

LN2: Final = 0.6931471805599453


@nb.njit(**INNER)
def _draw(user: Any, key: Any, u: Any) -> Any:
    """The user's next number from [0, 1), in steps of 2^-24: a hash of key, user and count."""
    user.draws += 1
    bits = mix(I(mix(I(key + step_of(I(u)))) ^ step_of(I(user.draws))))
    return F(I(bits & I(0xFFFFFF))) * F(2.0**-24)


@nb.njit(**INNER)
def _appear(rule: Any, user: Any, key: Any, u: Any) -> None:
    """Put a user anywhere, bound for anywhere."""
    user.x_m, user.y_m = _draw(user, key, u) * rule.width_m, _draw(user, key, u) * rule.height_m
    user.to_x_m, user.to_y_m = _draw(user, key, u) * rule.width_m, _draw(user, key, u) * rule.height_m
    user.utility, user.rate, user.present = F(-1.0), F(0.0), I(1)


@nb.njit(**INNER)
def _walk(rule: Any, user: Any, key: Any, u: Any) -> None:
    """One second of random waypoint: towards the goal; on it, the next goal is drawn."""
    dx, dy = user.to_x_m - user.x_m, user.to_y_m - user.y_m
    left_m = sqrt(dx * dx + dy * dy)
    if left_m > rule.step_m:
        user.x_m += F(dx * (rule.step_m / left_m))
        user.y_m += F(dy * (rule.step_m / left_m))
    else:
        user.x_m, user.y_m = user.to_x_m, user.to_y_m
        user.to_x_m, user.to_y_m = _draw(user, key, u) * rule.width_m, _draw(user, key, u) * rule.height_m


@nb.njit(**INNER)
def _hear(rule: Any, cells: Any, x_m: Any, y_m: Any, out_snr: Any) -> None:
    """SNR of a user's links from where it stands, by the law of `setting.RULE`."""
    near, near_slope, far, far_slope = rule.near, rule.near_slope, rule.far, rule.far_slope
    bend_m2, rise_m2 = rule.bend_m2, rule.rise_m2
    cell_x_m, cell_y_m = cells[X], cells[Y]
    for c in range(out_snr.shape[0]):
        dx, dy = x_m - cell_x_m[c], y_m - cell_y_m[c]
        flat_m2 = dx * dx + dy * dy
        log_slant = log2f(flat_m2 + rise_m2)
        beyond = flat_m2 > bend_m2
        out_snr[c] = exp2f((far if beyond else near) + (far_slope if beyond else near_slope) * log_slant)


@nb.njit(**INNER)
def _disturbance(rule: Any, count: Any, snr: Any) -> Any:
    """Power from all cells that serve somebody, over noise; 0 without interference. In float64, so that
    taking a strong own signal off leaves the others'."""
    total = 0.0
    if rule.interference:
        for c in range(snr.shape[0]):
            total += np.float64(snr[c] if count[c] > F(0.0) else F(0.0))
    return total


@nb.njit(**INNER)
def _sinr(snr: Any, count: Any, total: Any) -> Any:
    """SINR of one link, the SNR where `total` is 0."""
    others = total - np.float64(snr if count > F(0.0) else F(0.0))
    return np.float64(snr) / (1.0 + max(others, 0.0))


@nb.njit(**INNER)
def _connect(rule: Any, linked: Any, snr: Any, action: Any) -> None:
    """Release what is out of reach, then do as the user chose: 0 nothing, c + 1 about cell c."""
    for c in range(snr.shape[0]):
        if snr[c] <= rule.least_snr:
            linked[c] = F(0.0)
    if action == 0:
        return
    c = action - 1
    reachable = snr[c] > rule.least_snr
    if rule.mode == 0:
        linked[c] = F(1.0) if linked[c] == F(0.0) and reachable else F(0.0)
    elif reachable:
        linked[:] = F(0.0)
        linked[c] = F(1.0)


@nb.njit(**INNER)
def _count(cells: Any, users: Any, linked: Any, e: Any, n_users: Any, n_cells: Any) -> None:
    """Users connected to each cell, and the sum of their utilities."""
    cells[COUNT:] = F(0.0)
    for u in range(e * n_users, (e + 1) * n_users):
        for c in range(n_cells):
            cells[COUNT, c] += linked[u * n_cells + c]
            cells[SUM, c] += linked[u * n_cells + c] * users[u].utility


@nb.njit(**INNER)
def _part(rule: Any, rate: Any, count: Any, total: Any) -> Any:
    """What a user gets of a link's rate when the cell's time is shared; `total` is the sum over its links."""
    if rule.share == 0:
        return rate / count
    if rule.share == 1:  # total of inverse rates
        return 1.0 / total
    return rate * (rate / total)


@nb.njit(**INNER)
def _serve(
    rule: Any, cells: Any, users: Any, linked: Any, snr: Any, rate: Any, e: Any, n_users: Any, n_cells: Any
) -> None:
    """Rate and utility of every user. Shannon per link; a user's links add up."""
    cells[SUM] = F(0.0)
    for i in range(n_users):
        at = (e * n_users + i) * n_cells
        links = snr[at : at + n_cells]
        total = _disturbance(rule, cells[COUNT], links)
        for c in range(n_cells):
            if linked[at + c] > F(0.0):
                alone = rule.bandwidth * log1p(_sinr(links[c], cells[COUNT, c], total)) / LN2
                rate[i, c] = alone
                cells[SUM, c] += F(1.0 / alone if rule.share == 1 else alone)
    for i in range(n_users):
        at, got = (e * n_users + i) * n_cells, 0.0
        for c in range(n_cells):
            if linked[at + c] > F(0.0):
                got += _part(rule, rate[i, c], cells[COUNT, c], cells[SUM, c])
        user = users[e * n_users + i]
        user.rate = F(got)
        user.utility = F(min(max(0.5 * log10(got), -1.0), 1.0)) if got > 0.0 else F(-1.0)


@nb.njit(**INNER)
def _judge(cells: Any, users: Any, linked: Any, e: Any, n_users: Any, n_cells: Any, out_found: Any) -> None:
    """Reward (mean utility of those present, 0 of nobody) and what else is told of the step."""
    present, utility, rate, links, connected = 0, 0.0, 0.0, 0, 0
    for u in range(e * n_users, (e + 1) * n_users):
        if users[u].present:
            present += 1
            utility += users[u].utility
            rate += users[u].rate
            held = 0
            for c in range(n_cells):
                held += 1 if linked[u * n_cells + c] > F(0.0) else 0
            links += held
            connected += 1 if held else 0
    out_found[REWARD, e] = utility / max(present, 1)
    out_found[LINKS, e], out_found[CONNECTED, e] = links, connected
    out_found[RATE, e] = rate / max(present, 1)


@nb.njit(**INNER)
def _pass_a_second(rule: Any, users: Any, linked: Any, key: Any, e: Any, n_users: Any, n_cells: Any) -> None:
    """Users walk; some leave, and some who were absent appear."""
    for i in range(n_users):
        u = e * n_users + i
        user = users[u]
        if user.present:
            _walk(rule, user, key, i)
        if rule.leave > F(0.0):
            chance = _draw(user, key, i)
            if user.present and chance < rule.leave:
                user.present, user.utility, user.rate = I(0), F(-1.0), F(0.0)
                linked[u * n_cells : (u + 1) * n_cells] = F(0.0)
            elif user.present == 0 and chance < rule.arrive:
                _appear(rule, user, key, i)


@nb.njit(**INNER)
def _compare(rule: Any, count: Any, snr: Any, out: Any) -> None:
    """SINR of every link over that of the best one."""
    total, best = _disturbance(rule, count, snr), F(0.0)
    for c in range(snr.shape[0]):
        sinr = F(_sinr(snr[c], count[c], total))
        out[c] = sinr
        best = max(best, sinr)
    for c in range(snr.shape[0]):  # fast division is off by a bit, and 1 is the space's border
        out[c] = F(1.0) if out[c] >= best else min(out[c] / best, F(1.0))


@nb.njit(**INNER)
def _observe(
    rule: Any, cells: Any, users: Any, linked: Any, snr: Any, e: Any, n_users: Any, n_cells: Any, out: Any
) -> None:
    """What is seen of each user: links, quality relative to the best, utility, and what cells broadcast."""
    _count(cells, users, linked, e, n_users, n_cells)
    width = (4 if rule.broadcast else 2) * n_cells + 1
    for u in range(e * n_users, (e + 1) * n_users):
        at, row = u * n_cells, out[u * width : (u + 1) * width]
        if users[u].present == 0:
            row[:] = F(0.0)
            row[2 * n_cells : 2 * n_cells + 1 + (n_cells if rule.broadcast else 0)] = F(-1.0)
            continue
        links = snr[at : at + n_cells]
        _hear(rule, cells, users[u].x_m, users[u].y_m, links)
        _compare(rule, cells[COUNT], links, row[n_cells : 2 * n_cells])
        for c in range(n_cells):
            row[c] = linked[at + c]
        row[2 * n_cells] = users[u].utility
        if rule.broadcast:
            _listen(rule, cells, links, row[2 * n_cells + 1 :])


@nb.njit(**INNER)
def _listen(rule: Any, cells: Any, snr: Any, out: Any) -> None:
    """Of cells in reach: mean utility of their users (-1 idle or out of reach), and share of the users counted."""
    n_cells, heard = snr.shape[0], F(0.0)
    for c in range(n_cells):
        if snr[c] > rule.least_snr:
            heard += cells[COUNT, c]
    for c in range(n_cells):
        reached, count = snr[c] > rule.least_snr, cells[COUNT, c]
        mean = cells[SUM, c] / max(count, F(1.0))
        out[c] = min(max(mean, F(-1.0)), F(1.0)) if reached and count > F(0.0) else F(-1.0)
        out[n_cells + c] = min(count / max(heard, F(1.0)), F(1.0)) if reached else F(0.0)


@nb.njit(**INNER)
def _begin(rule: Any, users: Any, studies: Any, linked: Any, e: Any, n_users: Any, n_cells: Any) -> None:
    """A new episode: everyone anywhere, nobody connected."""
    study = studies[e]
    study.episode += 1
    study.key = mix(I(study.seed + step_of(I(study.episode))))
    study.step, study.over = I(0), I(0)
    stays = rule.arrive / (rule.arrive + rule.leave) if rule.leave > F(0.0) else F(1.0)
    for i in range(n_users):
        user = users[e * n_users + i]
        user.draws = I(0)
        _appear(rule, user, study.key, i)
        user.present = I(1) if _draw(user, study.key, i) < stays else I(0)
    linked[e * n_users * n_cells : (e + 1) * n_users * n_cells] = F(0.0)


@nb.njit(**FAST)
def advance(
    rules: Any, cells: Any, users: Any, studies: Any, linked: Any, snr: Any, rate: Any, actions: Any, begin: bool,
    out: Any, out_found: Any,
) -> int:  # fmt: skip
    """Every study's next step; the first of an episode where `begin`, or where the last one is over.

    Args:
        rules: one record of `setting.RULE`.
        cells: float32[CELL_ROWS, cells].
        users: USER[studies * users]; studies: STUDY[studies].
        linked, snr: float32[studies * users * cells]. rate: float64[users, cells], scratch.
        actions: int64[studies * users], 0 to the number of cells; not read where `begin`.
        out: float32[studies * users * observed]; out_found: float64[FOUND, studies].

    Returns:
        0, or the row of the first action outside its range plus 1: then nothing was changed.
    """
    rule, n_cells, n_users = rules[0], cells.shape[1], rate.shape[0]
    if not begin:
        for row in range(actions.shape[0]):
            if actions[row] < 0 or actions[row] > n_cells:
                return row + 1
    for e in range(studies.shape[0]):
        study = studies[e]
        if begin or study.over:
            _begin(rule, users, studies, linked, e, n_users, n_cells)
            for row in range(FOUND):
                out_found[row, e] = 0.0
        else:
            for u in range(e * n_users, (e + 1) * n_users):
                if users[u].present:
                    at = slice(u * n_cells, (u + 1) * n_cells)
                    _connect(rule, linked[at], snr[at], actions[u])
            _count(cells, users, linked, e, n_users, n_cells)
            _serve(rule, cells, users, linked, snr, rate, e, n_users, n_cells)
            _judge(cells, users, linked, e, n_users, n_cells, out_found)
            _pass_a_second(rule, users, linked, study.key, e, n_users, n_cells)
            study.step += 1
            study.over = I(1) if study.step >= rule.episode_steps else I(0)
            out_found[OVER, e] = study.over
        _observe(rule, cells, users, linked, snr, e, n_users, n_cells, out)
    return 0
