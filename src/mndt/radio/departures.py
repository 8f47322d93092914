"""In which directions a station's power leaves for a pixel: what re-aiming needs besides the gain.

Path gain is linear in the power pattern of the transmitting antenna. A pixel's gain with any pattern
g is therefore its isotropic gain times the mean of g over the departure directions, weighted by the
power that each of them brings. Close directions are merged, so most pixels keep one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, Int16, Int64, UInt16

Array = np.ndarray

UNIT: Final = 32767
"""Length of a stored direction."""

WHOLE: Final = 65535
"""The shares of a pixel add up to this."""


@dataclass(frozen=True)
class Departures:
    """Departure directions of every pixel of one layer, in compressed rows; pixel = row * cols + col."""

    start: Int64[Array, "pixels+1"]  # first entry of each pixel, and the end
    toward: Int16[Array, "entries 3"]  # east, north, up, times `UNIT`
    share: UInt16[Array, "entries"]  # of the pixel's power, times `WHOLE`

    def __len__(self) -> int:
        return len(self.share)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(self.start.nbytes + self.toward.nbytes + self.share.nbytes)

    def of_pixel(self, pixel: int) -> tuple[Float32[Array, "entries 3"], Float32[Array, "entries"]]:
        """Unit vectors and shares of one pixel, unpacked."""
        entries = slice(int(self.start[pixel]), int(self.start[pixel + 1]))
        return self.toward[entries] / np.float32(UNIT), self.share[entries] / np.float32(WHOLE)
