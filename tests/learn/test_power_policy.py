"""Powers from a network: feasible, indifferent to order, with the gradient of the explicit value, and good."""

import numpy as np
import pytest

from mndt.errors import InputError
from mndt.learn.block_graph import credit, lay_out, rates, slope
from mndt.learn.power_policy import (
    fit_power,
    learned_power,
    policy,
    read_power,
    scene_of,
    start_weights,
    value,
    worth,
)

NOISE_W, N_BLOCKS = 1e-15, 10


def _network(seed, n_users=60, n_cells=12):
    """Users near their cells in the plane, each on a block that is free in his cell."""
    rng = np.random.default_rng(seed)
    at, cells = rng.uniform(0, 600, (n_users, 1, 2)), rng.uniform(0, 600, (n_cells, 2))
    loss_db = 40.75 + 27.0 * np.log10(np.hypot(np.linalg.norm(at - cells, axis=2), 5.0))
    gain = (10.0 ** (-loss_db / 10.0)).astype(np.float32)
    limit_w = rng.uniform(0.25, 1.0, n_cells).astype(np.float32)
    cell = gain.argmax(axis=1).astype(np.int32)
    free = [list(rng.permutation(N_BLOCKS)) for _ in range(n_cells)]
    block = np.empty(n_users, np.int32)
    for u in range(n_users):
        while not free[cell[u]]:
            cell[u] = rng.integers(n_cells)
        block[u] = free[cell[u]].pop()
    return gain, limit_w, cell, block, rng


def _scene(seed, slots=12, **size):
    gain, limit_w, cell, block, rng = _network(seed, **size)
    graph = lay_out(gain, cell, block, limit_w, N_BLOCKS, NOISE_W, slots)
    n = len(cell)
    weight, bonus = np.ones(n, np.float32), np.full(n, rng.uniform(0, 3), np.float32)
    return graph, scene_of(graph, weight, bonus, rng.uniform(0, 5, n).astype(np.float32))


def _random_weights(seed, scale=0.3):
    rng = np.random.default_rng(seed)
    return {n: (w + rng.normal(0, scale, w.shape)).astype(np.float32) for n, w in start_weights().items()}


def _wmmse(heard, own, power, weight, limit, cell, steps=150):
    """Weighted mean-square errors on dense users in plain NumPy (Shi et al. 2011); gains over noise."""
    v = np.sqrt(power)
    for _ in range(steps):
        heard_all = 1.0 + heard @ v**2
        u = np.sqrt(own) * v / (heard_all + own * v**2)
        inverse = 1.0 + own * v**2 / heard_all
        cost = weight * inverse * u**2
        below, above = heard.T @ cost + cost * own, weight * inverse * u * np.sqrt(own)
        for c in range(len(limit)):
            mine = cell == c
            low, high = 0.0, float(np.sqrt((above[mine] ** 2).sum() / limit[c])) if mine.any() else 0.0
            if ((above[mine] / below[mine]) ** 2).sum() <= limit[c]:
                high = 0.0
            for _ in range(50):
                middle = 0.5 * (low + high)
                too_much = ((above[mine] / (below[mine] + middle)) ** 2).sum() > limit[c]
                low, high = (middle, high) if too_much else (low, middle)
            v[mine] = above[mine] / (below[mine] + high)
    return v**2


def test_slots_give_the_rates_of_the_plain_formula():
    gain, limit_w, cell, block, rng = _network(0)
    graph = lay_out(gain, cell, block, limit_w, N_BLOCKS, NOISE_W)
    power = (limit_w[cell] * rng.uniform(0, 0.3, len(cell))).astype(np.float32)
    found = graph.gather(rates(np, graph.heard, graph.own, graph.spread(power)))
    for u in range(len(cell)):
        others = [v for v in range(len(cell)) if v != u and block[v] == block[u]]
        heard = sum(float(gain[u, cell[v]]) * power[v] for v in others) + NOISE_W
        assert found[u] == pytest.approx(np.log2(1 + gain[u, cell[u]] * power[u] / heard), rel=1e-3, abs=1e-4)


def test_credit_is_what_is_lost_by_taking_the_user_out():
    """Without the price of power, which the others of the cell pay when they get none of it."""
    graph, scene = _scene(1)
    power = graph.fair_w
    had, given = credit(graph, power, scene.need)
    rate = rates(np, graph.heard, graph.own, power)
    np.testing.assert_allclose(had[0], rate, rtol=1e-4, atol=1e-5)
    k, i = (int(x) for x in np.argwhere(graph.real)[17])
    without = power.copy()
    without[k, i] = 0.0
    lost = rate.sum() - rates(np, graph.heard, graph.own, without).sum()
    c = graph.cell[k, i]
    gradient = slope(np, graph.heard, graph.own, power, graph.real.astype(np.float32))
    mine = graph.real & (graph.cell == c)
    price = max((power * gradient)[mine].sum() / graph.limit_w[c], 0.0)
    assert given[0, k, i] == pytest.approx(lost - price * power[k, i], rel=1e-3, abs=1e-3)


def test_powers_are_feasible_whatever_the_weights():
    graph, scene = _scene(2)
    for seed in range(5):
        power = learned_power(_random_weights(seed), scene)
        assert (power[graph.real] >= 0).all()
        assert (power[~graph.real] == 0).all()
        spent = np.bincount(graph.cell.ravel(), power.ravel(), len(graph.limit_w))
        assert (spent <= graph.limit_w * (1 + 1e-5)).all()


def test_untrained_powers_are_equal_shares():
    graph, scene = _scene(3)
    np.testing.assert_allclose(learned_power(start_weights(), scene), graph.fair_w / (1 + np.exp(-4)), rtol=1e-4)


def test_order_of_users_and_names_of_blocks_do_not_matter():
    gain, limit_w, cell, block, rng = _network(4)
    n, weights = len(cell), _random_weights(7)
    terms = rng.uniform(0.5, 2, (3, n)).astype(np.float32)
    order, names = rng.permutation(n), rng.permutation(N_BLOCKS).astype(np.int32)

    def powers(order, names):
        graph = lay_out(gain[order], cell[order], names[block[order]], limit_w, N_BLOCKS, NOISE_W)
        return graph.gather(learned_power(weights, scene_of(graph, *terms[:, order])))

    one, other = powers(np.arange(n), np.arange(N_BLOCKS)), powers(order, names)
    np.testing.assert_allclose(other, one[order], rtol=2e-3, atol=1e-7)


def test_gradient_of_powers_against_differences():
    """Without a kink near: no bonus."""
    graph, scene = _scene(5)
    scene = scene._replace(bonus=np.zeros_like(scene.bonus))
    power = graph.fair_w.astype(np.float64)
    wide = scene._replace(heard=scene.heard.astype(float), own=scene.own.astype(float))
    found = slope(np, wide.heard, wide.own, power, scene.weight)
    for k, i in np.argwhere(graph.real)[::9]:
        step = 1e-4 * power[k, i]
        up, down = power.copy(), power.copy()
        up[k, i] += step
        down[k, i] -= step
        difference = (worth(np, wide, up) - worth(np, wide, down)) / (2 * step)
        assert found[k, i] == pytest.approx(difference, rel=1e-4, abs=1e-4 * abs(found).max())


def _differentiated(weights, scene):
    """Gradient of the value by JAX, of the action alone; and the pull-back of the policy at some gradient of powers."""
    import jax
    import jax.numpy as jnp

    def powers(p):
        return policy(jnp, lambda rows: jax.ops.segment_sum(rows, scene.cell.ravel(), len(scene.limit_w)), p, scene)[-1]

    def both(p, explicit):
        return jax.grad(lambda q: value(q, scene)[1])(p), jax.vjp(powers, p)[1](explicit)[0]

    return jax.jit(both)


def test_gradient_of_weights_is_that_of_the_value_times_that_of_the_policy():
    """Chain rule by hand, the explicit gradient of the rates in the middle; and differences in float64."""
    graph, scene = _scene(6)
    scene = scene._replace(bonus=np.zeros_like(scene.bonus))
    weights = _random_weights(3, 0.1)
    power = learned_power(weights, scene)
    explicit = slope(np, graph.heard, graph.own, power, scene.weight) / scene.real.sum()
    whole, by_hand = _differentiated(weights, scene)(weights, explicit)
    for name in weights:
        scale = float(np.abs(whole[name]).max()) + 1e-6
        np.testing.assert_allclose(by_hand[name] / scale, whole[name] / scale, atol=5e-3)

    index, rng = scene.cell.ravel(), np.random.default_rng(0)
    wide = scene._replace(**{f: np.asarray(getattr(scene, f), float) for f in scene._fields if f != "cell"})

    def at(p):
        def total(rows):
            return np.stack([np.bincount(index, column, len(scene.limit_w)) for column in rows.T], axis=1)

        return worth(np, wide, policy(np, total, p, wide)[-1]) / scene.real.sum()

    for name in weights:
        along = rng.normal(0, 1, weights[name].shape)
        up, down = (weights | {name: weights[name] + sign * 1e-6 * along} for sign in (1, -1))
        expected = float((whole[name] * along).sum())
        assert (at(up) - at(down)) / 2e-6 == pytest.approx(expected, rel=0.02, abs=2e-4)


UPDATES, RATE = 500, 3e-3


@pytest.fixture(scope="module")
def scenes():
    """Weighted sum rates, without a bonus."""
    out = []
    for seed in range(100, 116):
        _, scene = _scene(seed)
        weight = np.random.default_rng(seed).uniform(0.5, 2.0, scene.weight.shape).astype(np.float32) * scene.real
        out.append(scene._replace(weight=weight, bonus=np.zeros_like(weight)))
    return out


@pytest.fixture(scope="module")
def trained(scenes):
    return fit_power(scenes, updates=UPDATES, rate=RATE)


@pytest.mark.slow
def test_trained_powers_reach_wmmse_on_networks_not_seen(trained):
    """At least 95 % of its weighted sum rate, and more than equal shares."""
    ours = theirs = equal = 0.0
    for seed in range(200, 205):
        gain, limit_w, cell, block, rng = _network(seed)
        n = len(cell)
        weight = rng.uniform(0.5, 2.0, n).astype(np.float32)
        graph = lay_out(gain, cell, block, limit_w, N_BLOCKS, NOISE_W, 12)
        scene = scene_of(graph, weight, np.zeros(n, np.float32), np.zeros(n, np.float32))
        heard = (gain[:, cell] / NOISE_W * (block[:, None] == block[None])).astype(float)
        own = heard.diagonal().copy()
        np.fill_diagonal(heard, 0.0)
        fair = graph.gather(graph.fair_w).astype(float)
        reference = _wmmse(heard, own, fair, weight.astype(float), limit_w.astype(float), cell)
        theirs += worth(np, scene, graph.spread(reference.astype(np.float32)))
        ours += worth(np, scene, learned_power(trained.weights, scene))
        equal += worth(np, scene, graph.fair_w)
    assert ours >= 0.95 * theirs
    assert ours > 1.02 * equal


@pytest.mark.slow
def test_training_repeats_and_climbs(trained, scenes):
    count = iter(range(12))
    again = fit_power(scenes, updates=UPDATES, rate=RATE, spent=lambda: float(next(count) == 10))
    np.testing.assert_array_equal(again.curve, trained.curve[:10])
    assert again.updates == 10
    assert trained.curve[-60:].mean() > trained.curve[:60].mean()


def test_a_file_that_is_no_policy_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", in_w=np.zeros((2, 2)))
    with pytest.raises(InputError, match="train it anew"):
        read_power(tmp_path / "a.npz")
