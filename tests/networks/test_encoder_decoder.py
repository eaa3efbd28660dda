"""Networks that read and then write: what they are made of, every cell, what is refused, what is kept.

Their numbers have a witness of their own, in test_writing_witness.py.
"""

import json
import sys
from pathlib import Path

import pytest
import torch
from cases import each
from torch import Tensor

from study.base.errors import UserError
from study.cells import CELLS
from study.commands.entry import main
from study.engines.recording import Limit
from study.networks.attention import ATTENTION, Attended
from study.networks.decoding import beam, greedy, sample
from study.networks.encoder_decoder import EncoderDecoder
from study.networks.layer import Layer
from study.networks.model import Model
from study.networks.stack import Stack
from study.probes.audit import audit
from study.probes.gradient_flow import gradient_flow, log_slope
from study.probes.writing import DRAWN, Writing, as_text, writing
from study.tasks import TASKS
from study.tasks.base import NO_TARGET, Batch
from study.tasks.generating import GeneratingTask
from study.trial.config import TrialConfig
from study.trial.construction import build_model
from study.trial.probing import Probed
from study.trial.records import Evaluation, Record, Result, Trained
from study.trial.training import evaluate, train


def config(**changes: object) -> TrialConfig:
    flat: dict[str, object] = {
        "task": "transduction",
        "task.length": 6,
        "task.symbols": 4,
        "task.variable": True,
        "model.hidden": 5,
        "train.batch": 8,
    }
    return TrialConfig.from_flat(flat | {k.replace("__", "."): v for k, v in changes.items()})


def double(c: TrialConfig) -> tuple[Model, Batch]:
    model, draws = build_model(c).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7, generator=draws)
    return model, next(c.task.training(0, 7)).to(torch.float64)


def task_of(c: TrialConfig) -> GeneratingTask:
    assert isinstance(c.task, GeneratingTask)
    return c.task


def gradients(model: Model, batch: Batch, **how: object) -> list[Tensor]:
    model.zero_grad()
    model(batch, **how).square().sum().backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_what_it_is_made_of() -> None:
    model = build_model(config(model__layers=2, model__bidirectional=True, attention="soft"))
    assert isinstance(model, EncoderDecoder)
    assert isinstance(model.encoder, Stack)
    assert isinstance(model.decoder, Stack)
    assert (model.encoder.directions, model.decoder.directions) == (2, 1)
    assert model.layers == [*model.encoder.layers, *model.decoder.layers]
    assert model.path == [model.encoder.layers[2], model.decoder.layers[1]]
    assert model.top is model.decoder.layers[1]
    assert model.parameter_count() == sum(p.numel() for p in model.parameters())


@each("context", ["state", "input", "both"])
@each("name", list(CELLS))
def test_every_cell_hands_over_what_it_read(name: str, context: str) -> None:
    # The first symbol to write, before anything is told.
    c = config(
        model__cell=name, decoder__context=context, task__variable=False, train__engine="reference"
    )
    model, batch = double(c)
    inputs = batch.inputs.clone().requires_grad_()
    model(Batch(inputs, batch.targets))[0].square().sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.isfinite().all()
    known = inputs.grad.abs().sum((1, 2)) > 0
    if name.startswith("skip-only"):  # hears one step in five
        assert known.any()
    else:
        assert known.all(), "a step of which the answer knows nothing"


@pytest.mark.parametrize("attention", list(ATTENTION))
def test_every_parameter_is_trained(attention: str) -> None:
    c = config(
        attention=attention,
        model__layers=2,
        model__embedding=3,
        model__deep_input=1,
        model__deep_hidden=1,
        model__deep_output=1,
    )
    model, batch = double(c)
    attended = Attended()
    predictions = model(batch, draws=torch.Generator().manual_seed(0), attended=attended)
    loss = c.task.loss(predictions, batch.targets)
    policy = model.policy_loss(attended, predictions, batch.targets)
    (loss if policy is None else loss + policy).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_what_is_told_later_changes_nothing_before() -> None:
    model, batch = double(config(attention="soft", decoder__context="both"))
    targets = batch.targets.clone()
    targets[3] = (targets[3] + 1) % 4
    changed = model(Batch(batch.inputs, targets, batch.ends))
    same = (changed == model(batch)).all(-1)
    assert same[:4].all()
    assert not same[4].any()


def test_predictions_do_not_hang_on_the_last_target() -> None:
    model, batch = double(config(task__variable=False))
    targets = batch.targets.clone()
    targets[-1] = 0
    assert torch.equal(model(Batch(batch.inputs, targets)), model(batch))


def test_signal_clipping_limits_encoder_and_decoder() -> None:
    model, batch = double(config(model__layers=2))
    free = gradients(model, batch)
    # What is above or later has limited already what comes down.
    limits = [Limit(10.0**-k) for k in (10, 8, 6, 4)]
    limited = gradients(model, batch, limits=limits)
    assert len(limits) == 4
    assert all(0 < limit.share <= 1 for limit in limits), [limit.share for limit in limits]
    assert float(limited[0].norm()) < 0.1 * float(free[0].norm())


@pytest.mark.parametrize(
    ("name", "value"), [("attention", "hard"), ("decoder__teacher_forcing", 0.5)]
)
def test_chances_come_from_the_generator_and_not_from_torchs(name: str, value: object) -> None:
    c = config(**{name: value})
    model, batch = double(c)

    def predictions(seed: int) -> Tensor:
        torch.manual_seed(seed + 100)
        return model(batch, draws=torch.Generator().manual_seed(seed))

    assert torch.equal(predictions(1), predictions(1))
    assert not torch.equal(predictions(1), predictions(2))
    assert torch.equal(model(batch), model(batch))


def test_the_gradient_flow_goes_through_what_was_written_into_what_was_read() -> None:
    c = config(task__variable=False, model__cell="gru")
    model, batch = double(c)
    flow = gradient_flow(model, c.task, batch)
    assert flow is not None
    assert len(flow.norms["h"]) == c.task.steps + c.task.answer_steps
    # With attention the encoder's last step is one step away from the last symbol written.
    looking, _ = double(config(task__variable=False, model__cell="gru", attention="soft"))
    direct = gradient_flow(looking, c.task, batch)
    assert direct is not None
    written = c.task.answer_steps
    assert direct.norms["h"][written] > direct.norms["h"][written - 1]
    assert flow.norms["h"][written] < 2 * flow.norms["h"][written - 1]


def test_what_reads_one_step_has_no_recurrent_matrix() -> None:
    c = TrialConfig.from_flat({"task": "digit-drawing", "model.hidden": 6})
    model, batch = build_model(c), next(c.task.training(0, 4))
    model(batch).sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None]
    assert idle == [f"encoder.U_{gate}" for gate in "ifgo"]
    trained = sum(p.numel() for p in model.parameters() if p.grad is not None)
    assert model.parameter_count() == trained
    assert set(audit(model).matrices) == {f"decoder.U_{gate}" for gate in "ifgo"}


@each("name", CELLS)
def test_what_reads_one_step_counts_no_number_of_a_recurrent_matrix(name: str) -> None:
    """An orthogonal matrix moves H² numbers, of which H(H-1)/2 count: these few are what is left out."""
    settings = {"task": "digit-drawing", "model.cell": name, "model.hidden": 6}
    model = build_model(TrialConfig.from_flat(settings))
    encoder, decoder = model.layers
    counts = {n: int(p.count(encoder.input_size, 6)) for n, p in encoder.cell.parameters.items()}
    left = sum(n for p, n in counts.items() if p not in encoder.cell.recurrent_matrices)
    readout = sum(p.numel() for n, p in model.named_parameters() if n.startswith("readout."))
    assert encoder.parameter_count() == left
    assert model.parameter_count() == left + decoder.parameter_count() + readout


def test_the_slope_of_a_flow_with_attention_is_that_of_the_steps_that_write() -> None:
    c = config(task__variable=False, attention="soft")
    model, batch = double(c)
    flow = gradient_flow(model, c.task, batch)
    assert flow is not None
    assert flow.log_slope_per_step == pytest.approx(log_slope(flow.norms["h"][:6]))


def test_the_audit_names_encoder_and_decoder() -> None:
    names = set(audit(build_model(config(model__cell="gru"))).matrices)
    assert names == {f"{part}.U_{gate}" for part in ("encoder", "decoder") for gate in "zrn"}


@pytest.mark.parametrize(
    ("attention", "forcing"), [("none", 1.0), ("soft", 1.0), ("hard", 1.0), ("soft", 0.5)]
)
def test_a_trial_learns_and_repeats(
    attention: str, forcing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 40)
    monkeypatch.setattr("study.tasks.synthetic_task.TEST_SEQUENCES", 30)
    c = config(
        attention=attention,
        decoder__teacher_forcing=forcing,
        decoder__beam=3,
        train__lr=0.02,
        train__steps=60,
        train__evaluate_every=30,
    )
    records: list[Record] = list(train(c, test=True))
    losses = [r.values["validation/loss"] for r in records if isinstance(r, Evaluation)]
    assert losses[-1] < 0.95 * losses[0]
    done = records[-1]
    assert isinstance(done, Result)
    assert set(done.test) == {"loss", "accuracy", "exact", "beam_exact", "criterion_met"}
    [found] = [r.finding for r in records if isinstance(r, Probed) and r.probe == "writing"]
    assert isinstance(found, Writing)
    assert all(example.by_beam is not None for example in found.examples)

    def steady(record: Record) -> object:
        if not isinstance(record, Result):
            return record
        timed = ("wall_seconds", "seconds_per_step")
        return {k: v for k, v in record.as_dict().items() if k not in timed}

    assert [steady(r) for r in train(c, test=True)] == [steady(r) for r in records]


@pytest.mark.parametrize("clip", ["norm", "signal", "percentile"])
def test_clipping_rules_reach_every_part(clip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 20)
    c = config(clip=clip, attention="hard", train__steps=4, train__evaluate_every=4)
    before = build_model(c).state_dict()
    records = list(train(c))
    [after] = [r for r in records if isinstance(r, Trained)]
    done = records[-1]
    assert isinstance(done, Result)
    assert done.outcome == "budget"
    moved = {
        name for name, value in after.parameters.items() if not torch.equal(value, before[name])
    }
    assert moved == set(before)


def test_more_layers_before_and_after_change_the_draws_of_nothing_else() -> None:
    plain = build_model(TrialConfig.from_flat({"task.length": 5})).state_dict()
    deep = build_model(TrialConfig.from_flat({"task.length": 5, "model.deep_output": 2}))
    layers = {n: v for n, v in plain.items() if n.startswith("layer.")}
    assert all(torch.equal(deep.state_dict()[n], v) for n, v in layers.items())
    assert [n for n in deep.state_dict() if n.startswith("after.")]


def test_one_to_one_is_a_sequence_of_one_step() -> None:
    c = TrialConfig.from_flat({"task": "parity", "model.cell": "elman"})
    model, batch = build_model(c), next(c.task.training(0, 5))
    batch = Batch(batch.inputs[:1], batch.targets)
    layer = model.layers[0]
    assert isinstance(layer, Layer)
    by_hand = torch.tanh(batch.inputs[0] @ layer.W.T + layer.b)
    torch.testing.assert_close(model(batch)[0], model.readout(by_hand))


def test_a_deep_transition_is_the_configured_cells() -> None:
    c = TrialConfig.from_flat({"model.cell": "lstm", "model.deep_hidden": 2})
    assert c.cell.name == "lstm deep-2"
    assert build_model(c).layers[0].cell is c.cell
    assert TrialConfig.from_flat({"model.cell": "lstm"}).cell is CELLS["lstm"]


# What cannot be is refused in one line


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"task": "adding", "attention": "soft"},
            "task 'adding' has none; set attention to 'none'",
        ),
        ({"task": "adding", "decoder.context": "input"}, "leave it at 'state'"),
        ({"task": "adding", "decoder.beam": 3}, "decoder.beam"),
        ({"task": "adding", "decoder.teacher_forcing": 0.5}, "decoder.teacher_forcing"),
        ({"task": "adding", "model.embedding": 4}, "only symbols can be embedded"),
        ({"task": "transduction", "credit": "rtrl"}, "take 'full'"),
        ({"task": "transduction", "credit": "truncated"}, "take 'full'"),
        ({"task": "transduction", "model.bidirectional": True}, "set decoder.context to 'input'"),
        ({"task": "digit-drawing", "decoder.beam": 2}, "leave it at 1"),
        ({"task": "digit-drawing", "attention": "soft"}, "set attention to 'none'"),
        (
            {"task": "transduction", "decoder.teacher_forcing": 0.9, "attention": "hard"},
            "set that to 1",
        ),
        (
            {
                "task": "transduction",
                "task.length": 1000,
                "attention": "soft",
                "attention.score": "additive",
            },
            "take shorter sequences",
        ),
        ({"task": "transduction", "regularizer": "pascanu"}, "set regularizer to 'none'"),
        ({"task": "transduction", "decoder.context": "attention"}, "'soft' or 'hard'"),
        (
            {"task": "transduction", "decoder.teacher_forcing": 0.9, "clip": "signal"},
            "take another rule",
        ),
        (
            {
                "task": "transduction",
                "attention": "soft",
                "attention.score": "dot",
                "model.bidirectional": True,
            },
            "take 'general' or 'additive'",
        ),
        ({"task": "reber", "model.embedding": 4, "credit": "rtrl"}, "set model.embedding to 0"),
        ({"task": "reber", "model.deep_input": 1, "credit": "rtrl"}, "set model.deep_input to 0"),
        ({"model.cell": "indrnn", "model.deep_hidden": 1}, "no transition to make deep"),
        (
            {"task": "transduction", "train.optimizer": "guess", "decoder.teacher_forcing": 0.5},
            "leave it at 1",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as refusal:
        TrialConfig.from_flat(changes)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


# What a network wrote


def test_of_an_answer_the_end_and_what_follows_are_told_apart() -> None:
    c = config()
    task, (model, batch) = task_of(c), double(c)
    end = task.end
    assert end is not None
    with torch.no_grad():
        model.readout.bias[end] += 100  # ends at once
    first = torch.full((task.answer_steps, 7), NO_TARGET)
    first[0] = end
    draws = torch.Generator().manual_seed(0)
    assert torch.equal(greedy(model, batch, task.answer_steps, end), first)
    assert torch.equal(beam(model, batch, task.answer_steps, 3, end)[0], first)
    assert torch.equal(sample(model, batch, task.answer_steps, draws, 1.0, end), first)


def test_examples_show_what_was_read_wanted_and_written() -> None:
    c = config(attention="soft")
    model, batch = double(c)
    found = writing(model, c.task, batch, width=2)
    assert found is not None
    assert found == Writing.from_dict(json.loads(json.dumps(found.as_dict())))
    lines = as_text(found).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["read", "wanted", "written", "by"]
    for i, example in enumerate(found.examples):
        steps = int(batch.ends[i]) + 1
        assert len(example.read) == steps
        assert example.wanted[:-1] == example.read[::-1]
        assert example.alignment == [*range(steps - 1, -1, -1), -1]
        if i >= DRAWN:
            assert example.weights is None
            continue
        assert example.weights is not None
        assert len(example.weights) == len(example.written)
        assert all(len(row) == steps for row in example.weights)
        assert all(sum(row) == pytest.approx(1, abs=1e-3) for row in example.weights)
    assert 0 < found.attention["aligned"] <= found.attention["peak"] <= 1


def test_attention_aligns_where_the_alignment_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is handed over, so all that is right was looked up; a second and a half.
    monkeypatch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 250)
    c = TrialConfig.from_flat(
        {
            "task": "transduction",
            "task.length": 6,
            "attention": "soft",
            "decoder.context": "attention",
            "model.hidden": 24,
            "train.lr": 0.01,
            "train.batch": 32,
            "train.steps": 800,
        }
    )
    records = list(train(c))
    done = records[-1]
    assert isinstance(done, Result)
    assert done.outcome == "solved"
    [found] = [r.finding for r in records if isinstance(r, Probed) and r.probe == "writing"]
    assert isinstance(found, Writing)
    uniform = sum(abs(a - b) for a in range(6) for b in range(6)) / 36
    assert found.attention["distance"] < 0.25 * uniform
    for example in found.examples[:DRAWN]:
        assert example.written == example.wanted
        assert example.weights is not None
        assert example.alignment == [5, 4, 3, 2, 1, 0]
        heaviest = [max(range(6), key=row.__getitem__) for row in example.weights]
        assert sum(abs(a - b) for a, b in zip(heaviest, example.alignment, strict=True)) <= 2


def test_what_is_no_text_is_not_written() -> None:
    c = TrialConfig.from_flat({"task.length": 5})
    assert writing(build_model(c), c.task, c.task.validation().take(slice(4))) is None


def test_evaluation_in_chunks_weighs_sequences_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    c = config()
    model, batch = double(c)
    whole = evaluate(model, c.task, batch, 3)
    monkeypatch.setattr("study.trial.training.EVALUATION_CHUNK", 3)
    assert evaluate(model, c.task, batch, 3) == pytest.approx(whole, rel=1e-12)


# The command line


def longlag(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["longlag", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("study.tasks.synthetic_task.VALIDATION_SEQUENCES", 40)
    return tmp_path


def test_a_trained_network_writes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert longlag(monkeypatch, "sample") == 2
    assert "no store" in capsys.readouterr().err
    assert longlag(monkeypatch, "train", "--set", "task=hello", "--set", "train.steps=150") == 0
    capsys.readouterr()
    assert longlag(monkeypatch, "sample", "-p", "h", "-n", "4", "-t", "0.01") == 0
    assert capsys.readouterr().out == "hello\n"
    assert longlag(monkeypatch, "sample", "--prompt", "hex") == 2
    assert capsys.readouterr().err == "longlag: task 'hello' reads no 'x'; it reads ehlo\n"
    assert longlag(monkeypatch, "sample", "no-such-run") == 2
    assert "no-such-run" in capsys.readouterr().err
    assert longlag(monkeypatch, "sample", "-t", "0") == 2
    assert "above 0" in capsys.readouterr().err
    assert longlag(monkeypatch, "sample", "--beam", "4") == 2
    assert "a text that goes on has none" in capsys.readouterr().err

    settings = ("task=transduction", "task.length=3", "attention=soft", "train.steps=2")
    words = [word for s in settings for word in ("--set", s)]
    assert longlag(monkeypatch, "train", *words) == 0
    capsys.readouterr()
    for how in ([], ["--beam", "3"], ["-t", "2", "--seed", "4"]):
        assert longlag(monkeypatch, "sample", "-p", "ABC", *how) == 0
        assert len(capsys.readouterr().out.strip()) == 3
    assert longlag(monkeypatch, "sample") == 2
    assert "--prompt" in capsys.readouterr().err
    [picture] = (folder / "mlruns").rglob("attention.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (picture.parent / "written.txt").read_text().startswith("read ")

    assert longlag(monkeypatch, "train", "--set", "task.length=4", "--set", "train.steps=2") == 0
    assert longlag(monkeypatch, "sample") == 2
    assert "has nothing written" in capsys.readouterr().err


def test_a_file_that_holds_no_parameters_is_not_executed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pickle

    assert longlag(monkeypatch, "train", "--set", "task=hello", "--set", "train.steps=5") == 0
    [weights] = (folder / "mlruns").rglob("weights.pt")

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (folder / "touched",)

    for content in (b"", b"PK\x03\x04", pickle.dumps(Evil()), pickle.dumps([1])):
        weights.write_bytes(content)
        assert longlag(monkeypatch, "sample") == 2
        err = capsys.readouterr().err
        assert "weights.pt of run" in err
        assert "is damaged" in err
        assert err.count("\n") == 1
    assert not (folder / "touched").exists()


def test_every_generating_task_has_an_encoder_and_a_decoder() -> None:
    names = [name for name, cls in TASKS.items() if cls.reads == "generated"]
    assert names
    for name in names:
        c = TrialConfig.from_flat({"task": name, "model.hidden": 3, "model.cell": "elman"})
        model, batch = build_model(c), next(c.task.training(0, 3))
        assert isinstance(model, EncoderDecoder)
        assert model(batch).shape == (*batch.targets.shape, c.task.output_size)


UNEQUAL = {
    "transduction": {"task.variable": True, "task.length": 12},
    "number-words": {},
    "number-words by character": {"task.unit": "character", "task.digits": 2},
    "date-formats": {},
    "digit-drawing": {},
}


@pytest.mark.parametrize(
    ("name", "attention"),
    [(n, a) for n in UNEQUAL for a in ("none", "soft") if (n, a) != ("digit-drawing", "soft")],
)
def test_a_batch_of_unequal_lengths_gives_what_one_by_one_gives(name: str, attention: str) -> None:
    given = {"task.name": name.partition(" ")[0], **UNEQUAL[name], "attention": attention}
    c = TrialConfig.from_flat({**given, "model.hidden": 5})
    model, batch = double(c)
    together = c.task.loss(model(batch), batch.targets).item()
    alone = []
    for i in range(len(batch)):
        one = batch.take(slice(i, i + 1))
        steps = len(one.inputs) if one.ends is None else int(one.ends[0]) + 1
        written = int((one.targets != NO_TARGET).sum())
        one = Batch(one.inputs[:steps], one.targets[:written])
        alone.append(c.task.loss(model(one), one.targets).item())
    assert together == pytest.approx(sum(alone) / len(alone), rel=1e-12)
