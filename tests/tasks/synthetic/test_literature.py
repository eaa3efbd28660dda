"""The protocols of the literature's synthetic tasks, each restated here from its source."""

import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
from scipy.stats import ks_2samp
from torch import Generator, Tensor

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.base import NO_TARGET, Batch, Task
from study.tasks.synthetic.marked import draw
from study.tasks.synthetic.reber_grammar import CHOICES, LEGAL, SYMBOLS, nodes_before


def named(name: str, **parameters: object) -> Task:
    return TASKS.build({"name": name, **parameters})


def drawn(name: str, n: int = 1500, seed: int = 1, **parameters: object) -> Batch:
    return next_of(named(name, **parameters), n, seed)


def next_of(task: Task, n: int, seed: int = 1) -> Batch:
    batch = task.sample(Generator().manual_seed(seed), n)  # type: ignore[attr-defined]
    assert isinstance(batch, Batch)
    return batch


def symbols(batch: Batch) -> Tensor:
    """(T,B), -1 after the end."""
    return _symbols(batch.inputs)


def _symbols(inputs: Tensor) -> Tensor:
    return inputs.argmax(-1).where(inputs.sum(-1) > 0, -1)


def string(task: Task, batch: Batch, i: int) -> str:
    assert task.alphabet is not None
    return "".join(task.alphabet[s] for s in _symbols(batch.inputs[:, i]).tolist() if s >= 0)


def lengths(batch: Batch) -> Tensor:
    assert batch.ends is not None
    return batch.ends + 1


# Adding and multiplication


@pytest.mark.parametrize("length", [10, 24, 41])
@pytest.mark.parametrize("version", ["urnn", "irnn", "pascanu", "hochreiter"])
def test_the_lag_of_marked_numbers(version: str, length: int) -> None:
    """Back to the earlier marker that is a 1; in 20,000 sequences the rarest lag is there."""
    task = named("adding", version=version, length=length)
    batch = next_of(task, 20_000)
    ends = length - 1 if batch.ends is None else batch.ends
    found = ends - (batch.inputs[..., 1] == 1).int().argmax(0)
    assert (int(found.min()), int(found.max())) == task.lag


def test_the_default_adding_problem_is_bit_for_bit_what_it_was() -> None:
    generator = Generator().manual_seed(5)
    values = torch.rand(9, 50, generator=generator)
    first = torch.randint(0, 4, (50,), generator=generator)
    second = torch.randint(4, 9, (50,), generator=generator)
    batch = drawn("adding", 50, 5, length=9)
    assert torch.equal(batch.inputs[..., 0], values)
    each = torch.arange(50)
    assert torch.equal(batch.targets[0, :, 0], values[first, each] + values[second, each])
    assert batch.inputs[..., 1].nonzero()[:, 0].numel() == 100
    assert (batch.inputs[first, each, 1] == 1).all()
    assert (batch.inputs[second, each, 1] == 1).all()
    assert batch.ends is None


def test_irnn_markers_are_any_two_places() -> None:
    batch = drawn("adding", version="irnn", length=7)
    markers = batch.inputs[..., 1]
    assert (markers.sum(0) == 2).all()
    pairs = Counter(tuple(m.nonzero()[:, 0].tolist()) for m in markers.T)
    assert len(pairs) == 21  # 7·6/2
    assert max(pairs.values()) < 2 * min(pairs.values())
    torch.testing.assert_close(batch.targets[0, :, 0], (batch.inputs[..., 0] * markers).sum(0))


@pytest.mark.parametrize("name", ["adding", "multiplication"])
@pytest.mark.parametrize("length", [10, 37, 100])
def test_pascanus_markers_and_lengths(name: str, length: int) -> None:
    batch = drawn(name, version="pascanu", length=length)
    values, markers = batch.inputs.unbind(-1)
    assert set(lengths(batch).tolist()) == set(range(length, length + max(length // 10, 1)))
    for i, n in enumerate(lengths(batch)[:400].tolist()):
        first, second = markers[:, i].nonzero()[:, 0].tolist()
        assert 0 <= first < int(n * 0.1) <= second < int(n * 0.1) + int(n * 0.4)
        one, two = values[first, i], values[second, i]
        wanted = (one + two) / 2 if name == "adding" else one * two
        assert float(batch.targets[0, i, 0]) == pytest.approx(float(wanted))


@pytest.mark.parametrize("name", ["adding", "multiplication"])
@pytest.mark.parametrize("length", [11, 40, 100])
def test_the_1997_markers_lengths_and_targets(name: str, length: int) -> None:
    batch = drawn(name, version="hochreiter", length=length)
    values, markers = batch.inputs.unbind(-1)
    adding = name == "adding"
    assert float(values.min()) < (-0.9 if adding else 0.1)
    assert float(values.min()) >= (-1 if adding else 0)
    assert set(lengths(batch).tolist()) == set(range(length, length + length // 10 + 1))
    assert (markers[0] == -1).all()
    at_start = 0
    for i, n in enumerate(lengths(batch).tolist()):
        assert markers[n - 1, i] == -1
        ones = (markers[:, i] == 1).nonzero()[:, 0].tolist()
        at_start += len(ones) < 2
        assert 1 <= len(ones) <= 2
        # "one of the first T/2-1 still unmarked pairs": with the marked one before them, T/2 at most
        assert ones[-1] <= length // 2 - 1
        assert ones[0] < 10 or len(ones) == 1
        marked = values[ones, i]
        wanted = 0.5 + float(marked.sum()) / 4 if adding else float(marked.prod())
        assert float(batch.targets[0, i, 0]) == pytest.approx(wanted, abs=1e-6)
    early, half = min(10, length // 2 - 1), length // 2 - 1
    assert at_start / 1500 == pytest.approx(1 / early + (1 - 1 / early) / half, abs=0.04)


@pytest.mark.parametrize(
    ("name", "version", "level"),
    [
        ("adding", "irnn", 1 / 12),
        ("adding", "pascanu", 1 / 48),
        ("adding", "hochreiter", None),
        ("multiplication", "pascanu", 1 / 36),
        ("multiplication", "hochreiter", None),
    ],
)
def test_the_plateau_of_one_known_value(name: str, version: str, level: float | None) -> None:
    task = named(name, version=version, length=40)
    batch = next_of(task, 60_000)
    values, markers = batch.inputs.unbind(-1)
    plateau = task.plateaus["one of the two values known"]
    if level is not None:
        assert plateau == pytest.approx(level)
    if version == "hochreiter":
        # Who knows X1 knows whether it was ignored, and then what is left is the whole of X2.
        low, ignored = (-1.0, 0.0) if name == "adding" else (0.0, 1.0)
        marked = draw("hochreiter", 40, low, ignored, Generator().manual_seed(1), 60_000)
        known = marked.first
        assert torch.equal(marked.inputs, batch.inputs)
    else:
        known = values[(markers == 1).int().argmax(0), torch.arange(60_000)]
        ignored = math.nan
    target = batch.targets[0, :, 0].double()
    squares = 0.0
    for group in (known == ignored, known != ignored):
        # The best prediction from what is known is a straight line in it.
        x = torch.stack([torch.ones_like(target), known.double()], dim=1)[group]
        y = target[group, None]
        squares += float((x @ torch.linalg.lstsq(x, y, driver="gelsd").solution - y).square().sum())
    assert squares / 60_000 == pytest.approx(plateau, rel=0.02)


def test_chance_of_the_published_versions() -> None:
    assert named("adding", version="pascanu").chance_loss == pytest.approx(1 / 24)
    assert named("adding", version="irnn").chance_loss == pytest.approx(1 / 6)
    assert named("adding", version="hochreiter", length=100).chance_loss == pytest.approx(
        1 / 24, rel=0.06
    )
    pascanus = named("multiplication", version="pascanu")
    assert pascanus.chance_loss == pytest.approx(7 / 144)


def test_each_adding_version_has_its_own_criterion() -> None:
    irnn = named("adding", version="irnn")
    assert irnn.solved({"loss": 0.0416})
    assert not irnn.solved({"loss": 0.0417})
    # The reruns' 0.1 is met by who knows one of the two values, so it is told and does not count.
    assert irnn.plateaus["published as solved"] == 0.1 > 1 / 12
    pascanu = named("adding", version="pascanu")
    assert pascanu.solved({"loss": 1, "correct": 0.991})
    assert not pascanu.solved({"loss": 0, "correct": 0.99})
    old = named("adding", version="hochreiter")
    assert old.solved({"loss": 1, "correct": 1, "error": 0.0099})
    assert not old.solved({"loss": 0, "correct": 1, "error": 0.01})
    assert not old.solved({"loss": 0, "correct": 0.999, "error": 0.001})
    product = named("multiplication")
    assert product.solved({"loss": 1, "correct": 1 - 12 / 2000})
    assert not product.solved({"loss": 0, "correct": 1 - 13 / 2000})


# Variable copy


def test_variable_copy_is_a_copy_for_each_gap() -> None:
    batch = drawn("variable-copy", length=6)
    assert set(lengths(batch).tolist()) == {gap + 20 for gap in range(1, 7)}
    shown = symbols(batch)
    for i, n in enumerate(lengths(batch)[:500].tolist()):
        gap, line, target = n - 20, shown[:n, i], batch.targets[:, i]
        assert int(line[:10].max()) < 8
        assert (line[10 : 10 + gap - 1] == 8).all()
        assert line[10 + gap - 1] == 9
        assert (line[10 + gap :] == 8).all()
        assert len(line[10 + gap :]) == 10
        assert (target[: n - 10] == 8).all()
        assert torch.equal(target[n - 10 : n], line[:10])
        assert (target[n:] == NO_TARGET).all()


def test_variable_copy_levels_by_simulation() -> None:
    task = named("variable-copy", length=5)
    batch = next_of(task, 20_000)
    # Without a symbol: sure of the blank until the marker, then of none of the eight.
    recalling = torch.arange(task.steps)[:, None] > lengths(batch) - 11
    outputs = torch.zeros(task.steps, 20_000, 9)
    outputs[..., 8] = torch.where(recalling, -50.0, 50.0)
    level = next(iter(task.plateaus.values()))
    assert float(task.loss(outputs, batch.targets)) == pytest.approx(
        level, rel=2e-3
    )  # of 20,000 gaps
    one_gap = named("variable-copy", length=1)
    assert one_gap.chance_loss == pytest.approx(10 * math.log(8) / 21)


# Temporal order


@pytest.mark.parametrize("length", [10, 55, 100])
def test_three_symbols_in_order(length: int) -> None:
    task = named("temporal-order-3", length=length)
    batch = next_of(task, 4000)
    tenth = length // 10
    low = [start * length // 100 for start in (10, 33, 66)]
    assert task.answers is not None
    seen = [set() for _ in range(3)]
    for i, n in enumerate(lengths(batch).tolist()):
        text = string(task, batch, i)
        assert len(text) == n
        assert text[0] == "E"
        assert text[-1] == "B"
        places = [t for t, s in enumerate(text) if s in "XY"]
        assert len(places) == 3
        for place, start, found in zip(places, low, seen, strict=True):
            assert start <= place <= start + tenth
            found.add(place - start)
        assert set(text[1:-1]) <= set("abcdXY")
        assert "".join(text[t] for t in places) == task.answers[int(batch.targets[0, i])]
    assert all(found == set(range(tenth + 1)) for found in seen)
    assert batch.targets.unique().tolist() == list(range(8))


def test_6b_places_at_100_are_the_papers() -> None:
    task = named("temporal-order-3", length=100)
    batch = next_of(task, 4000)
    shown = symbols(batch)
    places = ((shown == 2) | (shown == 3)).nonzero()
    assert set(places[:, 0].tolist()) == {*range(10, 21), *range(33, 44), *range(66, 77)}


@pytest.mark.parametrize(("symbols_", "tenths"), [(2, (1, 5)), (3, (1, 3, 6))])
def test_pascanus_temporal_order(symbols_: int, tenths: tuple[int, ...]) -> None:
    task = named("temporal-order-pascanu", symbols=symbols_, length=60)
    batch = next_of(task, 3000)
    assert batch.ends is None
    shown = symbols(batch)
    important = shown < 2
    assert (important.sum(0) == symbols_).all()
    places = important.T.nonzero()[:, 1].view(-1, symbols_)
    for column, tenth in zip(places.T, tenths, strict=True):
        assert set(column.tolist()) == set(range(6 * tenth, 6 * tenth + 6))
    values = shown.gather(0, places.T)
    assert torch.equal(batch.targets[0], sum(v * 2**k for k, v in enumerate(values)))
    assert task.answers is not None
    for i in range(50):
        told = "".join("AB"[int(v)] for v in values[:, i])
        assert task.answers[int(batch.targets[0, i])] == told


# Latching, two-sequence, long lags


def test_latching_shows_the_class_then_noise() -> None:
    batch = drawn("latching", 20_000, length=12)
    values, target = batch.inputs[..., 0], batch.targets[0, :, 0]
    assert set(target.unique().tolist()) == {-torch.tensor(0.8).item(), torch.tensor(0.8).item()}
    assert torch.equal(values[:3], target.sign().expand(3, -1))
    noise = values[3:]
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.var()) == pytest.approx(0.2, rel=0.02)
    assert abs(float((noise * target).mean())) < 0.01


@pytest.mark.parametrize("version", ["3a", "3b", "3c"])
@pytest.mark.parametrize("shown", [1, 3])
def test_two_sequences(version: str, shown: int) -> None:
    task = named("two-sequence", version=version, shown=shown, length=20)
    batch = next_of(task, 20_000)
    first, second = (0.2, 0.8) if version == "3c" else (1.0, 0.0)
    target = batch.targets[0, :, 0]
    assert target.unique().tolist() == pytest.approx(sorted((first, second)))
    sign = torch.where(target == torch.tensor(first), 1.0, -1.0)
    assert float(sign.mean()) == pytest.approx(0, abs=0.03)
    values = batch.inputs[..., 0]
    signal = values[:shown] - sign
    if version == "3b":
        assert float(signal.var()) == pytest.approx(0.2, rel=0.05)
    else:
        assert (signal == 0).all()
    assert float(values[shown:20].var()) == pytest.approx(0.2, rel=0.02)
    assert set(lengths(batch).tolist()) == {20, 21, 22}


def test_3c_has_noisy_targets_in_training_only() -> None:
    task = named("two-sequence", version="3c", length=5)
    trained = next(task.training(0, 20_000)).targets[0, :, 0]
    low, high = (trained[trained < 0.5], trained[trained >= 0.5])
    assert float(trained.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(trained.var()) == pytest.approx(0.1 + 0.09, rel=0.03)
    assert len(low) > 0
    assert len(high) > 0
    assert len(task.validation().targets.unique()) == 2
    plain = named("two-sequence", version="3a", length=5)
    assert len(next(plain.training(0, 100)).targets.unique()) == 2


def test_two_sequence_criteria() -> None:
    st1, st2 = named("two-sequence"), named("two-sequence", criterion="st2")
    assert st1.solved({"loss": 1, "correct": 1, "error": 0.1})
    assert not st2.solved({"loss": 0, "correct": 1, "error": 0.01})
    assert not st1.solved({"loss": 0, "correct": 0.999, "error": 0})
    noisy = named("two-sequence", version="3b")
    assert noisy.solved({"loss": 1, "correct": 251 / 256, "error": 1})
    assert not noisy.solved({"loss": 0, "correct": 250 / 256, "error": 0})
    assert named("two-sequence", version="3c").solved_rule.endswith("below 0.015")
    with pytest.raises(UserError, match="criterion"):
        named("two-sequence", version="3c", criterion="st1")


def test_2a_is_two_sequences() -> None:
    task = named("long-lag", length=6)
    batch = next_of(task, 1000)
    inputs = {string(task, batch, i) for i in range(200)}
    assert inputs == {"Xabcde", "Yabcde"}
    assert torch.equal(batch.targets[:-1], symbols(batch)[1:])
    assert torch.equal(batch.targets[-1], symbols(batch)[0])
    assert float((symbols(batch)[0] == 5).double().mean()) == pytest.approx(0.5, abs=0.05)


def test_2b_is_random_between() -> None:
    batch = drawn("long-lag", 4000, length=6, regular=False)
    shown = symbols(batch)
    assert set(shown[0].tolist()) == {5, 6}
    assert torch.equal(batch.targets[-1], shown[0])
    assert torch.equal(batch.targets[:-1], shown[1:])
    counts = torch.bincount(shown[1:].flatten(), minlength=7)
    assert (counts[5:] == 0).all()
    assert float((counts[:5] / 20_000 - 0.2).abs().max()) < 0.02


def test_2c_strings_and_lengths() -> None:
    task = named("very-long-lag", length=5, distractors=7)
    batch = next_of(task, 20_000)
    shown, each = symbols(batch), torch.arange(20_000)
    end = lengths(batch) - 1
    assert (shown[0] == 8).all()  # b
    assert (shown[end, each] == 7).all()  # e, the trigger
    assert torch.equal(shown[1] - 9, batch.targets[0])
    for i in range(300):
        between = shown[2 : int(end[i]), i]
        assert len(between) >= 5
        assert 0 <= int(between.min()) <= int(between.max()) < 7
    extra = end - 2 - 5
    assert int(extra.min()) == 0
    # k is geometric: mean 9, and 1 in 10 is 0
    assert float(extra.double().mean()) == pytest.approx(9, rel=0.03)
    assert float((extra == 0).double().mean()) == pytest.approx(0.1, rel=0.08)
    assert float((extra == 1).double().mean()) == pytest.approx(0.09, rel=0.08)


def test_the_first_of_a_hundred_symbols_is_asked_for() -> None:
    batch = drawn("permutation", 2000, length=9)
    shown = symbols(batch)
    assert set(shown[0].tolist()) == {0, 1}
    assert torch.equal(batch.targets[0], shown[0])
    assert set(shown[1:].unique().tolist()) == set(range(2, 100))


# Reber grammars


def is_embedded_reber(text: str) -> bool:
    """Read off the paper's diagram, by names that the code does not use."""
    if len(text) < 9 or text[0] != "B" or text[-1] != "E" or text[1] not in "TP":
        return False
    if text[-2] != text[1]:
        return False
    inner, node = text[2:-2], "start"
    diagram = {
        "start": {"B": "fork"},
        "fork": {"T": "loop S", "P": "loop T"},
        "loop S": {"S": "loop S", "X": "upper"},
        "loop T": {"T": "loop T", "V": "lower"},
        "upper": {"X": "loop T", "S": "end"},
        "lower": {"P": "upper", "V": "end"},
        "end": {"E": "over"},
        "over": {},
    }
    for symbol in inner:
        if symbol not in diagram[node]:
            return False
        node = diagram[node][symbol]
    return node == "over"


def test_the_grammar_knows_published_strings() -> None:
    for inner in ("BTXSE", "BPVVE", "BTSXSE", "BTSSXXTVVE", "BPTVPSE", "BPVPXVPXVPXVVE"):
        assert is_embedded_reber(f"BT{inner}TE")
        assert is_embedded_reber(f"BP{inner}PE")
        assert not is_embedded_reber(f"BT{inner}PE")
    assert not is_embedded_reber("BTBPTVPXVVTTE")


def test_embedded_reber_strings() -> None:
    task = named("reber")
    splits = task.splits()  # type: ignore[attr-defined]
    found: dict[str, list[str]] = {}
    for split, batch in splits.items():
        assert len(batch) == 256
        found[split] = []
        for i, n in enumerate(lengths(batch).tolist()):
            text = string(task, batch, i)
            assert len(text) == n
            answer = [int(c) for c in batch.targets[:, i] if c != NO_TARGET]
            assert len(answer) == n
            assert "".join(SYMBOLS[c] for c in answer[:-1]) == text[1:]
            whole = text + SYMBOLS[answer[-1]]
            assert is_embedded_reber(whole), whole
            found[split].append(whole)
    assert all(len(set(texts)) == 256 for texts in found.values())
    assert not set(found["training"]) & set(found["test"])
    assert not set(found["training"]) & set(found["validation"])
    assert not set(found["validation"]) & set(found["test"])
    other = named("reber", strings=2).splits()  # type: ignore[attr-defined]
    assert not torch.equal(other["training"].inputs[:9], splits["training"].inputs[:9])


@pytest.mark.parametrize("strings", [1, 2, 3])
def test_the_sets_of_reber_strings_are_equally_long(strings: int) -> None:
    splits = named("reber", strings=strings).splits()  # type: ignore[attr-defined]
    parts = [lengths(batch).double() for batch in splits.values()]
    for one in parts:
        for other in parts:
            # A standard deviation of 4 in each of 256: the means' difference has one of 0.35.
            assert abs(float(one.mean() - other.mean())) < 3.5 * 0.35
            assert ks_2samp(one.numpy(), other.numpy()).pvalue > 0.001


def test_continual_reber_is_strings_without_a_gap() -> None:
    task = named("continual-reber", length=150)
    batch = next_of(task, 100)
    assert batch.ends is None
    for i in range(100):
        text = string(task, batch, i)
        answers = "".join(SYMBOLS[c] for c in batch.targets[:, i].tolist())
        assert answers[:-1] == text[1:]
        pieces, rest = [], text
        while True:
            ends = [k for k in range(9, len(rest) + 1) if is_embedded_reber(rest[:k])]
            if not ends:
                break
            pieces.append(rest[: ends[0]])
            rest = rest[ends[0] :]
        assert len(pieces) >= 4
        assert rest[:1] in ("B", "")


def test_continual_reber_is_tested_on_long_streams() -> None:
    task = named("continual-reber", tested=3000)
    assert next(task.training(0, 4)).inputs.shape[:2] == (200, 4)
    assert task.validation().inputs.shape[:2] == (200, 1000)
    confirming = next(iter(task.confirmation(0)))
    for batch in (confirming, task.test()):
        assert batch.inputs.shape[:2] == (3000, 10)
        assert task.scores(LEGAL[nodes_before(batch.targets)].double(), batch.targets) == {
            "loss": pytest.approx(1.1, abs=1.0),
            "legal": 1,
            "faultless": 3000,
        }
    assert not torch.equal(confirming.inputs, task.test().inputs)


def test_a_stream_is_faultless_up_to_its_first_mistake() -> None:
    task = named("continual-reber", length=30)
    batch = next_of(task, 4)
    told = LEGAL[nodes_before(batch.targets)].double()
    for stream, step in enumerate((0, 7, 29)):
        told[step, stream] = -told[step, stream]
    # 0, 7, 29 and all of the 30 steps, in the mean
    assert task.scores(told, batch.targets)["faultless"] == (0 + 7 + 29 + 30) / 4


def test_continual_floor_is_the_entropy_of_the_choices() -> None:
    task = named("continual-reber", length=40)
    batch = next_of(task, 20_000)
    nodes = nodes_before(batch.targets)
    assert float(CHOICES[nodes].double().log().mean()) == pytest.approx(task.floor_loss, rel=0.01)


@pytest.mark.parametrize("name", ["reber", "continual-reber"])
def test_a_legal_prediction_has_every_legal_successor_above_every_other(name: str) -> None:
    task = named(name)
    batch = task.validation().take(slice(4))
    good = LEGAL[nodes_before(batch.targets)].double()
    assert task.scores(good, batch.targets)["legal"] == 1
    step = int((CHOICES[nodes_before(batch.targets)][:, 2] == 2).nonzero()[0])
    tie = good.clone()
    tie[step, 2] = 0
    assert task.scores(tie, batch.targets)["legal"] == 0.75
    one_of_two = good.clone()
    one_of_two[step, 2, int(batch.targets[step, 2])] = 2  # more than the other legal one: fine
    assert task.scores(one_of_two, batch.targets)["legal"] == 1


# Exclusive-or, parity, warp, waveform


@pytest.mark.parametrize("delay", [1, 3])
def test_delayed_xor(delay: int) -> None:
    batch = drawn("delayed-xor", 500, length=12, delay=delay)
    bits = batch.inputs[..., 0].long()
    assert set(bits.unique().tolist()) == {0, 1}
    for t in range(12):
        target = batch.targets[t, :, 0]
        if t < 2 * delay:
            assert target.isnan().all()
        else:
            assert torch.equal(target, (bits[t - delay] ^ bits[t - 2 * delay]).float())
    with pytest.raises(UserError, match="at least 7"):
        named("delayed-xor", length=6, delay=3)


@pytest.mark.parametrize("noisy", [False, True])
def test_parity(noisy: bool) -> None:
    batch = drawn("parity", 5000, length=10, noisy=noisy)
    values = batch.inputs[..., 0]
    assert set(lengths(batch).tolist()) == set(range(5, 11))
    assert torch.equal((values > 0).sum(0) % 2, batch.targets[0])
    there = torch.arange(10)[:, None] < lengths(batch)
    deviation = (values[there].abs() - 1).abs()
    if noisy:
        assert 0.19 < float(deviation.max()) <= 0.2 + 1e-6
    else:
        assert (deviation == 0).all()


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_warped_letters(variable: bool, padded: bool) -> None:
    task = named("warp", length=60, warping=4, variable=variable, padded=padded)
    batch = next_of(task, 300)
    seen: Counter[int] = Counter()
    for i in range(300):
        text = string(task, batch, i)
        starts = [t for t in range(60) if t == 0 or (text[t] not in ("·", text[t - 1]))]
        letters = [text[t] for t in starts]
        seen.update(b - a for a, b in pairwise(starts))
        assert all(a != b for a, b in pairwise(letters))
        expected = [NO_TARGET] * 60
        for k in range(1, len(starts)):
            stop = starts[k + 1] if k + 1 < len(starts) else 60
            expected[starts[k] : stop] = [ord(letters[k - 1]) - ord("A")] * (stop - starts[k])
        assert batch.targets[:, i].tolist() == expected
        if padded:
            shown = {t for t in range(60) if text[t] != "·"}
            assert shown == set(starts)
    assert set(seen) == ({1, 2, 3, 4} if variable else {4})
    if variable:
        assert max(seen.values()) < 1.2 * min(seen.values())


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("length", [5, 6, 30])
def test_the_lag_of_warped_letters(length: int, variable: bool, padded: bool) -> None:
    """Back to where the letter before was shown last; in 2000 sequences the rarest lag is there."""
    task = named("warp", length=length, warping=4, variable=variable, padded=padded)
    batch = next_of(task, 2000)
    lags = set()
    for i in range(2000):
        text = string(task, batch, i)
        before, shown, present = None, 0, text[0]
        for t, letter in enumerate(text):
            if letter not in ("·", present):
                before, present = shown, letter
            if letter != "·":
                shown = t
            if before is not None:
                lags.add(t - before)
    assert (min(lags), max(lags)) == task.lag


def test_waveforms() -> None:
    curves = [named("waveform", waveform=k).curve for k in range(1, 6)]  # type: ignore[attr-defined]
    for curve in curves:
        assert curve.shape == (320,)
        assert float(curve.abs().max()) == pytest.approx(1)
        # 40 periods in 320 steps is the fastest: all of the power is below it.
        power = torch.fft.rfft(curve * torch.hann_window(320, dtype=torch.float64)).abs() ** 2
        assert float(power[:44].sum() / power.sum()) > 0.999
    for i, one in enumerate(curves):
        for other in curves[:i]:
            both = torch.stack([one, other])
            assert abs(float(torch.corrcoef(both)[0, 1])) < 0.7
    task = named("waveform")
    batch = task.validation()
    assert (batch.inputs == 1).all()
    mean = batch.targets.mean().expand(batch.targets.shape)
    assert float(task.loss(mean, batch.targets)) == pytest.approx(1, abs=1e-5)
    assert task.scores(torch.zeros_like(mean), batch.targets)["loss"] >= 1
