"""What tests over the whole catalogue take of it: which φ with which cell, and states to start from.

Every cell is in every such test once. The product of cells and nonlinearities is sampled, always the
same way, so that a new cell or φ joins by being there.
"""

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from study.cells import CELLS
from study.language.cell import Cell
from study.language.functions import FUNCTIONS
from study.language.nonlinearities import NONLINEARITIES
from study.language.notation import TIME

OFTEN = ("elman", "gru", "lstm")


def phis(cell: str, every: Collection[str] = OFTEN) -> list[str]:
    """Each φ for the cells of ``every``; for each other one tanh and one more, by turns."""
    if not CELLS[cell].uses_phi:
        return ["tanh"]
    if cell in every:
        return [*NONLINEARITIES]
    others = [phi for phi in NONLINEARITIES if phi != "tanh"]
    return ["tanh", others[list(CELLS).index(cell) % len(others)]]


def pairs(every: Collection[str] = OFTEN) -> list[tuple[str, str]]:
    """(cell, φ), every cell at least once."""
    return [(cell, phi) for cell in CELLS for phi in phis(cell, every)]


def features(cell: Cell) -> set[str]:
    """What of the language a cell uses, as far as an engine treats it in a way of its own."""
    operands = dict.fromkeys(p.operand for p in cell.products.values())
    text = cell.equations
    used = {f"function {name}" for name in FUNCTIONS if f"{name}(" in text}
    used |= {f"form {type(p.form).__name__}" for p in cell.parameters.values() if p.form}
    used |= {f"{len(cell.states)} states", f"{len(operands)} operands"}
    found = {
        "phi": cell.uses_phi,
        "prelude": bool(cell.prelude),
        "delay": "[" in text,
        "time": TIME in cell.states,
        "division": "/" in text,
        "vector": bool(cell.weights),
    }
    return used | {name for name, is_used in found.items() if is_used}


def representatives() -> list[str]:
    """Those cells that use something which no cell before them does: for what is slow to check."""
    seen: set[str] = set()
    chosen = []
    for name in dict.fromkeys([*OFTEN, *CELLS]):
        if new := features(CELLS[name]) - seen:
            seen |= new
            chosen.append(name)
    return chosen


def compiled() -> list[tuple[str, str]]:
    """(cell, φ) for the native engine, which takes a second to compile each: tanh with every cell,
    each φ with the simplest one, and one more with those that stand for the others."""
    more = representatives()
    return [(c, p) for c, p in pairs(every=("elman",)) if p == "tanh" or c in more]


def first_states(cell: Cell, draw: Callable[[], Tensor]) -> dict[str, Tensor]:
    """A state to start from, by name: random values, but where a cell relies on what they are.

    The step's index is a whole number, and so no leaf to differentiate; it is 0 where every
    module of a clockwork acts.
    """
    states = {name: draw() for name in cell.states}
    if TIME in states:
        states[TIME] = torch.zeros_like(states[TIME])
    if cell.name == "slstm":  # its n is a sum of exponentials
        states["n"] = states["n"].abs() + 0.5
    return states


def fixed_vectors(cell: Cell, hidden: int) -> dict[str, Tensor]:
    """The parameters that nobody trains, such as a clockwork's periods."""
    module = nn.Module()
    for name, parameter in cell.parameters.items():
        form = parameter.form
        if form is not None and parameter.columns is None and not form.count(hidden):
            form.attach(module, name, torch.zeros(hidden, dtype=torch.float64))
    return dict(module.named_buffers())
