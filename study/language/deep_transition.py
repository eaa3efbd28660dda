"""A cell whose hidden-to-hidden function has several layers, as an edit of its equations."""

import ast
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache

from study.base.errors import UserError
from study.language.cell import Cell
from study.language.expressions import delayed
from study.language.forms import Form
from study.language.notation import PHI, PRIME, delay_of, is_matrix

MOST_LAYERS = 8

_SOURCE = "Pascanu, Gulcehre, Cho & Bengio (2014), How to construct deep recurrent neural networks"


def deep_transition(cell: Cell, depth: int) -> Cell:
    """h_deep1 = φ(U_deep1 h + b_deep1), h_deep2 = φ(U_deep2 h_deep1 + b_deep2), …: ``depth`` layers,
    0 to 8, between a state and every matrix that reads it. Pascanu, Gulcehre, Cho & Bengio (2014).

    What stands in a matrix's brackets is of the last layer: U_f h becomes U_f h_deep2, U_n (r*h)
    becomes U_n (r*h_deep2). Element-wise uses stay, z*h and f*c, so that the way by which a gradient
    is carried unchanged stays open, and so does what the step itself has made, as in U_y h'. The
    layers are H wide. Each state has its own (U_h_deep1, U_c_deep1, …, of two), which are the same
    for all matrices and for its earlier values: h[t-5] passes through those of h.

    Of an Elman cell this is h' = φ(W x + U h_deep + b), where x enters beside the last matrix, the
    RecurrentMultiLayerInp of the authors' code, GroundHog. Their paper and its RecurrentMultiLayer
    have x beside the first, h_t = φ(W_L φ(… φ(W_1 h_{t-1} + V x_t))). That is the same recurrence:
    the value that x enters is the state here, and theirs what the next step's layers make of it. So
    their readout comes after the layers, the one here before them.

    A state's layers have the form of the matrices that read it if products keep it (`Form.is_closed`):
    in a clockwork cell a module still hears slower ones only. Depth 0 is the cell itself; one cell and
    depth give one object. Raises UserError for another depth, where no matrix reads a state, and where
    a state is not in a matrix's brackets by name.
    """
    if not isinstance(depth, int) or isinstance(depth, bool) or not 0 <= depth <= MOST_LAYERS:
        raise UserError(
            f"a transition has 0 to {MOST_LAYERS} further layers, a whole number (got {depth!r})"
        )
    return _deepened(cell, depth) if depth else cell


@lru_cache(maxsize=512)
def _deepened(cell: Cell, depth: int) -> Cell:
    edit = _Edit(cell, depth)
    lines = [str(replace(a, tree=edit.visit(deepcopy(a.tree)))) for a in cell.written]
    if not edit.reads:
        raise UserError(
            f"cell {cell.name!r} has no transition to make deep: "
            "no matrix reads its state from the step before"
        )
    forms, free = edit.forms()
    notes = [f"Of {cell.name} itself: {cell.note}"] if cell.note else []
    notes += [f"The layers before {name} are not of its form." for name in free]
    return replace(
        cell,
        name=f"{cell.name} deep-{depth}",
        equations="\n".join([*edit.layers(), *lines]),
        summary=(
            f"{cell.name} with {depth} layer{'s' * (depth > 1)} between its state and the matrices "
            "that read it"
        ),
        source=f"{cell.source}; deep transition: {_SOURCE}",
        note=" ".join(notes),
        forms={**cell.forms, **forms},
    )


class _Edit(ast.NodeTransformer):
    """Puts the last layer's name for a state's in the brackets of matrices, noting what is there.

    ``reads`` are the (state, steps back) found, ``readers`` a state's matrices.
    """

    def __init__(self, cell: Cell, depth: int) -> None:
        self.cell, self.depth = cell, depth
        self.reads: dict[tuple[str, int], None] = {}
        self.readers: dict[str, dict[str, None]] = {}
        self._matrix: str | None = None
        self._handed: dict[str, list[str]] = {}
        for a in cell.written:
            if not a.target.endswith(PRIME):
                self._handed[a.target] = self._by_element(a.tree)
        names = [*cell.parameters, *cell.variables, *self._handed]
        self._word = "deep"
        while any(self._word in name for name in names):
            self._word += "_"

    def visit_Call(self, node: ast.Call) -> ast.Call:
        function, outer = node.func, self._matrix
        assert isinstance(function, ast.Name)  # the language has no other
        if is_matrix(function.id):
            self._matrix = function.id
        argument = self.visit(node.args[0])
        self._matrix = outer
        return ast.Call(func=function, args=[argument], keywords=[])

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if self._matrix is None:
            return node
        if hidden := self._handed.get(node.id):
            raise UserError(
                f"cell {self.cell.name!r} has {hidden[0]} hidden from {self._matrix} in {node.id}; "
                f"for a deep transition write in the brackets of {self._matrix} what {node.id} is"
            )
        return self._read(node.id, 1) if node.id in self.cell.variables else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        assert isinstance(node.value, ast.Name)
        return node if self._matrix is None else self._read(node.value.id, delay_of(node) or 1)

    def _read(self, state: str, steps: int) -> ast.Name:
        assert self._matrix is not None
        self.reads[state, steps] = None
        self.readers.setdefault(state, {})[self._matrix] = None
        return ast.Name(id=self._value(state, steps, self.depth))

    def _by_element(self, node: ast.AST) -> list[str]:
        """The old states that a value has in it by no matrix."""
        match node:
            case ast.Call(func=ast.Name(id=name)) if is_matrix(name):
                return []
            case ast.Name(id=name) if name in self.cell.variables:
                return [name]
            case ast.Name(id=name):
                return self._handed.get(name, [])
        return [s for child in ast.iter_child_nodes(node) for s in self._by_element(child)]

    def _value(self, state: str, steps: int, layer: int) -> str:
        return f"{state}_{self._word}{layer}" + (f"_lag{steps}" if steps > 1 else "")

    def _suffix(self, state: str, layer: int) -> str:
        """Of a layer's parameters: deep1, or h_deep1 where several states have layers."""
        return f"{state}_{self._word}{layer}" if len(self.readers) > 1 else f"{self._word}{layer}"

    def layers(self) -> list[str]:
        """Their equations."""
        lines = []
        for state, steps in self.reads:
            below = delayed(state, steps)
            for k in range(1, self.depth + 1):
                name, suffix = self._value(state, steps, k), self._suffix(state, k)
                lines.append(f"{name} = {PHI}(U_{suffix} {below} + b_{suffix})")
                below = name
        return lines

    def forms(self) -> tuple[dict[str, Form], list[str]]:
        """Of the layers' matrices; and the matrices whose form their layers have not got."""
        given: dict[str, Form] = {}
        free: dict[str, None] = {}
        for state, matrices in self.readers.items():
            found = {self.cell.forms.get(name) for name in matrices}
            form = found.pop()
            if form is not None and form.is_closed and not found:
                layers = range(1, self.depth + 1)
                given |= {f"U_{self._suffix(state, k)}": form for k in layers}
            else:
                free |= {name: None for name in matrices if name in self.cell.forms}
        return given, list(free)
