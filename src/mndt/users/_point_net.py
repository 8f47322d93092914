"""The network of the point process of schedules, for NumPy (sampling) and for JAX (training) alike.

`xp` is the array module. Parameters are a dict of arrays. Logarithms of densities live with the training.
"""

from __future__ import annotations

from typing import Any, Final

from mndt.users._course import N_CHOICE, N_INPUTS, N_PLACE

HIDDEN: Final = 40
WIDE: Final = 48
WAITS: Final = 6  # log-normal components of the waiting time
CLOCKS: Final = 12  # normal components of the time of the day, of this day and the next
JUMPS: Final = 8  # log-normal components of the displacement
CONTEXT: Final = 12
TRAVELS: Final = 3

Parameters = dict[str, Any]


def shapes(n_traits: int) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter."""
    n = N_INPUTS + n_traits
    waits = 3 * (WAITS + CLOCKS) + 1
    choice = 2 + CONTEXT + 2 * (3 * JUMPS + 1)
    return {
        "gru_w": (n, 3 * HIDDEN), "gru_u": (HIDDEN, 3 * HIDDEN), "gru_b": (3 * HIDDEN,),
        "wait_w1": (HIDDEN + n, WIDE), "wait_b1": (WIDE,), "wait_w2": (WIDE, waits), "wait_b2": (waits,),
        "pick_w1": (HIDDEN + n + N_CHOICE, WIDE), "pick_b1": (WIDE,), "pick_w2": (WIDE, choice), "pick_b2": (choice,),
        "place_w1": (N_PLACE, 24), "place_c": (CONTEXT, 24), "place_b1": (24,), "place_w2": (24, 1), "place_b2": (1,),
        "travel_w1": (n_traits + 7, 24), "travel_b1": (24,), "travel_w2": (24, 3 * TRAVELS),
        "travel_b2": (3 * TRAVELS,),
    }  # fmt: skip


def recur(xp: Any, p: Parameters, h: Any, x: Any) -> Any:
    """One step of the gated recurrent unit (Cho et al. 2014, doi:10.3115/v1/D14-1179)."""
    a, b = x @ p["gru_w"] + p["gru_b"], h @ p["gru_u"]
    z = _sigmoid(xp, a[..., :HIDDEN] + b[..., :HIDDEN])
    r = _sigmoid(xp, a[..., HIDDEN : 2 * HIDDEN] + b[..., HIDDEN : 2 * HIDDEN])
    new = xp.tanh(a[..., 2 * HIDDEN :] + r * b[..., 2 * HIDDEN :])
    return (1.0 - z) * h + z * new


def waiting(xp: Any, p: Parameters, h: Any, x: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Mixture of the next departure: log weights (waits, clocks, uniform), means and widths.

    Waits are normal in the logarithm of the hours waited, clocks in the hours since today's midnight.
    """
    out = _two_layers(xp, p, "wait", xp.concatenate([h, x], axis=-1))
    k = WAITS + CLOCKS
    weight = _log_softmax(xp, out[..., : k + 1])
    mean, width = out[..., k + 1 : 2 * k + 1], out[..., 2 * k + 1 :]
    wait_mean, clock_mean = xp.clip(mean[..., :WAITS], -4.0, 4.0), xp.clip(12.0 * mean[..., WAITS:], -12.0, 60.0)
    wait_width = xp.exp(xp.clip(width[..., :WAITS], -2.5, 1.0))
    clock_width = xp.exp(xp.clip(width[..., WAITS:], -3.0, 1.5))
    return weight, wait_mean, wait_width, clock_mean, clock_width


def choosing(
    xp: Any, p: Parameters, h: Any, x: Any, c: Any, places: Any, open_: Any
) -> tuple[Any, Any, tuple[Any, ...]]:
    """Log probabilities (explore, places by slot), log weights of the frames, and mixtures of displacement.

    Frames are the current place and home; each has log weights, means, widths of the logarithm of the
    distance, and the concentration of the direction towards the axis between them.
    """
    out = _two_layers(xp, p, "pick", xp.concatenate([h, x, c], axis=-1))
    context = out[..., 2 : 2 + CONTEXT]
    inner = xp.tanh(places @ p["place_w1"] + (context @ p["place_c"])[..., None, :] + p["place_b1"])
    score = (inner @ p["place_w2"] + p["place_b2"])[..., 0]
    score = xp.where(open_, score, -1e9)
    log_choice = _log_softmax(xp, xp.concatenate([out[..., :1], score], axis=-1))
    gate = out[..., 1:2]
    log_gate = xp.concatenate([-_softplus(xp, gate), -_softplus(xp, -gate)], axis=-1)  # current, home
    frames = []
    for f in range(2):
        part = out[..., 2 + CONTEXT + f * (3 * JUMPS + 1) : 2 + CONTEXT + (f + 1) * (3 * JUMPS + 1)]
        frames += [
            _log_softmax(xp, part[..., :JUMPS]),
            xp.clip(part[..., JUMPS : 2 * JUMPS], -8.0, 8.0),
            xp.exp(xp.clip(part[..., 2 * JUMPS : 3 * JUMPS], -3.0, 1.0)),
            xp.clip(part[..., 3 * JUMPS], -8.0, 8.0),
        ]
    return log_choice, log_gate, tuple(frames)


def travelling(xp: Any, p: Parameters, inputs: Any) -> tuple[Any, Any, Any]:
    """Mixture of the logarithm of the minutes a trip takes: log weights, means, widths."""
    out = _two_layers(xp, p, "travel", inputs)
    width = xp.exp(xp.clip(out[..., 2 * TRAVELS :], -3.0, 1.0))
    return _log_softmax(xp, out[..., :TRAVELS]), xp.clip(out[..., TRAVELS : 2 * TRAVELS], -3.0, 8.0), width


def _two_layers(xp: Any, p: Parameters, name: str, x: Any) -> Any:
    return xp.tanh(x @ p[name + "_w1"] + p[name + "_b1"]) @ p[name + "_w2"] + p[name + "_b2"]


def _sigmoid(xp: Any, x: Any) -> Any:
    return 0.5 * (1.0 + xp.tanh(0.5 * x))


def _softplus(xp: Any, x: Any) -> Any:
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))


def _log_softmax(xp: Any, x: Any) -> Any:
    x = x - xp.max(x, axis=-1, keepdims=True)
    return x - xp.log(xp.sum(xp.exp(x), axis=-1, keepdims=True))
