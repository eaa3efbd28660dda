"""What is done to the gradient on its way back: carrying it on and limiting it, in both engines."""

from itertools import product

import numpy as np
import pytest
import torch
from cases import each
from hypothesis import given, settings
from hypothesis import strategies as st
from passes import LANGUAGE, Case, assert_agree, distance

from study.base.errors import UserError
from study.cells import CELLS
from study.engines import reference
from study.engines.recording import Limit
from study.engines.select import run
from study.language.nonlinearities import NONLINEARITIES

pytestmark = pytest.mark.usefixtures("catalogue_kernels")

ALL = {**dict(CELLS.items()), **LANGUAGE}
ENGINES = ["reference", "native"]
EXACT = 1e-10  # float64: a few hundred additions in another order
TANH = NONLINEARITIES["tanh"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_engines_agree(data):
    name = data.draw(st.sampled_from(list(ALL)))
    choices = list(NONLINEARITIES) if name == "elman" else ["tanh"]  # those with a kernel already
    steps, batch = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 40))
    factors = st.sampled_from([0.0, 1.0]) | st.floats(-2, 2)
    carry = data.draw(st.none() | st.lists(factors, min_size=steps, max_size=steps))
    case = Case(
        ALL[name],
        data.draw(st.sampled_from(choices)),
        (steps, batch, data.draw(st.integers(1, 20)), data.draw(st.integers(1, 70))),
        seed=data.draw(st.integers(0, 1000)),
        scale=0.8,
        lengths=data.draw(
            st.none() | st.lists(st.integers(1, steps), min_size=batch, max_size=batch)
        ),
        carry=None if carry is None else torch.tensor(carry, dtype=torch.float64),
        limit=data.draw(st.none() | st.floats(1e-3, 3)),
    )
    assert_agree(case, EXACT, record=data.draw(st.booleans()))


def passing(value, factor):
    """The value, and ``factor`` times its gradient."""
    return factor * value + ((1 - factor) * value).detach()


@each("name", ALL)
def test_carry_is_a_plain_loop_that_passes_on_a_part(name):
    lengths = torch.tensor([6, 2, 5])
    carry = torch.tensor([0.5, 1, 0, 1.5, 1, -0.3], dtype=torch.float64)
    case = Case(ALL[name], lengths=lengths.tolist(), carry=carry)

    leaves = {
        key: value.clone().requires_grad_()
        for key, value in [*case.parameters.items(), *case.state.items()]
    }
    parameters = {key: leaves[key] for key in case.parameters}
    now, outputs = {key: leaves[key] for key in case.state}, []
    for t in range(len(case.x)):
        seen = {key: passing(value, carry[t]) for key, value in now.items()}
        out, new = reference.run(case.cell, TANH, parameters, case.x[t : t + 1], seen)
        live = (t < lengths)[:, None]
        outputs.append(torch.where(live, out[0], 0))
        now = {key: torch.where(live, value, now[key]) for key, value in new.items()}
    loss = (torch.stack(outputs) * case.weights).sum()
    for value, weight in zip(now.values(), case.last_weights, strict=True):
        loss = loss + (value * weight).sum()
    loss.backward()
    for engine in ENGINES:
        found = case.run(engine)
        for key, leaf in leaves.items():
            expected = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            shown = found[f"d {'first ' if key in case.state else ''}{key}"]
            assert distance(expected, shown) <= EXACT, (engine, key)
        assert distance(torch.stack(outputs).detach(), found["outputs"]) <= EXACT, engine


@each("name", CELLS)
def test_ones_change_no_bit_and_the_outputs_never_change(name):
    for engine in ENGINES:
        plain = Case(CELLS[name]).run(engine)
        ones = Case(CELLS[name], carry=torch.ones(6)).run(engine)
        assert all(torch.equal(plain[key], ones[key]) for key in plain), engine
        bound = Case(CELLS[name], carry=torch.zeros(6), limit=1e-3).run(engine)
        assert torch.equal(plain["outputs"], bound["outputs"]), engine


@each("name", CELLS)
def test_a_cut_passes_nothing_not_even_infinity(name):
    carry = torch.ones(6)
    carry[0] = carry[3] = 0
    for engine, value in product(ENGINES, [float("inf"), float("nan")]):
        case = Case(CELLS[name], carry=carry)
        case.weights[4] = value
        found = case.run(engine)
        # it arrives at the states that the next step reads, and no further
        flows = [found[f"d {state}_t"] for state in case.cell.states]
        assert any(not flow[3].isfinite().all() for flow in flows)
        assert all(flow[:3].isfinite().all() for flow in flows)
        assert all(found[f"d first {state}"].eq(0).all() for state in case.cell.states)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_recorded_is_the_gradient_as_carried(engine):
    case = Case(CELLS["elman"], "identity", carry=torch.tensor([1, 1, 1, 0.5, 1, 1]))
    found = case.run(engine)
    flow = case.weights[-1] + case.last_weights[0]
    for t in range(5, 2, -1):
        assert distance(flow, found["d h_t"][t]) <= EXACT
        flow = case.weights[t - 1] + (0.5 if t == 3 else 1) * flow @ case.parameters["U"]
    assert distance(flow, found["d h_t"][2]) <= EXACT


# --- the limit, against derivatives written by hand ---------------------------------------------


def elman_by_hand(case, limit):
    """dW, dU, db, dh of h' = tanh(W x + U h + b), its pre-activation's gradient clipped."""
    p, x = {k: v.numpy() for k, v in case.parameters.items()}, case.x.numpy()
    states = [case.state["h"].numpy()]
    for row in x:
        states.append(np.tanh(row @ p["W"].T + states[-1] @ p["U"].T + p["b"]))
    found = {k: np.zeros_like(v) for k, v in p.items()}
    clipped, flow = [], case.last_weights[0].numpy()
    for t in reversed(range(len(x))):
        flow = flow + case.weights[t].numpy()
        raw = flow * (1 - states[t + 1] ** 2)
        clipped.insert(0, int((np.abs(raw) > limit).sum()))
        a = np.clip(raw, -limit, limit)
        found["W"] += a.T @ x[t]
        found["U"] += a.T @ states[t]
        found["b"] += a.sum(0)
        flow = a @ p["U"]
    return {**found, "first h": flow}, clipped


def lstm_by_hand(case, limit):
    """Hochreiter & Schmidhuber's cell with a forget gate; the cell state's own path is not clipped."""
    p, x = {k: v.numpy() for k, v in case.parameters.items()}, case.x.numpy()
    h, c, kept = case.state["h"].numpy(), case.state["c"].numpy(), []
    for row in x:
        a = {k: row @ p[f"W_{k}"].T + h @ p[f"U_{k}"].T + p[f"b_{k}"] for k in "ifgo"}
        y = {k: np.tanh(v) if k == "g" else 1 / (1 + np.exp(-v)) for k, v in a.items()}
        new = y["f"] * c + y["i"] * y["g"]
        kept.append((h, c, new, y))
        h, c = y["o"] * np.tanh(new), new
    found = {k: np.zeros_like(v) for k, v in p.items()}
    clipped, (dh, dc) = [], (w.numpy() for w in case.last_weights)
    for t in reversed(range(len(x))):
        h, c, new, y = kept[t]
        dh = dh + case.weights[t].numpy()
        squashed = np.tanh(new)
        dc = dc + dh * y["o"] * (1 - squashed**2)
        raw = {
            "o": dh * squashed * y["o"] * (1 - y["o"]),
            "f": dc * c * y["f"] * (1 - y["f"]),
            "i": dc * y["g"] * y["i"] * (1 - y["i"]),
            "g": dc * y["i"] * (1 - y["g"] ** 2),
        }
        clipped.insert(0, sum(int((np.abs(v) > limit).sum()) for v in raw.values()))
        a = {k: np.clip(v, -limit, limit) for k, v in raw.items()}
        for k, v in a.items():
            found[f"W_{k}"] += v.T @ x[t]
            found[f"U_{k}"] += v.T @ h
            found[f"b_{k}"] += v.sum(0)
        dh, dc = sum(v @ p[f"U_{k}"] for k, v in a.items()), dc * y["f"]
    return {**found, "first h": dh, "first c": dc}, clipped


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "by_hand"), [("elman", elman_by_hand), ("lstm", lstm_by_hand)])
def test_the_limit_is_the_one_written_by_hand(name, by_hand, engine):
    case = Case(CELLS[name], sizes=(9, 4, 3, 6), limit=0.1)
    expected, clipped = by_hand(case, 0.1)
    found = case.run(engine)
    for key, value in expected.items():
        assert distance(torch.from_numpy(value), found[f"d {key}"]) <= EXACT, key
    assert found["clipped"].tolist() == clipped
    columns = {"elman": 1, "lstm": 4}[name]
    assert float(found["share"]) == pytest.approx(sum(clipped) / (9 * 4 * 6 * columns))
    assert 0.1 < float(found["share"]) < 0.9


@each("name", CELLS)
def test_a_limit_above_every_gradient_changes_nothing(name):
    for engine in ENGINES:
        plain, bound = Case(CELLS[name]).run(engine), Case(CELLS[name], limit=1e6).run(engine)
        assert all(distance(plain[key], bound[key]) <= EXACT for key in plain), engine
        assert float(bound["share"]) == 0, engine


@pytest.mark.parametrize("engine", ENGINES)
def test_a_limit_stops_infinity_but_hides_no_nan(engine):
    case = Case(CELLS["elman"], limit=1.0)
    case.weights[5, 0] = float("inf")
    assert case.run(engine)["d U"].isfinite().all()
    case.weights[5, 0] = float("nan")
    assert case.run(engine)["d U"].isnan().any()


@pytest.mark.parametrize("engine", ENGINES)
def test_without_a_backward_pass_there_is_no_count(engine):
    case, limit = Case(CELLS["gru"]), Limit(1.0)
    parameters = {k: v.clone().requires_grad_() for k, v in case.parameters.items()}
    outputs, _ = run(case.cell, TANH, parameters, case.x, case.state, engine=engine, limit=limit)
    with pytest.raises(RuntimeError, match="backward pass first"):
        limit.share  # noqa: B018
    outputs.sum().backward()
    assert limit.clipped.shape == (6,)


@pytest.mark.parametrize("limit", [0, -1.0, float("nan"), float("inf"), "1"])
def test_bad_limits(limit):
    with pytest.raises(UserError, match="limit must be a number above 0"):
        Limit(limit)


@pytest.mark.parametrize("carry", [[1.0], [1.0] * 7, [1] * 6, [1.0] * 5 + [float("nan")]])
def test_bad_carries(carry):
    with pytest.raises(UserError, match="carry must be 6 finite numbers"):
        Case(CELLS["gru"], carry=torch.tensor(carry)).run("native")
