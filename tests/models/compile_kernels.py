"""Compiles every fused kernel for a GPU, without one; prints JSON: kernel -> bytes of code.

The interpreter accepts more than the compiler does.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from bench.models.fast import gru_triton, lstm_triton, triton_functions
from bench.models.fast.triton_functions import LAUNCH

AMPERE = GPUTarget("cuda", 80, 32)
SIZES = ("num_cells", "num_units", "H", "size")


def code_size(kernel: Any, pointer: str, kinds: dict[str, Any]) -> int:
    """Bytes of a kernel's code for pointers to numbers of a type."""
    signature = {
        name: "constexpr" if name in kinds else "i32" if name in SIZES else pointer
        for name in kernel.arg_names
    }
    source = ASTSource(fn=kernel, signature=signature, constexprs=kinds)
    options = {"enable_fp_fusion": LAUNCH["enable_fp_fusion"]}
    return len(triton.compile(source, target=AMPERE, options=options).asm["cubin"])


def kernels() -> Iterator[tuple[Any, dict[str, Any]]]:
    block = {"BLOCK": LAUNCH["BLOCK"]}
    for num_gates, peeps in itertools.product((3, 4), (True, False)):
        kinds = {"NUM_GATES": num_gates, "PEEPS": peeps, **block}
        yield lstm_triton._forward, kinds
        yield lstm_triton._backward, {**kinds, "GIVES_H": True, "GIVES_C": peeps}
    for kernel in ("_gates", "_mix", "_through_mix", "_through_gates"):
        yield getattr(gru_triton, kernel), block
    yield triton_functions._double, block


if __name__ == "__main__":
    found = {}
    for pointer in ("*fp32", "*fp64", "*bf16"):
        for kernel, kinds in kernels():
            # One type shows that the branches compile; the others that their arithmetic does.
            if pointer == "*fp32" or kinds.get("PEEPS", True):
                name = f"{kernel.__name__} {pointer} {kinds}"
                found[name] = code_size(kernel, pointer, kinds)
    json.dump(found, sys.stdout)
