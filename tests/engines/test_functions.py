"""Every elementary function and its derivative, on both engines, from the smallest number to infinity."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from study.engines import select
from study.engines.native.kernel import kernel
from study.language.cell import Cell
from study.language.functions import FUNCTIONS
from study.language.nonlinearities import NONLINEARITIES

# One state a function, so that one kernel does for all: s_tanh' = tanh(s_tanh), ….
STATES = {name: f"s_{name}" for name in FUNCTIONS}
CELL = Cell(
    name="every function",
    state=" ".join(STATES.values()),
    equations="\n".join(f"{s}' = {name}({s})" for name, s in STATES.items()),
    source="these tests",
)
TANH = NONLINEARITIES["tanh"]
DTYPES = [torch.float32, torch.float64]
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module", autouse=True)
def kernels():
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda dtype: kernel(CELL, TANH, dtype), DTYPES))


def passed(engine: str, a: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """By function, its values at a (n,) and its derivatives."""
    leaves = {s: a[None].clone().requires_grad_() for s in STATES.values()}
    _, last = select.run(CELL, TANH, {}, a.new_zeros(1, 1, 1), leaves, engine=engine)
    ones = [torch.ones_like(value) for value in last.values()]
    gradients = torch.autograd.grad(list(last.values()), list(leaves.values()), ones)
    return {
        name: (last[s][0].detach(), gradient[0])
        for (name, s), gradient in zip(STATES.items(), gradients, strict=True)
    }


def zero(a: Tensor) -> Tensor:
    return torch.zeros_like(a)


# In float64, by formulas that lose no digits: (value, derivative).
EXACT: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "tanh": (torch.tanh, lambda a: 1 / torch.cosh(a) ** 2),
    "sigmoid": (torch.sigmoid, lambda a: torch.sigmoid(a) * torch.sigmoid(-a)),
    "relu": (torch.relu, lambda a: (a > 0).double()),
    "step": (lambda a: torch.where(a.isnan(), a, (a > 0).double()), zero),
    "exp": (torch.exp, torch.exp),
    "log": (torch.log, torch.reciprocal),
    "expm1": (torch.expm1, torch.exp),
    "softplus": (lambda a: torch.logaddexp(a, zero(a)), torch.sigmoid),
    "hardtanh": (torch.nn.functional.hardtanh, lambda a: (a.abs() < 1).double()),
    "sin": (torch.sin, torch.cos),
    "cos": (torch.cos, lambda a: -torch.sin(a)),
    "erf": (torch.erf, lambda a: 2 / torch.pi**0.5 * torch.exp(-a * a)),
    "floor": (torch.floor, zero),
}


def grid(dtype: torch.dtype) -> Tensor:
    """Of both signs: subnormal numbers, every size, a dense middle, whole numbers and those beside
    them, where e^a and e^2a overflow and vanish, where every number is whole, the largest."""
    info = torch.finfo(dtype)
    exponents = torch.linspace(-44 if dtype == torch.float32 else -323, 2.9, 2000).double()
    whole = torch.arange(1, 40).to(dtype)
    edges = [info.tiny, info.tiny * info.eps, 87.0, 88.8, 103.9, 104.1, 354.9, 708.3, 709.8, 745.2]
    edges += [0.0, 1e4, 2.0**23 - 0.5, 2.0**23 + 1, 2.0**31, 2.0**52 - 0.5, 1e30, info.max]
    a = torch.cat(
        [
            (10**exponents).to(dtype),
            torch.linspace(0, 30, 3001).to(dtype),
            *(torch.nextafter(whole, whole + side) for side in (-1, 0, 1)),
            torch.tensor(edges, dtype=dtype),
        ]
    )
    return torch.cat([a, -a])


def test_every_function_has_an_exact_formula_here():
    assert set(EXACT) == set(FUNCTIONS)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_values_and_derivatives(engine, dtype):
    """Two units in the last place, three where an exponential, a logarithm and a quotient round one
    after another; derivatives, which torch too takes as 1 - tanh², absolutely. A kernel takes subnormal
    numbers for zero, the given ones and its own."""
    info, a = torch.finfo(dtype), grid(dtype)
    found, far = passed(engine, a), []
    if engine == "native":
        a = torch.where(a.abs() < info.tiny, zero(a).copysign(a), a)
    for name, (value, derivative) in EXACT.items():
        values, slopes = found[name]
        for what, ours, exact in (
            ("value", values, value(a.double())),
            ("derivative", slopes, derivative(a.double())),
        ):
            rounded = exact.to(dtype)
            finite = rounded.isfinite()
            assert torch.equal(ours.isnan(), rounded.isnan()), (name, what)
            assert torch.equal(ours[~finite & ~ours.isnan()], rounded[~finite & ~ours.isnan()])
            # In float32 e^-a overflows below a = -88.7 and the sigmoid is 0 there, torch's too.
            flushed = engine == "native" or name == "sigmoid"
            least = info.tiny if flushed else info.tiny * info.eps
            size = exact.abs() if what == "value" else exact.abs().clamp(min=1)
            units = 3 if name == "softplus" else 2
            error = (ours.double() - exact).abs() - units * (info.eps * size + least)
            error = error.masked_fill(~finite, 0)
            if (error > 0).any():
                worst = int(error.argmax())
                far.append((name, what, a[worst].item(), ours[worst].item(), exact[worst].item()))
    assert not far


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_at_infinity_and_at_what_is_no_number(engine, dtype):
    expected = {  # at -∞, ∞ and NaN; the derivatives at -∞ and ∞
        "tanh": ((-1, 1, NAN), (0, 0)),
        "sigmoid": ((0, 1, NAN), (0, 0)),
        "relu": ((0, INF, NAN), (0, 1)),
        "step": ((0, 1, NAN), (0, 0)),
        "exp": ((0, INF, NAN), (0, INF)),
        "log": ((NAN, INF, NAN), (0, 0)),
        "expm1": ((-1, INF, NAN), (0, INF)),
        "softplus": ((0, INF, NAN), (0, 1)),
        "hardtanh": ((-1, 1, NAN), (0, 0)),
        "sin": ((NAN, NAN, NAN), (NAN, NAN)),
        "cos": ((NAN, NAN, NAN), (NAN, NAN)),
        "erf": ((-1, 1, NAN), (0, 0)),
        "floor": ((-INF, INF, NAN), (0, 0)),
    }
    found = passed(engine, torch.tensor([-INF, INF, NAN], dtype=dtype))
    for name, (values, slopes) in expected.items():
        told = torch.tensor(values, dtype=dtype), torch.tensor(slopes, dtype=dtype)
        assert torch.equal(found[name][0].nan_to_num(7, 8, 9), told[0].nan_to_num(7, 8, 9)), name
        assert torch.equal(found[name][1][:2].nan_to_num(7, 8, 9), told[1].nan_to_num(7, 8, 9)), (
            name
        )


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_conventions_at_the_corners(engine):
    """torch's: relu'(0) = 0, hardtanh'(±1) = 0; floor and step are flat everywhere."""
    slopes = {n: d.tolist() for n, (_, d) in passed(engine, torch.tensor([-1.0, 0, 1])).items()}
    assert slopes["relu"] == [0, 0, 1]
    assert slopes["hardtanh"] == [0, 1, 0]
    assert slopes["step"] == slopes["floor"] == [0, 0, 0]
