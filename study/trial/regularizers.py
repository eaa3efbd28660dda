"""Terms of the training loss that act on how the gradient travels through time."""

from math import sqrt
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from study.base.registry import Choice, Choices
from study.engines.derivatives.linearization import linearize
from study.engines.recording import StateGradients
from study.language.cell import Cell
from study.networks.layer import Layer


class Regularizer(Choice):
    """A term Ω, with its weight λ, whose gradient is added after the backward pass of the loss."""

    needs_recorder: ClassVar[bool] = True

    def refusal(self, cell: Cell) -> str | None:
        """Why this cell cannot have the term; None when it can."""
        return None

    def add(self, layer: Layer, x: Tensor, recorder: StateGradients) -> float:
        """Adds λ times Ω's gradient to that of the layer's parameters; Ω.

        The layer has read x (T,B,I), and the recorder has been through both passes.
        """
        raise NotImplementedError


REGULARIZERS: Choices[Regularizer] = Choices("regularizer")


@REGULARIZERS.register
class NoRegularizer(Regularizer):
    """The loss as it is."""

    name: Literal["none"] = "none"
    needs_recorder: ClassVar[bool] = False


@REGULARIZERS.register
class PascanuRegularizer(Regularizer):
    """Ω = mean_k (‖∂E/∂h_k+1 · ∂h_k+1/∂h_k‖²/‖∂E/∂h_k+1‖² - 1)²: the gradient shall keep its norm.

    Pascanu, Mikolov & Bengio (2013). As in their equation 10, ∂E/∂h, h and φ' count as constants:
    only U's own place in ∂h_k+1/∂h_k is differentiated. As in their code the mean is over steps and
    sequences but those with ‖∂E/∂h_k+1‖² below ``bound``; the weights they name go with it. In the
    paper Ω is the sum over k (``over = "sum"``, here of the mean over sequences), in its equation 9
    of norms, not of squared ones (``ratio = "plain"``).

    Theirs is the Elman network. In any other cell h is all states together, U every matrix that
    carries them, and the gates count as constants with φ'; that is not in the paper. An update takes
    three to four times as long with it.
    """

    name: Literal["pascanu"] = "pascanu"
    weight: float = Field(default=4.0, gt=0, description="λ; 4 for temporal order at a rate of .01")
    ratio: Literal["squared", "plain"] = "squared"
    over: Literal["mean", "sum"] = "mean"
    bound: float = Field(default=1e-20, ge=0, description="below it a step is left out")

    def refusal(self, cell: Cell) -> str | None:
        if cell.trained_matrices:
            return None
        trained = "trained " if cell.recurrent_matrices else ""
        return (
            f"regularizer 'pascanu' does not suit the cell {cell.name!r}: "
            f"no {trained}matrix carries its state from step to step"
        )

    def add(self, layer: Layer, x: Tensor, recorder: StateGradients) -> float:
        parameters = {name: getattr(layer, name) for name in layer.cell.parameters}
        before = {name: recorder.before(name) for name in layer.cell.states}
        with torch.no_grad():  # which makes the slopes constants
            steps = linearize(layer.cell, layer.phi, parameters, x, before)
            gradients = {name: recorder[name] for name in layer.cell.states}
            if len(gradients) > 1:  # of the state as a vector, in which h and c stand side by side
                gradients = steps.apart(gradients)
            sizes = _joint_norm(gradients, self.bound)  # (T,B,1)
            counted = (sizes > 0) & (sizes >= sqrt(self.bound))
            inverse = torch.where(counted, 1 / sizes, 0).to(x.dtype)
            directions = {name: g * inverse for name, g in gradients.items()}
        carried = steps.vjp(directions)
        reached = {name: value for name, value in carried.items() if value.requires_grad}
        with torch.no_grad():
            squared = sum(v.square().sum(dim=-1, keepdim=True) for v in carried.values())
            omega, outer = self._terms(torch.as_tensor(squared), counted)
            bars = [self.weight * outer * value for value in reached.values()]
        if reached:
            torch.autograd.backward(list(reached.values()), bars)
        return omega

    def _terms(self, squared: Tensor, counted: Tensor) -> tuple[float, Tensor]:
        """Ω, and ∂Ω/∂v as a multiple of v, for vectors v with these squared norms (T,B,1)."""
        if self.ratio == "squared":
            excess = squared - 1
            outer = 4 * excess
        else:
            norm = squared.sqrt()
            excess = norm - 1
            outer = 2 * excess / torch.where(norm > 0, norm, 1)
        terms = int(counted.sum()) if self.over == "mean" else squared.shape[1]
        share = counted.to(squared.dtype) / max(terms, 1)
        return float((excess.square() * share).sum()), outer * share


def _joint_norm(vectors: dict[str, Tensor], bound: float) -> Tensor:
    """(T,B,H) of every state -> (T,B,1), in float64.

    Computed in float32, which is much faster, unless squares overflow there (from 1e19), or those
    that count are so small that they underflow.
    """

    def norm(values: Tensor) -> Tensor:
        if bound >= 1e-30:
            found = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
            if bool(found.isfinite().all()):
                return found.double()
        return torch.linalg.vector_norm(values, dim=-1, keepdim=True, dtype=torch.float64)

    parts = torch.cat([norm(values) for values in vectors.values()], dim=-1)
    return torch.linalg.vector_norm(parts, dim=-1, keepdim=True)
