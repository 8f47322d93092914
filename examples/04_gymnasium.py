"""A Gymnasium environment, 256 studies at once: users pick a cell at random, or the one they hear best."""

import gymnasium
import numpy as np

import mndt.optimise.envs

gymnasium.register_envs(mndt.optimise.envs)  # says that the import is meant: it registers the environments
envs = gymnasium.make_vec("mndt/Association-v0", num_envs=256, size="large", mode="single")
n_users, n_cells = 30, 13


def strongest(observations: np.ndarray) -> np.ndarray:
    """The cell with the best SINR; an action of 0 would change nothing."""
    rows = observations.reshape(-1, n_users, 2 * n_cells + 1)  # links, SINRs, utility
    return rows[:, :, n_cells : 2 * n_cells].argmax(axis=2) + 1


for name, policy in {"random": lambda seen: envs.action_space.sample(), "strongest": strongest}.items():
    observations, _ = envs.reset(seed=1)
    envs.action_space.seed(1)
    rewards = []
    for _ in range(100):
        observations, reward, *_ = envs.step(policy(observations))
        rewards.append(reward.mean())
    print(f"{name:10} mean utility {np.mean(rewards):+.3f}")
