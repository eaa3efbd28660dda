"""A cell is its equations: text in, states, parameters and symbolic expressions out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

import sympy

from study.base.errors import unknown
from study.language.expressions import Assignment, Parameter, Product, Reader, phi
from study.language.forms import Form
from study.language.functions import FUNCTIONS
from study.language.notation import (
    PHI,
    PRIME,
    EquationError,
    as_written,
    latex_name,
    parse,
    to_latex,
)


@dataclass(frozen=True, eq=False)
class Cell:
    """One recurrent layer's equations for a single time step.

    ``state`` names the state variables, the first being the layer's output. In ``equations``, x is
    the input, W_… and U_… are matrices, b_… and p_… vectors, phi the nonlinearity that the user
    chooses, and a primed name is a new state: ``h' = phi(W x + U h + b)``.

    ``forget_gate`` names the gate that, near 1, keeps the state, ``input_gate`` the one beside it
    that lets in, where the two are independent, ``update_gate`` the one that, near 1, replaces the
    state in a cell that has no gate to keep it; None when there is none. ``forms`` are of the
    parameters that are not free, ``starts`` the first values of vectors that are not biases: a
    number, a range, or for all of them the name of an initializer. ``note`` tells which reading of
    the source was taken and what to beware of. Raises EquationError when the equations are not well
    formed.

    ``states`` begins with those in ``state``, ``variables``; then come the ones that carry delayed
    values and the step's index, with their ``assignments`` after those ``written``. What depends on
    vectors alone, the ``prelude``, is computed once a pass: the engines get ``operands``.
    """

    name: str
    state: str
    equations: str
    source: str
    summary: str = ""
    forget_gate: str | None = None
    input_gate: str | None = None
    update_gate: str | None = None
    forms: Mapping[str, Form] = field(default_factory=dict)
    starts: Mapping[str, float | tuple[float, float]] | str = field(default_factory=dict)
    note: str = ""

    variables: tuple[str, ...] = field(init=False)
    states: tuple[str, ...] = field(init=False)
    written: tuple[Assignment, ...] = field(init=False)
    prelude: tuple[Assignment, ...] = field(init=False)
    assignments: tuple[Assignment, ...] = field(init=False)
    products: Mapping[sympy.Symbol, Product] = field(init=False)
    parameters: Mapping[str, Parameter] = field(init=False)
    operands: Mapping[str, Parameter] = field(init=False)

    def __post_init__(self) -> None:
        reader = Reader(tuple(self.state.split()))
        try:
            parsed = parse(self.equations)
            written = tuple(reader.assignment(target, tree) for target, tree in parsed)
        except EquationError as error:
            raise EquationError(f"cell {self.name!r}: {error}") from None
        missing = [s for s in reader.states if s + PRIME not in reader.defined]
        if missing:
            raise EquationError(f"cell {self.name!r} has no equation for {missing[0]}'")
        carried = reader.auxiliary()
        stepwise = [a for a in written if a.target not in reader.prelude] + carried
        for name, value in (
            ("variables", reader.states),
            ("states", (*reader.states, *(a.target.removesuffix(PRIME) for a in carried))),
            ("written", written),
            ("prelude", tuple(reader.prelude.values())),
            ("assignments", tuple(stepwise)),
            ("products", MappingProxyType(reader.products)),
            ("parameters", self._formed(reader.parameters)),
            ("operands", self._operands(reader, stepwise)),
        ):
            object.__setattr__(self, name, value)
        self._check_gates(reader)
        self._check_starts()

    def _formed(self, found: Mapping[str, Parameter]) -> Mapping[str, Parameter]:
        for name in self.forms:
            if name not in found:
                raise EquationError(f"cell {self.name!r} has no parameter {name!r} to be of a form")
        formed = {name: replace(p, form=self.forms.get(name)) for name, p in found.items()}
        loose = [n for n, p in formed.items() if n.partition("_")[0] == "k" and p.count(1, 1)]
        if loose:
            raise EquationError(f"cell {self.name!r} does not say what its fixed {loose[0]} is")
        return MappingProxyType(formed)

    @staticmethod
    def _operands(reader: Reader, stepwise: list[Assignment]) -> Mapping[str, Parameter]:
        used: set[sympy.Symbol] = set()
        used.update(*(a.expression.free_symbols for a in stepwise))
        used.update(*(p.operand.free_symbols for p in reader.products.values()))
        names = {s.name for s in used}
        raw = [p for p in reader.parameters.values() if p.columns is not None or p.name in names]
        derived = [Parameter(name, None) for name in reader.prelude if name in names]
        return MappingProxyType({p.name: p for p in [*raw, *derived]})

    def _check_gates(self, reader: Reader) -> None:
        for role in ("forget", "input", "update"):
            gate = getattr(self, f"{role}_gate")
            if gate is not None and gate not in reader.defined:
                raise EquationError(
                    f"cell {self.name!r} has no gate {gate!r} to be its {role} gate"
                )
            if gate is not None and f"b_{gate}" not in reader.parameters:
                raise EquationError(f"cell {self.name!r} has no bias b_{gate} for its {role} gate")

    def _check_starts(self) -> None:
        free = [n for n in self.weights if n not in self.forms or self.parameters[n].count(1, 1)]
        for name in () if isinstance(self.starts, str) else self.starts:
            if name not in free:
                raise EquationError(f"cell {self.name!r} has no vector {name!r} to start somewhere")

    def __deepcopy__(self, memo: dict[int, Any]) -> "Cell":
        return self  # immutable, and the engines keep what they derive from it by identity

    def __reduce__(self) -> tuple[Any, ...]:
        given = (f.name for f in fields(self) if f.init)
        return Cell, tuple(getattr(self, name) for name in given)

    @property
    def output(self) -> str:
        return self.states[0]

    @property
    def uses_phi(self) -> bool:
        written = [a.expression for a in self.assignments]
        return any(e.has(phi) for e in [*written, *(p.operand for p in self.products.values())])

    @property
    def weights(self) -> tuple[str, ...]:
        """The vectors that are trained and no biases: peepholes, recurrent weights of single units."""
        vectors = (p for p in self.parameters.values() if p.columns is None)
        return tuple(p.name for p in vectors if p.name[0] == "p")

    @property
    def roles(self) -> dict[str, str]:
        """What gates do to the state: {"f": "keeps", "i": "lets in"}."""
        named = ((self.forget_gate, "keeps"), (self.input_gate, "lets in"))
        return {g: does for g, does in (*named, (self.update_gate, "replaces")) if g is not None}

    @property
    def recurrent_matrices(self) -> tuple[str, ...]:
        """The (H, H) matrices, in the order of the equations."""
        return tuple(p.name for p in self.parameters.values() if p.columns == "H")

    @property
    def trained_matrices(self) -> tuple[str, ...]:
        """Those of them that are not fixed."""
        return tuple(n for n in self.recurrent_matrices if not self.parameters[n].is_fixed)

    def replace(
        self,
        edits: Mapping[str, str] | None = None,
        *,
        name: str | None = None,
        source: str | None = None,
        summary: str | None = None,
        note: str = "",
        **right_hand_sides: str,
    ) -> "Cell":
        """This cell with some right-hand sides exchanged: ``lstm.replace(f="1-i")`` is CIFG.

        A new state is named with its prime in ``edits``: ``lstm.replace({"h'": "o*c'"})``.
        Parameters that no equation uses any more are gone. Raises UserError for a name that has no
        equation.
        """
        if twice := sorted(set(edits or ()) & set(right_hand_sides)):
            raise EquationError(f"{twice[0]} is replaced twice")
        changes = {**(edits or {}), **right_hand_sides}
        for target, right in changes.items():
            if not isinstance(right, str) or not right.strip() or "\n" in right:
                raise EquationError(f"replace {target} by one expression as text (got {right!r})")
        targets = {as_written(a.target): a for a in self.written}
        for target in changes:
            if target not in targets:
                raise unknown(f"equation in {self.name!r}", target, targets)
        lines = [
            f"{target} = {changes[target]}" if target in changes else str(assignment)
            for target, assignment in targets.items()
        ]
        edited = ", ".join(f"{target} = {right.strip()}" for target, right in changes.items())
        reader = Reader(self.variables)
        for target, tree in parse("\n".join(lines)):
            reader.assignment(target, tree)
        kept = reader.parameters
        starts = self.starts
        if not isinstance(starts, str):
            starts = {n: value for n, value in starts.items() if n in kept}
        return replace(
            self,
            name=name or f"{self.name} with {edited}",
            equations="\n".join(lines),
            source=source or self.source,
            summary=f"{self.name} with {edited}" if summary is None else summary,
            note=note,
            forget_gate=self.forget_gate if f"b_{self.forget_gate}" in kept else None,
            input_gate=self.input_gate if f"b_{self.input_gate}" in kept else None,
            update_gate=self.update_gate if f"b_{self.update_gate}" in kept else None,
            forms={n: form for n, form in self.forms.items() if n in kept},
            starts=starts,
        )

    def parameter_count(self, inputs: Any, hidden: Any) -> Any:
        """Number of trained values; with symbols for I and H, the formula."""
        return sum(p.count(inputs, hidden) for p in self.parameters.values())

    def parameter_formula(self) -> str:
        """Such as ``4*H*(H + I + 1)``."""
        inputs, hidden = sympy.symbols("I H")
        return str(sympy.factor(self.parameter_count(inputs, hidden)))

    def conditions(self) -> list[str]:
        """What the parameters that are not free are, a line each."""
        formed = ((name, p.form) for name, p in self.parameters.items())
        return [form.text.replace("NAME", name) for name, form in formed if form]

    def latex(self) -> list[str]:
        """One equation a line, time written out: h is h_{t-1}, h' is h_t."""
        functions = {name: f.latex for name, f in FUNCTIONS.items()} | {PHI: r"\varphi"}
        constants = {a.target for a in self.prelude}
        lines = [
            to_latex(a.target, a.tree, self.variables, functions, constants) for a in self.written
        ]
        forms = {name: parameter.form for name, parameter in self.parameters.items()}
        named = [(latex_name(name), form) for name, form in forms.items() if form]
        return lines + [form.latex.replace("NAME", name) for name, form in named]

    def bind(self, nonlinearity: sympy.Expr, argument: sympy.Symbol) -> tuple[Assignment, ...]:
        """The assignments with phi(a) replaced by ``nonlinearity`` of ``argument`` = a."""
        return tuple(
            Assignment(
                a.target,
                a.expression.replace(phi, lambda value: nonlinearity.subs(argument, value)),
                a.tree,
            )
            for a in self.assignments
        )
