"""One step of every cell, written from its source, knowing nothing of the equation language.

``WITNESSES[name]`` holds a function ``step(p, x, s, **settings)``: p names parameters, x is the
input (B,I), s the states; it returns the new states. Its docstring opens with equation and source
and ends with a paragraph that ``describe`` reads::

    States: h c (B,H). Output: h.
    Parameters: W_i W_f (H,I); U_i U_f (H,H); b_i b_f? (H).

A question mark after a name: the parameter may be left out, and counts as 0 (as 1 for a factor).
``()`` is a number. Sizes: B batch, I inputs, H hidden, S slow units, O outputs, K delay in steps.
W_ acts on the input, U_ on a state or on something computed from one, b_ is a bias, p_ an
element-wise vector. Hidden units are what the source squashes with tanh unless it says otherwise.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Parameters = Mapping[str, Tensor]
States = dict[str, Tensor]
Step = Callable[..., States]


@dataclass(frozen=True)
class Witness:
    """A step with what its docstring says of it; shapes are tuples of size letters."""

    step: Step
    states: dict[str, tuple[str, ...]]
    output: str
    parameters: dict[str, tuple[str, ...]]
    optional: frozenset[str]

    def __call__(self, p: Parameters, x: Tensor, s: States, **settings: object) -> States:
        """The new states. KeyError if p is not what the docstring lists."""
        unknown = p.keys() - self.parameters.keys()
        missing = self.parameters.keys() - p.keys() - self.optional
        if unknown or missing:
            raise KeyError(f"unknown {sorted(unknown)}, missing {sorted(missing)}")
        return self.step(p, x, s, **settings)

    def run(self, p: Parameters, x: Tensor, s: States, **settings: object) -> tuple[Tensor, States]:
        """The outputs (T,B,.) over a sequence x (T,B,I), and the last states."""
        outputs = []
        for at in x:
            s = self(p, at, s, **settings)
            y = s[self.output]
            outputs.append(y[0] if self.states[self.output][0] == "K" else y)
        return torch.stack(outputs), s


WITNESSES: dict[str, Witness] = {}


def describe(step: Step) -> Witness:
    """Read States, Output and Parameters off a step's docstring."""
    text = " ".join((step.__doc__ or "").split())
    match = re.search(r"States: (.*)\. Output: (\w+)\. Parameters: ([^.]*)\.", text)
    if match is None:
        raise ValueError(f"{step.__name__}: no States, Output, Parameters in its docstring")
    states, _ = _shapes(match[1])
    parameters, optional = _shapes(match[3])
    if match[2] not in states:
        raise ValueError(f"{step.__name__}: its output {match[2]} is none of its states")
    return Witness(step, states, match[2], parameters, optional)


def _shapes(text: str) -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    found: dict[str, tuple[str, ...]] = {}
    optional = set()
    for part in text.split(";"):
        match = re.fullmatch(r"\s*((?:\w+\?? )+)\((.*)\)\s*", part)
        if match is None:
            raise ValueError(f"not 'names (sizes)': {part!r}")
        for name in match[1].split():
            found[name.rstrip("?")] = tuple(match[2].split(",")) if match[2] else ()
            if name.endswith("?"):
                optional.add(name.rstrip("?"))
    return found, frozenset(optional)


def witness(name: str) -> Callable[[Step], Step]:
    """Register a step as the witness of the cell ``name``."""

    def register(step: Step) -> Step:
        if name in WITNESSES:
            raise ValueError(f"two witnesses for {name!r}")
        WITNESSES[name] = describe(step)
        return step

    return register


def mv(matrix: Tensor, vector: Tensor) -> Tensor:
    """``matrix @ v`` for every v (B,n) of a batch."""
    return vector @ matrix.T


def affine(p: Parameters, gate: str, x: Tensor, h: Tensor) -> Tensor:
    """``W_gate x + U_gate h + b_gate``, the bias left out where p has none."""
    return mv(p[f"W_{gate}"], x) + mv(p[f"U_{gate}"], h) + p.get(f"b_{gate}", 0)


from witness import gated, lstm, lstm_variants, oscillators, simple, typed  # noqa: E402, F401
