"""Losses, and shares that are right, over the steps at which something is asked."""

import torch
from torch import Tensor
from torch.nn import functional

NO_TARGET = -1  # the class number of a step at which nothing is asked; among values it is NaN


def cross_entropy(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean of -log softmax(predictions)[target] in nats; (S,B,C) and (S,B)."""
    return functional.cross_entropy(predictions.flatten(0, 1), targets.flatten())


def accuracy(predictions: Tensor, targets: Tensor) -> float:
    """Share of positions whose most active output is the target."""
    return float((predictions.argmax(-1) == targets).double().mean())


def mean_of_sequences(each: Tensor, asked: Tensor) -> Tensor:
    """(S,B) -> the mean over sequences of each one's mean over the steps that ask something.

    So a sequence counts the same in a batch of unequal ones as alone.
    """
    return (each.where(asked, 0).sum(0) / asked.sum(0).clamp(min=1)).mean()


def cross_entropy_where_asked(predictions: Tensor, targets: Tensor) -> Tensor:
    """`cross_entropy` over the steps whose target is not NO_TARGET; see `mean_of_sequences`."""
    each = functional.cross_entropy(
        predictions.flatten(0, 1), targets.flatten(), ignore_index=NO_TARGET, reduction="none"
    )
    return mean_of_sequences(each.view(targets.shape), targets != NO_TARGET)


def squared_error_where_asked(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean of (prediction - target)² over the steps whose target is not NaN; (S,B,1) each."""
    asked = ~targets.isnan()
    each = (predictions - targets.nan_to_num()) ** 2
    return mean_of_sequences(each[..., 0], asked[..., 0])


def share_all_right(right: Tensor, asked: Tensor) -> float:
    """Share of sequences that are right (S,B) at every step that asks something."""
    return float((right | ~asked).all(dim=0).double().mean())


def outputs_within(predictions: Tensor, targets: Tensor, bound: float) -> Tensor:
    """(S,B): every output, after the softmax, is nearer than that to its 0 or 1."""
    wanted = functional.one_hot(targets.clamp(min=0), predictions.shape[-1])
    return (predictions.softmax(-1) - wanted).abs().amax(-1) < bound


def step_chance(shares: Tensor) -> float:
    """Cross-entropy of the best prediction that knows the step's index only.

    ``shares`` (S,C): the expected weight in the loss of class c being asked for at step s; all sum
    to 1.
    """
    totals = shares.sum(dim=1, keepdim=True)
    return float(-torch.special.xlogy(shares, shares / totals.clamp(min=1e-300)).sum())
