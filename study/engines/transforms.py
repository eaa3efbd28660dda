"""Ways of torch to look through operations, which compiled passes are closed to."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

_PLAIN = frozenset((Tensor, torch.nn.Parameter))
F = TypeVar("F", bound=Callable[..., Any])


def transform(tensors: Iterable[Tensor]) -> str | None:
    """What asks for more than values and first derivatives of these tensors, if anything does."""
    # Torch's own questions before it applies an autograd.Function; it has no public ones.
    if torch._C._are_functorch_transforms_active():
        return "vmap and the transforms of torch.func look through operations"
    if forward_ad._current_level >= 0 and any(
        forward_ad.unpack_dual(t).tangent is not None for t in tensors
    ):
        return "forward-mode derivatives (torch.autograd.forward_ad) look through operations"
    return None


def is_batched(tensors: Iterable[Tensor]) -> bool:
    """Whether these are many gradients as one, of ``torch.autograd.grad(is_grads_batched=True)``."""
    return any(torch._C._functorch.is_legacy_batchedtensor(t) for t in tensors)


def is_watched(tensors: Sequence[Tensor]) -> bool:
    """Whether torch must be told of an operation on them, which takes longer than making it.

    Where nobody looks, and all of them are numbers in memory, a kernel may be called at once.
    """
    return (
        is_written_down()
        or not _PLAIN.issuperset(map(type, tensors))
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
        or torch._C._are_functorch_transforms_active()
        or torch.autograd._profiler_enabled()
        or torch._C._autograd._top_saved_tensors_default_hooks(False) is not None
        or any(map(Tensor.is_neg, tensors))
        or any(map(Tensor._is_zerotensor, tensors))
    )


def is_written_down() -> bool:
    """Whether operations are recorded now, to be run again later without Python."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def is_stand_in(tensor: Tensor) -> bool:
    """Whether it has a shape only, and no numbers to look at."""
    return type(tensor) is not Tensor or tensor.is_meta or torch._C._len_torch_dispatch_stack() > 0


def constant(function: F) -> F:
    """Has torch.compile call ``function`` and take its result, where it would read its code.

    As `torch.compiler.assume_constant_result`, without the second that importing the compiler takes.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
