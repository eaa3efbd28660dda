"""The page of all cells in Markdown: equations typeset, what each parameter is, where it is from.

``make docs`` writes it to docs/cells.md; a test keeps that file current.
"""

from study.cells import CELLS
from study.commands.cell_description import suiting
from study.language.cell import Cell
from study.language.nonlinearities import NONLINEARITIES
from study.language.notation import latex_name

_OPENING = """\
# The cells

{count} recurrent cells, each a few equations in `study/cells/`. This page is made from them by
`make docs`; `longlag show cell NAME` prints one in the terminal, `longlag bench cells NAME` times it.

At step $t$ a cell reads the input $x_t$ ($I$ numbers) and makes new states of $H$ units each, the first
of which is its output. $W$ are matrices on the input, $U$ on values as wide as the state, $b$ biases and
$p$ other weights, one a unit; $\\odot$ multiplies element by element, $\\sigma$ is the logistic function
and $\\varphi$ the nonlinearity of your choice (`model.phi`:
{phis}).
States start at zero. *Suits* lists the initializers that are not refused for the cell.
"""


def page() -> str:
    """The whole page."""
    phis = ", ".join(f"`{name}`" for name in NONLINEARITIES)
    opening = _OPENING.format(count=len(CELLS), phis=phis)
    contents = ["| cell | what it is | parameters |", "|---|---|---|"]
    contents += [
        f"| [`{name}`](#{name}) | {cell.summary} | {_formula(cell)} |"
        for name, cell in CELLS.items()
    ]
    sections = [_section(cell) for _, cell in CELLS.items()]
    return "\n".join([opening, *contents, "", *sections]).rstrip() + "\n"


def _section(cell: Cell) -> str:
    lines = " \\\\\n".join(_aligned(line) for line in cell.latex())
    roles = ", ".join(f"${latex_name(gate)}$ {does}" for gate, does in cell.roles.items())
    states = ", ".join(f"${latex_name(state)}$" for state in cell.variables)
    facts = [
        f"- **States** {states}; output ${latex_name(cell.output)}$"
        + (f"; gates: {roles}" if roles else ""),
        f"- **Parameters** {_formula(cell)}",
        f"- **Suits** {suiting(cell)}",
        f"- **Source** {cell.source}",
    ]
    if cell.note:
        facts.append(f"- **Note** {cell.note}")
    block = f"```math\n\\begin{{aligned}}\n{lines}\n\\end{{aligned}}\n```"
    return "\n".join([f"## {cell.name}", "", f"{cell.summary}.", "", block, "", *facts, ""])


def _aligned(line: str) -> str:
    left, equals, right = line.partition(" = ")
    return f"{left} &= {right}" if equals else f"&{line}"


def _formula(cell: Cell) -> str:
    """``4*H*(H + I + 1)`` -> ``$4H(H + I + 1)$``."""
    return f"${cell.parameter_formula().replace('**2', '^2').replace('*', '')}$"


if __name__ == "__main__":
    print(page(), end="")
