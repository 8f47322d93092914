"""The link equations, written to be read: the reference for `radio._kernels`.

Array-API generic: pass NumPy arrays for numbers, JAX arrays for gradients. Everything is linear
and in SI units.
"""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace


def block_sinr(gain: Any, user_of_block: Any, power_w: Any, noise_w: Any, fading: Any = None) -> Any:
    """SINR of every block of every cell (paper III-B; interference per block).

    ``gain[u, c] p[c, k] h[u, c, k] / (sum over c' != c of gain[u, c'] p[c', k] h[u, c', k] + N[c])``

    Args:
        gain: large-scale gain [users, cells].
        user_of_block: user holding block k of cell c [cells, blocks]; -1 = free.
        power_w: power on the block [cells, blocks].
        noise_w: noise power in one block of the cell [cells].
        fading: fading power h [users, cells, blocks]; None = 1.

    Returns:
        SINR [cells, blocks], 0 where a block is free.

    >>> import numpy as np
    >>> gain = np.array([[1e-9, 1e-10]])
    >>> sinr = block_sinr(gain, np.array([[0], [-1]]), np.array([[1.0], [1.0]]), np.array([1e-10, 1e-10]))
    >>> float(sinr[0, 0].round(3))
    5.0
    """
    xp = array_namespace(gain, power_w)
    used = user_of_block >= 0
    user = xp.where(used, user_of_block, 0)
    n_cells, n_blocks = user_of_block.shape
    received = gain[user, :] * xp.moveaxis(power_w, 0, 1)[None, :, :]  # [cells, blocks, cells]
    if fading is not None:
        block = xp.arange(n_blocks)[None, :]
        received = received * fading[user, :, block]
    own = xp.eye(n_cells, dtype=xp.bool)[:, None, :]
    signal = xp.sum(xp.where(own, received, 0.0), axis=-1)
    interference = xp.sum(xp.where(own, 0.0, received), axis=-1)  # never "total minus own"
    return xp.where(used, signal / (interference + noise_w[:, None]), 0.0)


def shannon_rate_bps(sinr: Any, bandwidth_hz: Any) -> Any:
    """Shannon's rate ``B log2(1 + SINR)`` in bit/s.

    >>> import numpy as np
    >>> float(shannon_rate_bps(np.asarray(3.0), 180e3))
    360000.0
    """
    xp = array_namespace(sinr)
    return bandwidth_hz * xp.log2(1.0 + sinr)


def sinr_for_rate(rate_bps: Any, bandwidth_hz: Any) -> Any:
    """The SINR at which Shannon's rate is reached: ``2^(r / B) - 1``.

    >>> import numpy as np
    >>> float(sinr_for_rate(np.asarray(360e3), 180e3))
    3.0
    """
    return 2.0 ** (rate_bps / bandwidth_hz) - 1.0


def bandwidth_for_rate_hz(rate_bps: Any, sinr: Any) -> Any:
    """The bandwidth on which Shannon's rate is reached at a SINR: ``r / log2(1 + SINR)``.

    0 for no rate at all; inf where the SINR is 0 (`mndt.network.scheduling` has other rate laws too).

    >>> import numpy as np
    >>> float(bandwidth_for_rate_hz(np.asarray(360e3), np.asarray(3.0)))
    180000.0
    """
    xp = array_namespace(sinr)
    efficiency = xp.log2(1.0 + sinr)
    reached = xp.where(efficiency > 0.0, rate_bps / xp.where(efficiency > 0.0, efficiency, 1.0), xp.inf)
    return xp.where(xp.asarray(rate_bps > 0.0), reached, 0.0)


def blocks_for_rate(rate_bps: Any, sinr: Any, block_hz: Any) -> Any:
    """The fewest blocks of equal SINR that carry a rate, as a float: inf where the SINR is 0.

    >>> import numpy as np
    >>> float(blocks_for_rate(np.asarray(361e3), np.asarray(3.0), 180e3))
    2.0
    """
    xp = array_namespace(sinr)
    return xp.ceil(bandwidth_for_rate_hz(rate_bps, sinr) / block_hz * (1.0 - 1e-12))  # no block for rounding alone


def power_for_rate_w(rate_bps: Any, bandwidth_hz: Any, sinr_per_w: Any) -> Any:
    """The power with which Shannon's rate is reached (paper III-B): ``(2^(r / B) - 1) / sinr_per_w``.

    Args:
        rate_bps: wanted.
        bandwidth_hz: of all the blocks that share the rate equally.
        sinr_per_w: SINR at 1 W: own gain over interference plus noise.

    Returns:
        Power on each block in W.

    >>> import numpy as np
    >>> float(power_for_rate_w(np.asarray(360e3), 180e3, 10.0))
    0.3
    """
    return sinr_for_rate(rate_bps, bandwidth_hz) / sinr_per_w
