"""The native engine: C generated from a cell's equations, compiled once and kept.

In headers/ is the part of the C code that is the same for every cell.
"""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.engines.native.compiler import NativeUnavailable as NativeUnavailable
    from study.engines.native.kernel import Kernel as Kernel

__getattr__ = handed_on(__name__, {"NativeUnavailable": "compiler", "Kernel": "kernel"})
