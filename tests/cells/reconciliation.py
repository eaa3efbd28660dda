"""The catalogue's cells beside the witnesses of their sources: whose name is whose, and one pass of both.

A cell whose parameters and states have its witness's names needs no line here.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from references import PHIS
from torch import Generator, Tensor
from witness import WITNESSES, mv

from study import Cell, Layer

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Reading:
    """How a cell is read in its witness's names.

    ``letters`` renames W_, U_, b_, p_ by what follows the underscore ("" when there is none),
    ``names`` single parameters and states; ``values`` makes the witness's parameter of ours where it
    is not the same number; ``settings`` goes to the witness. ``free`` is 0 where an entry of a
    matrix is not compared.
    """

    witness: str = ""
    letters: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    sizes: tuple[int, int] = (4, 5)  # I, H
    steps: int = 12
    diagonal: str = ""  # a matrix that is a diagonal in the source

    def parameters(self, layer: Layer) -> Tensors:
        """The witness's, from the layer's full values."""
        found = {}
        for name in layer.cell.parameters:
            kind, _, letter = name.partition("_")
            renamed = f"{kind}_{self.letters.get(letter, letter)}"
            value = getattr(layer, name)
            if (theirs := self.names.get(name, renamed)) is not None:
                found[theirs] = self.values.get(name, lambda v: v)(value)
        return found

    def draw(self, cell: Cell, batch: int, generator: Generator) -> Tensors:
        """What both start from: the leaves of their initial states."""
        return {s: normal(generator, batch, self.sizes[1]) for s in cell.states}

    def ours(self, start: Tensors, layer: Layer) -> Tensors:
        return start

    def theirs(self, start: Tensors) -> Tensors:
        return {self.names.get(s, s): value for s, value in start.items()}

    def last(self, theirs: Tensors, layer: Layer) -> Tensors:
        """The witness's states in the cell's names, those that it has."""
        back = {theirs: ours for ours, theirs in self.names.items()}
        return {back.get(s, s): value for s, value in theirs.items()}


class Delayed(Reading):
    """The witness holds the history, the newest first, in one tensor (K,B,H)."""

    def theirs(self, start: Tensors) -> Tensors:
        return {"h": torch.stack(list(start.values()))}

    def last(self, theirs: Tensors, layer: Layer) -> Tensors:
        return dict(zip(layer.cell.states, theirs["h"], strict=True))


class Jordan(Reading):
    """Textbooks' μ = 0: the context is the last output, and the hidden layer is no state."""

    def theirs(self, start: Tensors) -> Tensors:
        return {"y": start["y"], "context": torch.zeros_like(start["y"])}

    def last(self, theirs: Tensors, layer: Layer) -> Tensors:
        return {"y": theirs["y"]}


class OutputRecurrent(Reading):
    def theirs(self, start: Tensors) -> Tensors:
        return {"o": start["y"]}

    def last(self, theirs: Tensors, layer: Layer) -> Tensors:
        return {"y": theirs["o"]}


class Clockwork(Reading):
    """From step 100 on, so that every period from 1 to 128 comes round within 40 steps."""

    def draw(self, cell: Cell, batch: int, generator: Generator) -> Tensors:
        start = super().draw(cell, batch, generator)
        return start | {"t": torch.full_like(start["t"], 100)}

    def theirs(self, start: Tensors) -> Tensors:
        return {"h": start["h"], "t": start["t"][0, 0].detach()}

    def last(self, theirs: Tensors, layer: Layer) -> Tensors:
        return {"h": theirs["h"]}


class Typed(Reading):
    """Ours keeps the products V x₋ of the last input, the witness x₋ itself."""

    def draw(self, cell: Cell, batch: int, generator: Generator) -> Tensors:
        start = super().draw(cell, batch, generator)
        kept = {s: value for s, value in start.items() if not s.startswith("s_")}
        return kept | {"x": normal(generator, batch, self.sizes[0])}

    def _products(self, states: Tensors, layer: Layer) -> Tensors:
        products = {f"s_{k}": mv(getattr(layer, f"W_v{k}"), states["x"]) for k in "zfo"}
        return {s: value for s, value in states.items() if s != "x"} | products

    def ours(self, start: Tensors, layer: Layer) -> Tensors:
        return self._products(start, layer)

    def last(self, theirs: Tensors, layer: Layer) -> Tensors:
        return self._products(theirs, layer)


class Normalized(Reading):
    """sLSTM's n is a sum of exponentials: positive."""

    def draw(self, cell: Cell, batch: int, generator: Generator) -> Tensors:
        start = super().draw(cell, batch, generator)
        return start | {"n": start["n"].abs() + 0.5}


_PLAIN = {"": "h"}
_CANDIDATE = {"n": "h"}
_TYPED = {f"W_v{k}": f"U_{k}" for k in "zfo"}
_STEP = {"epsilon": 0.01, "gamma": 0.01}


def _upper(antisymmetric: Tensor) -> Tensor:
    """A of A - Aᵀ - γI."""
    return antisymmetric.triu(1)


READINGS: dict[str, Reading] = {
    "elman": Reading(letters=_PLAIN),
    "jordan": Jordan(letters=_PLAIN),
    "output-recurrent": OutputRecurrent(letters={"": "h", "y": "o"}),
    "linear": Reading(letters=_PLAIN),
    "orthogonal-rnn": Reading(letters=_PLAIN),
    "lt-rnn": Reading(letters=_PLAIN),
    "leaky": Reading(letters=_PLAIN | {"a": "alpha"}, values={"p_a": torch.sigmoid}),
    "gated-leaky": Reading(letters=_PLAIN),
    "scrn": Reading(letters=_PLAIN, names={"U_p": "U_s"}, settings={"alpha": 0.95}),
    "fastrnn": Reading(letters=_PLAIN),
    "indrnn": Reading(letters=_PLAIN),
    "skip-5": Delayed("skip-k", letters=_PLAIN),
    "skip-only-5": Delayed("skip-only-k", letters=_PLAIN, names={"U": "U_k"}),
    "clockwork": Clockwork(
        letters=_PLAIN,
        names={"k": None},
        settings={"periods": (1, 2, 4, 8, 16, 32, 64, 128)},
        sizes=(4, 16),
        steps=40,
    ),
    "taugru": Delayed(steps=40),
    "antisymmetric": Reading(letters=_PLAIN, values={"U": _upper}, settings=_STEP),
    "residual": Reading(letters=_PLAIN, settings={"epsilon": 0.01}),
    "gated-antisymmetric": Reading(letters=_PLAIN, values={"U": _upper}, settings=_STEP),
    "cornn": Reading(
        letters={"": "y"}, settings={"dt": 0.042, "gamma": 2.7, "epsilon": 4.7}, steps=40
    ),
    "unicornn": Reading(letters={"": "y"}, settings={"dt": 0.2, "alpha": 1.0}, steps=40),
    "lem": Reading(letters={"d": "1", "a": "2"}),
    "lru": Reading(
        names={"W_d": "p_D"}, values={"W_d": torch.diagonal}, sizes=(5, 5), diagonal="W_d"
    ),
    "lstm-relevance": Reading(letters={"g": "c"}),
    "lstm-jozefowicz": Reading(witness="lstm-b"),
    "lstm-b": Reading(values={"b_f": lambda b: b + 1}),
    "janet": Reading(letters={"g": "c"}, settings={"beta": 1.0}),
    "slstm": Normalized(),
    "mut1": Reading(names={"U_xz": "W_z", "U_xr": "W_r"}),
    "mut2": Reading(names={"U_xz": "W_z", "U_xh": "W_h"}),
    "mut3": Reading(names={"U_xz": "W_z", "U_xr": "W_r", "U_xh": "W_h"}),
    "gru": Reading(letters=_CANDIDATE),
    "gru-torch": Reading(names={"b_hn": "b_un"}),
    "mgu": Reading(letters=_CANDIDATE),
    "ugrnn": Reading(letters={"n": "c"}),
    "intersection": Reading(
        letters={"u": "y", "n": "h", "a": "gy", "g": "gh"},
        names={"U_xu": "W_y", "U_xn": "W_h", "U_xa": "W_gy", "U_xg": "W_gh"},
    ),
    "cfn": Reading(letters=_PLAIN),
    "ligru": Reading(letters=_CANDIDATE),
    "lightru": Reading(letters=_CANDIDATE),
    "fastgrnn": Reading(letters=_PLAIN),
    "star": Reading(letters={"a": "k"}),
    "atr": Reading(letters=_PLAIN),
    "br": Reading(letters=_PLAIN),
    "nbr": Reading(letters=_PLAIN),
    "influence": Reading(
        names={"p_theta": "theta", "U": None, "W": None},
        values={"p_theta": lambda p: p[0]},
        sizes=(2, 23),
        steps=60,
    ),
    "tgru": Typed(names=_TYPED),
    "tlstm": Typed(names=_TYPED),
}


def normal(generator: Generator, *shape: int) -> Tensor:
    """N(0, 1/2): large enough that every nonlinearity bends."""
    return 0.5 * torch.randn(shape, generator=generator, dtype=torch.float64)


def drawn_layer(cell: str | Cell, sizes: tuple[int, int], phi: str, generator: Generator) -> Layer:
    """float64, its free numbers from N(0, 1/2), those of constrained matrices too."""
    layer = Layer(cell, *sizes, phi=phi, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(normal(generator, *parameter.shape))
    return layer


def both(name: str, engine: str, phi: str = "tanh", zeros: bool = False) -> tuple[Tensors, Tensors]:
    """(ours, the witness's) by name: outputs, last states, gradients of a random linear loss.

    ``zeros``: from the cell's own initial state rather than a random one.
    """
    reading = READINGS.get(name, Reading())
    source = reading.witness or name
    assert source in WITNESSES, (
        f"cell {name!r} has no witness: write its step in tests/cells/witness/"
    )
    witness, g = WITNESSES[source], torch.Generator().manual_seed(sum(map(ord, name)))
    layer = drawn_layer(name, reading.sizes, phi, g)
    layer.engine = engine
    inputs, hidden = reading.sizes
    if reading.diagonal:
        with torch.no_grad():
            getattr(layer, reading.diagonal).mul_(torch.eye(hidden, inputs))
    batch = 3
    x = (2 * normal(g, reading.steps, batch, inputs)).requires_grad_()
    start = reading.draw(layer.cell, batch, g)
    if zeros:
        start = {s: torch.zeros_like(value) for s, value in start.items()}
    start = {s: value.requires_grad_() for s, value in start.items()}
    leaves = dict(layer.named_parameters()) | {"x": x} | {f"first {s}": v for s, v in start.items()}

    settings = dict(reading.settings)
    if layer.cell.uses_phi and phi in PHIS:
        settings |= dict.fromkeys({"phi", "out"} & set(_arguments(witness.step)), PHIS[phi])
        assert phi == "tanh" or "phi" in settings, f"the witness of {name} has no phi"
    outputs, last = layer(x, reading.ours(start, layer))
    expected, ended = witness.run(reading.parameters(layer), x, reading.theirs(start), **settings)
    ended = reading.last(ended, layer)
    weights = {s: normal(g, *value.shape) for s, value in ended.items()}
    weight = normal(g, *outputs.shape)

    def found(outputs: Tensor, last: Tensors) -> Tensors:
        loss = (outputs * weight).sum() + sum((last[s] * w).sum() for s, w in weights.items())
        gradients = torch.autograd.grad(
            loss, list(leaves.values()), allow_unused=True, materialize_grads=True
        )
        result = {"outputs": outputs} | {f"last {s}": last[s] for s in weights}
        result |= {f"d {n}": d for n, d in zip(leaves, gradients, strict=True)}
        if reading.diagonal:
            result[f"d {reading.diagonal}"] = result[f"d {reading.diagonal}"].diagonal()
        return {key: value.detach() for key, value in result.items()}

    return found(outputs, last), found(expected, ended)


def _arguments(step: Callable[..., object]) -> list[str]:
    return list(inspect.signature(step).parameters)


def assert_same(name: str, engine: str, **how: object) -> None:
    ours, theirs = both(name, engine, **how)
    for key, value in theirs.items():
        assert ours[key].shape == value.shape, (name, key)
        scale = value.abs().max().clamp(min=1.0)  # of a gradient summed over steps and batch
        # float64: some hundred additions in another order
        assert ((ours[key] - value).abs() <= 1e-10 * scale).all(), (name, key)
