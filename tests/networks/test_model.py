"""Networks of several layers, or in both directions, against single layers put together by hand."""

import math

import pytest
import torch
from torch import Tensor

from study.base.errors import UserError
from study.engines.recording import Limit, StateGradients
from study.networks.layer import Layer
from study.networks.model import Model
from study.networks.stack import Stack
from study.probes.audit import audit
from study.probes.gradient_flow import gradient_flow
from study.tasks import TASKS
from study.tasks.base import Batch
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.probing import Probed
from study.trial.records import Evaluation, Result
from study.trial.training import train


def config(**changes: object) -> TrialConfig:
    flat = {"task": "temporal-order", "task.length": 20, "model.hidden": 5, "train.batch": 8}
    return TrialConfig.from_flat(flat | {k.replace("__", "."): v for k, v in changes.items()})


def double(c: TrialConfig) -> tuple[Model, Batch]:
    model, draws = build_model(c).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # biases too: a state that reads padding then moves
            parameter.uniform_(-0.6, 0.6, generator=draws)
    return model, next(c.task.training(0, 6)).to(torch.float64)


def on_its_own(layer: Layer, x: Tensor, **settings: object) -> Tensor:
    return layer(x, **settings)[0]


def backward(layer: Layer, x: Tensor) -> Tensor:
    """Of sequences that are all as long as x."""
    return layer(x.flip(0))[0].flip(0)


def test_the_default_network_is_one_layer() -> None:
    names = [f"{kind}_{gate}" for gate in "ifgo" for kind in "WUb"]
    c = TrialConfig()
    model = build_model(c)
    assert type(model.layer) is Layer
    found = set(model.state_dict())
    assert found == {*(f"layer.{name}" for name in names), "readout.weight", "readout.bias"}
    assert model.parameter_count() == 4 * 64 * (64 + 2 + 1) + 65
    assert model.layers == [model.top] == [model.layer]


@pytest.mark.parametrize("residual", [False, True])
def test_layers_in_one_direction(residual: bool) -> None:
    model, batch = double(config(model__layers=3, model__residual=residual))
    x = on_its_own(model.layers[0], batch.inputs)
    for layer in model.layers[1:]:
        x = on_its_own(layer, x) + residual * x
    last = x[batch.ends, torch.arange(6)]
    torch.testing.assert_close(model(batch), model.readout(last)[None])
    assert model.top is model.layers[2]


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("task", ["temporal-order", "variable-copy"])
def test_both_directions_of_unequal_sequences_one_by_one(task: str, residual: bool) -> None:
    # Each sequence alone, cut to its own steps, through layers that know of no lengths.
    c = config(task=task, model__layers=2, model__bidirectional=True, model__residual=residual)
    model, batch = double(c)
    assert batch.ends is not None
    assert len(batch.ends.unique()) > 1
    together = model(batch)
    lower, lower_back, upper, upper_back = model.layers
    for i, end in enumerate(batch.ends.tolist()):
        x = batch.inputs[: end + 1, i : i + 1]
        x = torch.cat([on_its_own(lower, x), backward(lower_back, x)], dim=-1)
        x = torch.cat([on_its_own(upper, x), backward(upper_back, x)], dim=-1) + residual * x
        if c.task.reads == "last":
            read = torch.cat([x[-1:, :, :5], x[:1, :, 5:]], dim=-1)
            torch.testing.assert_close(together[:, i : i + 1], model.readout(read))
        else:
            torch.testing.assert_close(together[: end + 1, i : i + 1], model.readout(x))


@pytest.mark.parametrize("cell", ["elman", "lstm", "gru"])
def test_parameters_are_counted(cell: str) -> None:
    c = config(model__cell=cell, model__layers=3, model__bidirectional=True)
    model = build_model(c)
    gates = {"elman": 1, "lstm": 4, "gru": 3}[cell]
    inputs, outputs = c.task.input_size, c.task.output_size
    layers = gates * 5 * (2 * (5 + inputs + 1) + 4 * (5 + 10 + 1))
    assert model.parameter_count() == layers + (10 + 1) * outputs
    assert model.parameter_count() == sum(p.numel() for p in model.parameters())


def test_two_directions_start_the_readout_as_torch_does() -> None:
    weights = build_model(
        config(model__hidden=128, model__bidirectional=True)
    ).readout.weight.detach()
    bound = 1 / math.sqrt(256)
    assert 0.95 * bound < float(weights.abs().max()) <= bound  # 1024 draws


def test_the_same_seed_gives_the_same_network_and_layers_differ() -> None:
    c = config(model__layers=2, model__bidirectional=True)
    one, other = build_model(c), build_model(c)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    recurrent = [layer.U_i for layer in one.layers]
    assert all(not torch.equal(recurrent[0], u) for u in recurrent[1:])


def test_all_layers_are_truncated_at_the_same_steps() -> None:
    # By hand: four steps at a time, from the detached states of both layers.
    stack = Stack("gru", 2, 3, layers=2, generator=torch.Generator().manual_seed(0))
    x = torch.randn(10, 4, 2, generator=torch.Generator().manual_seed(1))
    stack(x, credit={"name": "truncated", "window": 4})[0].square().sum().backward()
    found = [p.grad.clone() for p in stack.parameters()]
    stack.zero_grad()
    states = None
    for part in x.split(4):
        outputs, states = stack(part, states)
        outputs.square().sum().backward()
        states = [{name: s.detach() for name, s in state.items()} for state in states]
    for gradient, parameter in zip(found, stack.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-4, atol=1e-5)


def test_draws_of_a_credit_rule_come_from_the_generator() -> None:
    model, batch = double(config(model__layers=2))

    def gradients(seed: int) -> list[Tensor]:
        model.zero_grad()
        draws = torch.Generator().manual_seed(seed)
        rule = {"name": "artbp", "length": 3.0}
        model(batch, credit=rule, generator=draws).square().sum().backward()
        return [p.grad.clone() for p in model.parameters()]

    one, same, other = gradients(0), gradients(0), gradients(1)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_real_time_recurrent_learning_in_both_directions_is_exact() -> None:
    model, batch = double(config(model__cell="elman", model__bidirectional=True))
    model(batch).square().sum().backward()
    expected = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(batch, credit="rtrl").square().sum().backward()
    for gradient, parameter in zip(expected, model.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_signal_clipping_limits_every_layer() -> None:
    # Linear, and one step: a limit sees ∂L/∂h, which is clamped by hand.
    model, batch = double(config(model__cell="elman", model__phi="identity", model__layers=2))
    batch = Batch(batch.inputs[:1], batch.targets)
    limits = [Limit(0.1), Limit(0.3)]
    model(batch, limits=limits).sum().backward()
    lower, upper = model.layers
    signal = model.readout.weight.detach().sum(0).expand(6, 5)
    for layer, limit in ((upper, limits[1]), (lower, limits[0])):
        limited = signal.clamp(-limit.value, limit.value)
        torch.testing.assert_close(layer.b.grad, limited.sum(0))
        assert limit.share == pytest.approx(float((signal != limited).double().mean()))
        assert 0 < limit.share < 1
        signal = limited @ layer.W.detach()


def test_the_gradient_flow_is_the_top_layers_forward_direction() -> None:
    c = config(model__layers=2, model__bidirectional=True, model__cell="gru")
    model, batch = double(c)
    flow = gradient_flow(model, c.task, batch)
    assert flow is not None
    by_lag: dict[int, list[float]] = {}
    lower, lower_back, upper, upper_back = model.layers
    assert model.top is upper
    for i, end in enumerate(batch.ends.tolist()):
        x = batch.inputs[: end + 1, i : i + 1]
        x = torch.cat([on_its_own(lower, x), backward(lower_back, x)], dim=-1)
        recorder = StateGradients()
        forward = on_its_own(upper, x, recorder=recorder)
        read = torch.cat([forward[-1:], backward(upper_back, x)[:1]], dim=-1)
        c.task.loss(model.readout(read), batch.targets[:, i : i + 1]).backward()
        for lag, norm in enumerate(recorder["h"].flip(0).norm(dim=-1)[:, 0].tolist()):
            by_lag.setdefault(lag, []).append(norm)
    expected = [sum(norms) / len(norms) for _, norms in sorted(by_lag.items())]
    assert flow.norms["h"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("clip", ["norm", "signal"])
def test_a_network_of_several_layers_trains(monkeypatch: pytest.MonkeyPatch, clip: str) -> None:
    monkeypatch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 60)
    c = config(
        model__layers=2,
        model__bidirectional=True,
        model__residual=True,
        clip=clip,
        train__lr=0.01,
        train__steps=60,
        train__evaluate_every=30,
    )
    records = list(train(c))
    done = records[-1]
    assert isinstance(done, Result)
    assert done.parameters == sum(p.numel() for p in build_model(c).parameters())
    losses = [r.values["validation/loss"] for r in records if isinstance(r, Evaluation)]
    assert losses[-1] < losses[0]
    again = [r for r in train(c) if isinstance(r, Evaluation)]
    assert again == [r for r in records if isinstance(r, Evaluation)]
    assert Probed("audit", "init", 0, audit(build_model(c))) in records
    assert {name.rpartition(".")[0] for name in audit(build_model(c)).matrices} == {
        f"layer.layers.{k}" for k in range(4)
    }


NO_FILES = [name for name, cls in TASKS.items() if not cls.needs_files]


@pytest.mark.parametrize("name", NO_FILES)
def test_only_a_task_that_shows_its_answers_refuses_a_backward_direction(name: str) -> None:
    # Shown: what is asked for at some step is, with one-hot inputs, the input of the next step.
    task = TASKS.build(name)
    shown = False
    if task.reads == "every" and task.input_size == task.output_size > 1:
        batch = next(task.training(0, 4))
        asked, following = batch.targets[:-1], batch.inputs[1:]
        there = following.sum(-1) > 0
        shown = bool((following.argmax(-1) == asked)[there].all())
    assert task.causal == shown
    changes = {"task": name, "model.bidirectional": True}
    if task.reads == "generated":  # what is read is all there before anything is written
        changes["decoder.context"] = "input"
    if not shown:
        assert TrialConfig.from_flat(changes).model.bidirectional
        return
    with pytest.raises(UserError, match="would look it up; set") as refusal:
        TrialConfig.from_flat(changes)
    assert "\n" not in str(refusal.value)
