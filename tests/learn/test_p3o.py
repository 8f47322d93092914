"""Constrained policy optimisation on a process whose optimum and multiplier are known."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("optax")

from mndt.learn import p3o  # noqa: E402

# First state A, then state B. Acting costs 1 in both and brings 1 in A, 3 in B. With at most 1.5 in the
# mean, the linear programme acts always in B and half the time in A: 3.5, and the multiplier is 1, the price
# in A, where the last unit of cost is spent.
REWARD, LIMIT, BEST, MULTIPLIER = np.array([1.0, 3.0]), 1.5, 3.5, 1.0


def chances(params):
    out = p3o.output(params, np.eye(2, dtype=np.float32))
    return 1.0 / (1.0 + np.exp(out[:, 0] - out[:, 1]))


def rolled(params, rng, n=2048):
    """Episodes with evenly spread uniform numbers, which keeps the noise of the means small."""
    observation = np.repeat(np.eye(2, dtype=np.float32), n, axis=0)
    uniform = np.concatenate([rng.permutation((np.arange(n) + 0.5) / n) for _ in range(2)])
    action = p3o.sample("categorical", params, observation, uniform)
    acted = action.reshape(2, n).astype(float)
    p = chances(params)
    value_c = np.repeat(p[::-1].cumsum()[::-1, None], n, axis=1)
    value_r = np.repeat((p * REWARD)[::-1].cumsum()[::-1, None], n, axis=1)
    reward = p3o.advantages(acted * REWARD[:, None], value_r)
    cost = p3o.advantages(acted, value_c)
    log_prob = p3o.log_prob("categorical", params, observation, action)
    columns = (x.ravel().astype(np.float32) for x in (log_prob, reward, cost))
    return p3o.Batch(observation, action, *columns), acted.sum(axis=0).mean()


def trained(kappa=0.0, multiplier=None, rounds=150):
    rng = np.random.default_rng(3)
    params = p3o.first_params("categorical", 2, 0, rng, n_actions=2)
    state = p3o.first_state("categorical", params, p3o.Settings())
    for k in range(rounds):
        settings = p3o.Settings(rate=0.15 * (1.0 - k / rounds), passes=5, minibatch=4096, target_kl=0.05)
        batch, cost = rolled(params, rng)
        if multiplier is not None:
            multiplier = multiplier.after(cost - LIMIT)
            batch = multiplier.mixed(batch)
        params, state, _ = p3o.improve(
            "categorical", params, state, batch, rng, kappa=kappa, violation=(cost - LIMIT) / 2, settings=settings
        )
    p = chances(params)
    return float(p.sum()), float((p * REWARD).sum()), multiplier


@pytest.mark.parametrize("factor", [1.5, 5.0])
def test_a_penalty_above_the_multiplier_gives_the_constrained_optimum(factor):
    cost, reward, _ = trained(factor * MULTIPLIER)
    assert cost <= LIMIT * 1.01
    assert abs(reward - BEST) <= 0.01 * BEST


def test_a_penalty_below_the_multiplier_violates_the_constraint():
    cost, reward, _ = trained(0.5 * MULTIPLIER)
    assert cost > 1.9
    assert reward > 3.85


def test_the_steered_multiplier_finds_its_value():
    cost, reward, found = trained(multiplier=p3o.Multiplier(proportion=1.0, integral=0.1, rise=0.1), rounds=250)
    assert cost <= LIMIT * 1.02
    assert abs(reward - BEST) <= 0.02 * BEST
    assert found.value == pytest.approx(MULTIPLIER, abs=0.25)


def gaussian_batch(n=512):
    rng = np.random.default_rng(7)
    params = p3o.first_params("gaussian", 3, 8, rng)
    params["w_out"] = rng.standard_normal((8, 1)).astype(np.float32)
    observation = rng.standard_normal((n, 3)).astype(np.float32)
    action = p3o.sample("gaussian", params, observation, rng.random(n))
    log_prob = p3o.log_prob("gaussian", params, observation, action).astype(np.float32)
    columns = (rng.standard_normal(n).astype(np.float32) for _ in range(2))
    return params, p3o.Batch(observation, action, log_prob, *columns)


def test_without_penalty_it_is_proximal_policy_optimisation_bit_for_bit():
    import jax.numpy as jnp
    import optax

    params, batch = gaussian_batch()
    settings = p3o.Settings(rate=1e-2, passes=6, minibatch=128, target_kl=9.0)
    ours, _, step = p3o.improve(
        "gaussian", params, p3o.first_state("gaussian", params, settings), batch, np.random.default_rng(1),
        kappa=0.0, violation=5.0, settings=settings,
    )  # fmt: skip

    def plain(p, b):
        ratio = jnp.exp(p3o.log_prob("gaussian", p, b.observation, b.action, jnp) - b.log_prob)
        near = jnp.clip(ratio, 0.8, 1.2)
        return -jnp.minimum(ratio * b.reward_advantage, near * b.reward_advantage).mean()

    rule = optax.chain(optax.clip_by_global_norm(40.0), optax.scale_by_adam())
    state, theirs, rng = rule.init(params), params, np.random.default_rng(1)

    @jax.jit
    def update(p, s, b, rate):
        change, s = rule.update(jax.grad(plain)(p, b), s, p)
        return jax.tree.map(lambda x, c: x - rate * c, p, change), s

    for _ in range(6):
        order = rng.permutation(512)
        for k in range(0, 512, 128):
            part = p3o.Batch(*(column[order[k : k + 128]] for column in batch))
            theirs, state = update(theirs, state, part, np.float32(1e-2))
    assert step.passes == 6
    assert any((ours[name] != params[name]).any() for name in params)
    for name in params:
        assert ours[name].tobytes() == np.asarray(theirs[name]).tobytes(), name


@pytest.mark.parametrize(("violation", "gate"), [(0.5, 1.0), (-0.5, 0.0)])
def test_the_first_gradient_is_that_of_the_unclipped_lagrangian(violation, gate):
    import jax.numpy as jnp

    params, batch = gaussian_batch()

    def lagrangian(p):
        ratio = jnp.exp(p3o.log_prob("gaussian", p, batch.observation, batch.action, jnp) - batch.log_prob)
        return (ratio * (-batch.reward_advantage + 3.0 * gate * batch.cost_advantage)).mean()

    # at ratio 1 both branches of the minimum are equal: their gradients are shared in halves, as the clip's
    # own derivative at 1 is 1
    ours = jax.jit(jax.grad(lambda p: p3o.surrogate("gaussian", p, batch, violation, 3.0, 0.2)))(params)
    theirs = jax.jit(jax.grad(lagrangian))(params)
    for name in params:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-4, atol=2e-6)


def test_the_cost_is_judged_by_the_worse_and_the_reward_by_the_worse():
    params = {"w_out": np.zeros((1, 1), np.float32), "b_out": np.zeros(1, np.float32), "log_std": np.float32(0)}
    zero = np.zeros((1, 1), np.float32)
    now = float(p3o.log_prob("gaussian", params, zero, np.zeros(1, np.float32))[0])
    for advantage in (1.0, -1.0):
        # the ratio is 2: clipped 1.2
        batch = p3o.Batch(zero, np.zeros(1), np.array([now - np.log(2.0)]), np.zeros(1), np.full(1, advantage))
        cost = float(p3o.surrogate("gaussian", params, batch, 3.0, 1.0, 0.2)) - 3.0
        assert cost == pytest.approx(max(2.0 * advantage, 1.2 * advantage), rel=1e-5)
        swapped = batch._replace(reward_advantage=batch.cost_advantage, cost_advantage=np.zeros(1))
        reward = -float(p3o.surrogate("gaussian", params, swapped, 0.0, 1.0, 0.2))
        assert reward == pytest.approx(min(2.0 * advantage, 1.2 * advantage), rel=1e-5)


def test_passes_end_once_the_policy_has_moved():
    params, batch = gaussian_batch()
    settings = p3o.Settings(rate=0.1, passes=50, minibatch=128)
    state = p3o.first_state("gaussian", params, settings)
    _, _, step = p3o.improve("gaussian", params, state, batch, np.random.default_rng(0), kappa=0.0, settings=settings)
    assert step.passes < 50
    assert step.kl > 0.03


def test_the_normaliser_merges_parts_like_the_whole():
    x = np.random.default_rng(0).normal(5.0, 3.0, (1000, 4))
    merged = p3o.Normaliser.fresh(4).seen(x[:300]).seen(x[300:])
    np.testing.assert_allclose(merged.mean, x.mean(axis=0))
    np.testing.assert_allclose(merged.square / 1000, x.var(axis=0))
    assert abs(merged(x).std() - 1.0) < 1e-3


def test_normalised_advantages_keep_the_meaning_of_the_violation():
    _, batch = gaussian_batch()
    wide = batch._replace(cost_advantage=10.0 * batch.cost_advantage)
    one, by_one = p3o.normalised(batch, 0.1)
    ten, by_ten = p3o.normalised(wide, 1.0)
    np.testing.assert_allclose(one.cost_advantage, ten.cost_advantage, atol=1e-5)
    assert by_one == pytest.approx(by_ten, rel=1e-5)
