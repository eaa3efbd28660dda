"""A kernel reads and writes denormal numbers as zero, and its caller's thread does as it did before."""

import threading
from collections.abc import Callable

import pytest
import torch
from denormal import survives
from passes import Case

from study.cells import CELLS
from study.engines.recording import StateGradients
from study.language.cell import Cell
from study.networks.layer import Layer

HALVING = Cell(name="halving", state="h", equations="h' = 0.5*h + W x", source="these tests")
SMALLEST = {torch.float32: 126, torch.float64: 1022}  # 2^-n is the smallest normal number
STEPS = 1100


def halved(engine: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The states after 1, 2, … steps from 1 on, and the gradient 0, 1, … steps back from 1."""
    layer = Layer(HALVING, 1, 1, dtype=dtype, engine=engine)
    x = torch.zeros(STEPS, 1, 1, dtype=dtype)
    recorder = StateGradients()
    start = {"h": torch.ones(1, 1, dtype=dtype, requires_grad=True)}
    outputs, _ = layer(x, start, recorder=recorder)
    outputs[-1].sum().backward()
    return outputs.detach().flatten(), recorder["h"].flatten().flip(0)


@pytest.mark.parametrize("dtype", SMALLEST, ids=str)
def test_what_is_below_the_smallest_normal_number_is_zero_and_the_rest_exact(dtype):
    powers = 0.5 ** torch.arange(STEPS + 1, dtype=torch.float64)
    powers[SMALLEST[dtype] + 1 :] = 0
    states, gradients = halved("native", dtype)
    assert torch.equal(states.double(), powers[1:])
    assert torch.equal(gradients.double(), powers[:-1])


def test_the_reference_engine_in_a_users_code_computes_as_the_user_has_it():
    states, gradients = halved("reference", torch.float32)
    assert states[140] == 2.0**-141
    assert gradients[140] == 2.0**-140


def test_both_engines_agree_down_to_the_smallest_normal_number():
    # 14 steps of a factor of about 1e-3.
    case = Case(CELLS["elman"], "tanh", (14, 1, 1, 1), torch.float32)
    case.parameters["U"] = torch.full((1, 1), 1e-3)
    case.weights[:-1] = 0
    tiny = torch.finfo(torch.float32).tiny
    expected, found = (case.run(e)["d h_t"].flatten() for e in ("reference", "native"))
    assert ((expected != 0) & (expected.abs() < tiny)).any()
    kept = torch.where(expected.abs() < tiny, 0, expected)
    torch.testing.assert_close(found, kept, rtol=1e-5, atol=0)


def in_a_thread(work: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("where", ["here", "in another thread"])
@pytest.mark.parametrize("flushed", [False, True], ids=["kept", "flushed"])
def test_the_callers_thread_stays_as_it_was(where, flushed):
    def passes() -> None:
        before = survives()
        torch.set_flush_denormal(flushed)
        try:
            halved("native", torch.float32)
            assert survives() is not flushed
            layer = Layer("gru", 2, 3, engine="native")
            outputs, _ = layer(torch.ones(4, 2, 2))
            assert survives() is not flushed
            outputs.sum().backward()
            assert survives() is not flushed
            with torch.no_grad():
                layer(torch.ones(4, 2, 2), lengths=torch.tensor([2, 4]))
            assert survives() is not flushed
        finally:
            torch.set_flush_denormal(not before)

    assert survives()
    if where == "here":
        passes()
    else:
        in_a_thread(passes)
    assert survives()


def test_after_an_error_too():
    class Full(StateGradients):
        def store(self, state: str, gradients: torch.Tensor) -> None:
            raise MemoryError("no room")

    layer = Layer("gru", 2, 3, engine="native")
    outputs, _ = layer(torch.ones(4, 2, 2), recorder=Full())
    with pytest.raises(MemoryError):
        outputs.sum().backward()
    assert survives()
