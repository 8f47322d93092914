"""Float32 building blocks that LLVM can vectorise: log2, exp2 and a counter-based draw.

Library calls (libm) and int64 promotion stop vectorisation, so these work on the bit pattern of the
float and stay in 32-bit integers. Polynomials are Chebyshev interpolations computed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba as nb
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.polynomial import Chebyshev, Polynomial

F = np.float32
I = np.int32  # noqa: E741
FAST: Final[dict[str, Any]] = {"fastmath": True, "error_model": "numpy", "nogil": True, "cache": True}
"""Options of every hot kernel. Reassociated sums depend on the instruction set: equal bytes are
promised on one machine type, for any number of threads."""


def _fitted(function: Callable[[Any], Any], low: float, high: float, degree: int) -> tuple[np.float32, ...]:
    """Coefficients, constant term first, of a near-minimax polynomial on [low, high]."""
    series = Chebyshev.interpolate(function, degree, domain=[low, high])
    return tuple(F(c) for c in series.convert(kind=Polynomial, domain=[-1, 1]).coef)


_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7 = _fitted(lambda m: np.log2(1.5 + m), -0.5, 0.5, 7)
_E0, _E1, _E2, _E3, _E4, _E5 = _fitted(lambda f: 2.0 ** (0.5 + f), -0.5, 0.5, 5)


@intrinsic
def bits_of_float(typing_context: Any, x: Any) -> Any:
    """The bit pattern of a float32 as int32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


@intrinsic
def float_of_bits(typing_context: Any, x: Any) -> Any:
    """The float32 with a given int32 bit pattern."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic
def mix(typing_context: Any, x: Any) -> Any:
    """A 32-bit finaliser (two multiply-xorshift rounds) that turns counters into random bits.

    Constants: C. Wellons, "Hash Function Prospector" (lowbias32), bias 0.17 %.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(32)

        def shift_xor(value: Any, n: int) -> Any:
            return builder.xor(value, builder.lshr(value, ir.Constant(word, n)))

        value = shift_xor(args[0], 16)
        value = shift_xor(builder.mul(value, ir.Constant(word, 0x7FEB352D)), 15)
        return shift_xor(builder.mul(value, ir.Constant(word, 0x846CA68B)), 16)

    return types.int32(types.int32), codegen


@intrinsic
def step_of(typing_context: Any, x: Any) -> Any:
    """x times the golden-ratio constant modulo 2^32: spreads consecutive counters."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.mul(args[0], ir.Constant(ir.IntType(32), 0x9E3779B9))

    return types.int32(types.int32), codegen


@intrinsic
def prefetch(typing_context: Any, array: Any, row: Any, column: Any) -> Any:
    """Ask for the cache lines of array[row, column, :] before they are needed; changes nothing."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word, byte, flag = ir.IntType(64), ir.IntType(8).as_pointer(), ir.IntType(32)
        view = context.make_array(signature.args[0])(context, builder, args[0])
        steps, extent = (cgutils.unpack_tuple(builder, sizes) for sizes in (view.strides, view.shape))  # type: ignore[no-untyped-call]
        start = builder.add(builder.mul(args[1], steps[0]), builder.mul(args[2], steps[1]))
        call = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, *[flag] * 3])
        )
        first = builder.gep(builder.bitcast(view.data, byte), [start])
        options = [ir.Constant(flag, value) for value in (0, 3, 1)]  # to read, to keep, data
        length = builder.mul(extent[2], steps[2])
        with cgutils.for_range_slice(builder, ir.Constant(word, 0), length, ir.Constant(word, 64)) as (offset, _):
            builder.call(call, [builder.gep(first, [offset]), *options])
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), codegen


@nb.njit(inline="always", **FAST)
def log2f(x: Any) -> Any:
    """log2 of a positive float32, absolute error below 4e-6."""
    bits = bits_of_float(x)
    exponent = F(I(I(bits >> I(23)) - I(127)))
    m = float_of_bits(I(I(bits & I(0x7FFFFF)) | I(0x3F800000))) - F(1.5)
    return exponent + (_L0 + m * (_L1 + m * (_L2 + m * (_L3 + m * (_L4 + m * (_L5 + m * (_L6 + m * _L7)))))))


@nb.njit(inline="always", **FAST)
def exp2f(x: Any) -> Any:
    """2^x of a float32 in (-126, 127), relative error below 4e-7."""
    whole = I(I(x + F(1024.0)) - I(1024))  # floor for x > -1024, stays in int32
    f = x - F(whole) - F(0.5)
    scale = float_of_bits(I(I(whole + I(127)) << I(23)))
    return scale * (_E0 + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * _E5)))))
