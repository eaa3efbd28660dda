"""The page of a cell in the terminal."""

from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from study.base.registry import Choices
from study.cells import CELLS
from study.commands.layout import fact_table
from study.initializers import BIASES, RECURRENT, VECTORS
from study.language.cell import Cell


def describe_cell(name: str) -> RenderableType:
    """Equations, states, parameters and source."""
    cell = CELLS[name]
    facts = fact_table()
    states = ", ".join(cell.variables) + f"; the output is {cell.output}"
    carried = len(cell.states) - len(cell.variables)
    facts.add_row("states", states + (f"; {carried} more carry the past" if carried else ""))
    shapes = {"I": "(H,I)", "H": "(H,H)", None: "(H)"}
    facts.add_row(
        "parameters", "  ".join(f"{p.name} {shapes[p.columns]}" for p in cell.parameters.values())
    )
    facts.add_row("count", f"{cell.parameter_formula()}   with I inputs and H units")
    roles = ", ".join(f"{gate} {does}" for gate, does in cell.roles.items())
    facts.add_row("gates", roles or "none that keeps or replaces the state")
    facts.add_row("suits", suiting(cell))
    facts.add_row("source", cell.source)
    if cell.note:
        facts.add_row("note", cell.note)
    lines = [line.strip() for line in cell.equations.strip().splitlines()]
    equations = "\n".join(filter(None, [*lines, *cell.conditions()]))
    reading = "x input, ' new state, * element by element, W U matrices, b p k vectors"
    if "t" in cell.states:
        reading += ", t the step's index from 0"
    if cell.uses_phi:
        reading += ", phi: --set model.phi=…"
    return Group(
        Text(f"{cell.name}", style="bold"),
        cell.summary,
        "",
        Padding(Text(equations, style="cyan"), (0, 0, 0, 4)),
        "",
        Padding(Text(reading, style="dim"), (0, 0, 1, 4)),
        facts,
    )


def suiting(cell: Cell) -> str:
    """The initializers that are not refused for the cell, by what they start."""
    has_biases = any(p.columns is None and p.name[0] == "b" for p in cell.parameters.values())
    groups = (
        ("U", RECURRENT, cell.trained_matrices),
        ("b", BIASES, has_biases),
        ("p", VECTORS, cell.weights),
    )

    def suit(choices: Choices[Any]) -> str:
        made = ((name, choice.model_validate({"name": name})) for name, choice in choices.items())
        return ", ".join(name for name, choice in made if choice.refusal(cell) is None)

    return "; ".join(f"{symbol}: {suit(choices)}" for symbol, choices, has in groups if has)
