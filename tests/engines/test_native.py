"""The native engine against the reference engine."""

import gc
import threading

import pytest
import torch
from cases import each
from hypothesis import given, settings
from hypothesis import strategies as st
from passes import LANGUAGE, Case, assert_agree, distance
from sampling import compiled, representatives

from study.base.errors import UserError
from study.cells import CELLS
from study.engines import select
from study.engines.native import engine as native
from study.engines.recording import StateGradients
from study.language.nonlinearities import NONLINEARITIES
from study.trial.config import TrialConfig
from study.trial.records import Evaluation
from study.trial.training import train

pytestmark = pytest.mark.usefixtures("catalogue_kernels")

ALL = {**dict(CELLS.items()), **LANGUAGE}
EXACT = 1e-10  # float64: a few hundred additions in another order


@each(("name", "phi"), compiled())
def test_every_cell_and_nonlinearity(name, phi):
    for sizes in [(1, 1, 1, 1), (7, 5, 3, 19), (3, 70, 2, 9)]:
        assert_agree(Case(CELLS[name], phi, sizes), EXACT)


@pytest.mark.parametrize("name", LANGUAGE)
def test_the_whole_language(name):
    for sizes in [(1, 1, 1, 1), (6, 3, 2, 5), (5, 9, 33, 40), (4, 300, 3, 70)]:
        assert_agree(Case(LANGUAGE[name], "tanh", sizes), EXACT)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_any_sizes_and_lengths(data):
    name = data.draw(st.sampled_from(list(ALL)))
    phi = data.draw(st.sampled_from([p for c, p in compiled() if c == name] or ["tanh"]))
    steps, batch = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 40))
    sizes = (steps, batch, data.draw(st.integers(1, 20)), data.draw(st.integers(1, 70)))
    lengths = data.draw(st.none() | st.lists(st.integers(1, steps), min_size=batch, max_size=batch))
    seed = data.draw(st.integers(0, 1000))
    record = data.draw(st.booleans())
    case = Case(ALL[name], phi, sizes, seed=seed, lengths=lengths, scale=0.8)
    assert_agree(case, EXACT, record)


@pytest.mark.parametrize("name", representatives())
def test_float32_is_as_accurate_as_torch(name):
    # Both engines round; the exact result is taken from float64. The reference's own error sets the
    # scale, the constant covers cases where it is accidentally tiny: 2e-6 is 32 roundings.
    case = Case(CELLS[name], sizes=(50, 20, 3, 37), dtype=torch.float32, scale=0.8)
    exact = Case(CELLS[name], sizes=case.sizes, x=case.x.double())
    exact.parameters = {key: value.double() for key, value in case.parameters.items()}
    exact.state = {key: value.double() for key, value in case.state.items()}
    exact.weights = case.weights.double()
    exact.last_weights = [w.double() for w in case.last_weights]
    truth, reference, found = exact.run("reference"), case.run("reference"), case.run("native")
    for key, value in truth.items():
        allowed = 4 * distance(value, reference[key].double()) + 2e-6
        assert distance(value, found[key].double()) <= allowed, key


def test_a_thousand_steps():
    assert_agree(Case(CELLS["lstm"], sizes=(1000, 2, 1, 11)), EXACT)
    assert_agree(Case(CELLS["gru"], sizes=(1000, 2, 1, 11)), EXACT)


@each("name", CELLS)
def test_gradcheck(name):
    case = Case(CELLS[name], sizes=(4, 2, 2, 3))
    names = list(case.parameters)

    def outputs(x, first, *weights):
        state = {**case.state, case.cell.output: first}
        parameters = dict(zip(names, weights, strict=True))
        out, last = native.run(case.cell, NONLINEARITIES["tanh"], parameters, x, state)
        return out, *last.values()

    leaves = (case.x, case.state[case.cell.output], *case.parameters.values())
    assert torch.autograd.gradcheck(outputs, [leaf.clone().requires_grad_() for leaf in leaves])


@pytest.mark.parametrize("name", ["lstm", "gru", "gru-torch"])
@pytest.mark.parametrize("size", [1e2, 1e10, 1e300])
def test_enormous_pre_activations(name, size):
    case = Case(CELLS[name], sizes=(4, 5, 2, 9))
    case.x = case.x * size
    assert_agree(case, EXACT)


@each("name", CELLS)
def test_infinities_and_nan_are_noticed(name):
    for value in (float("inf"), -float("inf"), float("nan")):
        case = Case(CELLS[name], sizes=(5, 4, 2, 9))
        case.x[2, 1, 0] = value
        case.state[case.cell.output][3, 4] = value
        expected, found = case.run("reference"), case.run("native")
        for key in ("outputs", *(f"last {s}" for s in case.cell.states)):
            assert distance(expected[key], found[key]) <= EXACT, (value, key)
        for key, gradient in expected.items():
            assert torch.equal(gradient.isfinite(), found[key].isfinite()), (value, key)


def test_divergence_of_a_linear_cell_overflows_alike():
    case = Case(CELLS["elman"], "identity", (60, 2, 1, 9), torch.float32, scale=40.0)
    expected, found = case.run("reference"), case.run("native")
    assert not expected["outputs"].isfinite().all()
    # Which step is the first to overflow may hang on the order of one sum.
    differs = (expected["outputs"].isfinite() != found["outputs"].isfinite()).any((1, 2))
    assert int(differs.sum()) <= 1


def test_non_contiguous_tensors():
    case = Case(CELLS["lstm"], sizes=(7, 4, 3, 5))
    expected = case.run("native")
    case.x = case.x.transpose(0, 1).contiguous().transpose(0, 1)
    case.parameters = {n: p.t().contiguous().t() for n, p in case.parameters.items()}
    case.weights = case.weights[:1, :1, :1].expand(7, 4, 5)
    found = case.run("native")
    assert torch.equal(expected["outputs"], found["outputs"])
    assert_agree(case, EXACT)


def _lstm(**changes):
    case = Case(CELLS["lstm"], **changes)
    return case, (case.cell, NONLINEARITIES["tanh"])


def test_gradients_only_where_asked():
    case, what = _lstm()
    expected = case.run("native")
    x = case.x.clone().requires_grad_()
    first = case.state["c"].clone().requires_grad_()
    outputs, last = native.run(*what, case.parameters, x, {**case.state, "c": first})
    loss = (outputs * case.weights).sum()
    loss = loss + sum((v * w).sum() for v, w in zip(last.values(), case.last_weights, strict=True))
    d_x, d_first = torch.autograd.grad(loss, [x, first])
    assert torch.equal(d_x, expected["d x"])
    assert torch.equal(d_first, expected["d first c"])


def test_only_the_last_state_is_used():
    case, what = _lstm()
    results = []
    for engine in ("reference", "native"):
        x = case.x.clone().requires_grad_()
        _, last = select.run(*what, case.parameters, x, case.state, engine=engine)
        results.append(torch.autograd.grad(last["c"].sum(), x)[0])
    assert distance(*results) <= EXACT


def test_backward_twice_through_a_retained_graph():
    case, what = _lstm()
    x = case.x.clone().requires_grad_()
    outputs, _ = native.run(*what, case.parameters, x, case.state)
    loss = (outputs * case.weights).sum()
    (first,) = torch.autograd.grad(loss, x, retain_graph=True)
    (second,) = torch.autograd.grad(loss, x)
    assert torch.equal(first, second)


def test_changed_outputs_are_noticed():
    case, what = _lstm()
    x = case.x.clone().requires_grad_()
    outputs, _ = native.run(*what, case.parameters, x, case.state)
    loss = outputs.sum()
    with torch.no_grad():
        outputs += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("lengths", [None, [4, 1, 6]])
def test_a_derivative_of_the_gradient_is_that_of_the_reference_engine(lengths):
    """Of a gradient penalty that depends on all: the input is one of the states' too."""
    case, what = _lstm(sizes=(6, 3, 5, 5), lengths=lengths)
    found = []
    for engine in ("reference", "native"):
        x = case.x.clone().requires_grad_()
        weights = {n: p.clone().requires_grad_() for n, p in case.parameters.items()}
        state = {**case.state, "h": x[0].sin()}
        recorder = StateGradients()
        outputs, _ = select.run(*what, weights, x, state, recorder, case.lengths, engine)
        leaves = [x, *weights.values()]
        loss = (outputs * case.weights).sin().sum()
        firsts = torch.autograd.grad(loss, leaves, create_graph=True)
        flow = [recorder[name].clone() for name in recorder.states]
        seconds = torch.autograd.grad(sum(g.square().sum() for g in firsts), leaves)
        assert all((g != 0).any() for g in seconds)
        found.append([g.detach() for g in (*firsts, *seconds, *flow)])
    assert max(map(distance, *found)) <= EXACT


def test_inference_keeps_no_graph_and_gives_the_same_numbers():
    case, what = _lstm(sizes=(9, 4, 2, 21))
    parameters = {n: p.clone().requires_grad_() for n, p in case.parameters.items()}
    outputs, last = native.run(*what, parameters, case.x, case.state)
    assert outputs.requires_grad
    with torch.no_grad():
        plain, plain_last = native.run(*what, parameters, case.x, case.state)
    assert not plain.requires_grad
    assert torch.equal(outputs, plain)
    assert all(torch.equal(last[s], plain_last[s]) for s in last)


def test_the_recorder_holds_the_flow_of_the_loss():
    """∂L/∂h_T is the loss's own gradient there, and ∂L/∂h_0 follows from one step of it."""
    case, what = _lstm()
    recorder = StateGradients()
    parameters = {n: p.clone().requires_grad_() for n, p in case.parameters.items()}
    outputs, _ = native.run(*what, parameters, case.x, case.state, recorder)
    with pytest.raises(RuntimeError, match="backward pass first"):
        recorder["h"]
    (outputs * case.weights).sum().backward()
    assert torch.equal(recorder["h"][-1], case.weights[-1])
    assert recorder.states == ("h", "c")


def test_lengths_are_those_of_a_batch_of_single_sequences():
    lengths = [4, 1, 6]
    case = Case(CELLS["lstm"], sizes=(6, 3, 2, 5), lengths=lengths)
    together = case.run("native")
    for b, steps in enumerate(lengths):
        alone = Case(CELLS["lstm"], sizes=(steps, 1, 2, 5), x=case.x[:steps, b : b + 1])
        alone.parameters = case.parameters
        alone.state = {n: s[b : b + 1] for n, s in case.state.items()}
        alone.weights = case.weights[:steps, b : b + 1]
        alone.last_weights = [w[b : b + 1] for w in case.last_weights]
        single = alone.run("native")
        assert distance(single["outputs"], together["outputs"][:steps, b : b + 1]) <= EXACT
        assert together["outputs"][steps:, b].abs().sum() == 0
        assert together["d x"][steps:, b].abs().sum() == 0
        for key in ("last h", "last c", "d first h", "d first c"):
            assert distance(single[key], together[key][b : b + 1]) <= EXACT


def test_what_lies_beyond_a_length_is_not_looked_at():
    case = Case(CELLS["gru"], sizes=(6, 3, 2, 5), lengths=[4, 1, 6])
    expected = case.run("native")
    case.x[4:, 0] = float("nan")
    found = case.run("native")
    assert all(torch.equal(value, found[key]) for key, value in expected.items())


@pytest.mark.parametrize("lengths", [[0, 1, 2], [1, 2, 7], [1, 2], [1.0, 2.0, 3.0]])
def test_bad_lengths(lengths):
    with pytest.raises(UserError, match="lengths must be"):
        Case(CELLS["gru"], sizes=(6, 3, 2, 5), lengths=lengths).run("native")


def test_several_threads_get_the_same_numbers():
    case = Case(CELLS["gru"], sizes=(40, 30, 3, 33))
    expected = case.run("native")
    found = [None] * 4

    def work(k):
        for _ in range(5):
            found[k] = case.run("native")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in found:
        assert all(torch.equal(value, result[key]) for key, value in expected.items())


def test_used_memory_is_not_handed_out_while_it_is_held():
    """Outputs of earlier passes stay what they were, in arrays large enough to be used again."""
    case = Case(CELLS["elman"], sizes=(300, 16, 1, 64))  # 2.4 MB of outputs
    what = (case.cell, NONLINEARITIES["tanh"], case.parameters)
    held = []
    for k in range(6):
        outputs, _ = native.run(*what, case.x + k, case.state)
        held.append((outputs, outputs.clone()))
        if k % 2:
            del held[0]
            gc.collect()
    assert all(torch.equal(now, before) for now, before in held)


@pytest.mark.parametrize("cell", representatives())
def test_a_trial_has_the_same_curve_with_either_engine(cell):
    """Thirty updates of a whole trial. float32 rounds differently in the two, and each update
    builds on the last: 1e-7 a pass grows to some 1e-5 of the loss; 1e-3 leaves room."""

    def curve(engine):
        settings = {
            "task.length": 12,
            "model.cell": cell,
            "model.hidden": 9,
            "train.batch": 7,
            "train.steps": 30,
            "train.evaluate_every": 5,
            "train.engine": engine,
        }
        records = train(TrialConfig.from_flat(settings))
        return [record.values for record in records if isinstance(record, Evaluation)]

    native, reference = curve("native"), curve("reference")
    assert len(native) == 7
    for ours, theirs in zip(native, reference, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
