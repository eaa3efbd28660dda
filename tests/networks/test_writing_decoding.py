"""What a network writes by itself beside all it could have written: greedy, beam, drawn; and the score."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import writing_witness as plain
from scipy import stats
from torch import Generator
from writing import CLASSES, END, LONGEST, Told, both, drawn, singly, written

from study.networks.decoding import beam, greedy, sample
from study.networks.model import Model
from study.tasks.base import NO_TARGET, Batch
from study.trial.config import TrialConfig

RARE = 1e-4  # one seed in ten thousand would fail
EXACT = 1e-10  # float64, some hundred additions in another order
NETWORKS: list[dict[str, object]] = [
    {"decoder.context": "both", "model.layers": 2, "model.bidirectional": True},
    {"decoder.context": "attention", "attention.name": "soft", "model.deep_output": 1},
    {"attention.name": "hard", "attention.score": "additive", "model.cell": "gru"},
    {"model.embedding": 2, "model.deep_input": 1},
]
ENDS = [END, None]
ENOUGH = CLASSES ** (LONGEST - 1)  # so many beginnings there are before the last symbol


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def seed(number: int) -> Generator:
    return Generator().manual_seed(number)


def networks(flat: dict[str, object], count: int) -> list[tuple[Model, plain.Network]]:
    """With weights small and large: nearly indifferent and nearly certain; ends not too probable."""
    found = [both(k, (0.5, 1.0, 2.0)[k % 3], **flat) for k in range(count)]
    for model, _ in found:
        model.readout.bias[END] -= 0.5
    return found


def some(flat: dict[str, object], number: int = 0) -> Batch:
    return drawn(seed(number), [3, 5, 1], [2, 4, 3], symbols="model.embedding" in flat)


def as_answers(symbols: torch.Tensor) -> list[tuple[int, ...]]:
    """(S,B) -> each sequence's symbols, which nothing but NO_TARGET may follow."""
    answers = []
    for column in symbols.T.tolist():
        answer = tuple(y for y in column if y != NO_TARGET)
        assert column == [*answer, *[NO_TARGET] * (len(column) - len(answer))]
        answers.append(answer)
    return answers


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("flat", NETWORKS, ids=str)
def test_greedy(flat: dict[str, object], end: int | None) -> None:
    for model, net in networks(flat, 6):
        batch = some(flat)
        symbols = greedy(model, batch, LONGEST, end)
        assert symbols.shape[1] == 3
        expected = [plain.greedy(net, xs, LONGEST, end) for xs, _ in singly(batch)]
        assert as_answers(symbols) == expected


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("flat", NETWORKS, ids=str)
def test_a_beam_of_one_is_greedy(flat: dict[str, object], end: int | None) -> None:
    for model, _ in networks(flat, 6):
        batch = some(flat)
        assert torch.equal(
            beam(model, batch, LONGEST, 1, end)[0], greedy(model, batch, LONGEST, end)
        )


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("width", [2, 3, 5])
@pytest.mark.parametrize("flat", NETWORKS, ids=str)
def test_a_beam_and_its_log_probability(
    flat: dict[str, object], width: int, end: int | None
) -> None:
    """The witness's, and the sum of log softmax where each symbol is told those before it."""
    for model, net in networks(flat, 6):
        batch = some(flat)
        symbols, log_probability = beam(model, batch, LONGEST, width, end)
        for (xs, _), answer, found in zip(
            singly(batch), as_answers(symbols), log_probability.tolist(), strict=True
        ):
            assert end not in answer[:-1]
            assert len(answer) == LONGEST or answer[-1] == end
            assert answer == plain.beam(net, xs, LONGEST, width, end)[0]
            assert found == pytest.approx(plain.log_probability(net, xs, answer), abs=EXACT)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("flat", NETWORKS, ids=str)
def test_a_wide_beam_finds_the_most_probable(flat: dict[str, object], end: int | None) -> None:
    """As wide as there are beginnings, it forgets none: the best of all sequences there are."""
    lengths = set()
    for model, net in networks(flat, 12):
        batch = some(flat)
        for width in (ENOUGH, 100):
            symbols, log_probability = beam(model, batch, LONGEST, width, end)
            for (xs, _), answer, found in zip(
                singly(batch), as_answers(symbols), log_probability.tolist(), strict=True
            ):
                every = plain.distribution(net, xs, LONGEST, end)
                assert math.fsum(map(math.exp, every.values())) == pytest.approx(1, abs=EXACT)
                best = max(every, key=every.__getitem__)
                assert answer == best
                assert found == pytest.approx(every[best], abs=EXACT)
                lengths.add(len(answer))
    assert end is None or len(lengths) > 1  # some end early


def test_where_all_is_equally_probable_ending_at_once_is_best() -> None:
    model, _ = both()
    model.readout.weight.zero_()
    model.readout.bias.zero_()
    batch = some({})
    for width in (CLASSES, CLASSES + 2, 100):  # narrower, the tie may leave the end out
        symbols, log_probability = beam(model, batch, LONGEST, width, END)
        assert as_answers(symbols) == [(END,)] * 3
        assert log_probability.tolist() == pytest.approx([-math.log(CLASSES)] * 3, abs=EXACT)
    symbols, log_probability = beam(model, batch, LONGEST, 2, None)
    assert all(len(answer) == LONGEST for answer in as_answers(symbols))
    assert log_probability.tolist() == pytest.approx([-LONGEST * math.log(CLASSES)] * 3, abs=EXACT)


def test_ties_of_two_symbols() -> None:
    """Two symbols that are one, as written and as told: what is found is one of the most probable."""
    model, net = both(3)
    for parameter in (model.readout.weight, model.readout.bias):
        parameter[2] = parameter[0]
    for gate in "ifgo":
        net.p[f"decoder.W_{gate}"][:, 2] = net.p[f"decoder.W_{gate}"][:, 0]
    model.readout.bias[END] -= 3
    batch = some({})
    symbols, log_probability = beam(model, batch, LONGEST, ENOUGH, END)
    for (xs, _), answer, found in zip(
        singly(batch), as_answers(symbols), log_probability.tolist(), strict=True
    ):
        every = plain.distribution(net, xs, LONGEST, END)
        best = [a for a, value in every.items() if value > max(every.values()) - EXACT]
        assert len(best) > 1
        assert answer in best
        assert found == pytest.approx(every[answer], abs=EXACT)


# --- drawn ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("flat", NETWORKS, ids=str)
def test_symbols_are_drawn_as_probable_as_they_are(
    flat: dict[str, object], temperature: float, end: int | None
) -> None:
    """N = 5,000 answers of up to three symbols by χ²; those expected fewer than 5 times together."""
    model, net = both(1, **flat)
    count = 5000
    one = some(flat).take(slice(1))
    batch = some(flat).take(torch.arange(count) % 2)  # beside another, of another length
    symbols = sample(model, batch, 3, seed(0), temperature, end)
    times = Counter(as_answers(symbols)[::2])
    (xs, _), *_ = singly(one)
    chances = {
        answer: math.exp(value)
        for answer, value in plain.distribution(net, xs, 3, end, temperature).items()
    }
    assert times.keys() <= chances.keys()
    often = [answer for answer, chance in chances.items() if chance * count / 2 >= 5]
    found = [times[answer] for answer in often]
    expected = [chances[answer] * count / 2 for answer in often]
    if len(often) < len(chances):
        found.append(count // 2 - sum(found))
        expected.append(count / 2 - sum(expected))
    assert len(often) > 3
    assert stats.chisquare(found, np.array(expected) * sum(found) / sum(expected)).pvalue > RARE


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("flat", NETWORKS, ids=str)
def test_a_cold_draw_is_greedy(flat: dict[str, object], end: int | None) -> None:
    for model, _ in networks(flat, 3):
        batch = some(flat)
        cold = sample(model, batch, LONGEST, seed(0), 1e-6, end)
        assert as_answers(cold) == as_answers(greedy(model, batch, LONGEST, end))


def test_draws_are_the_generators() -> None:
    model, _ = both()
    batch = some({})
    before = torch.get_rng_state()
    one, again, other = (sample(model, batch, LONGEST, seed(k), 2.0, None) for k in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "flat", [{}, {"model.embedding": 3, "model.deep_input": 1, "model.deep_output": 1}], ids=str
)
def test_a_network_that_is_read_at_its_steps_writes_on(flat: dict[str, object]) -> None:
    """What it predicts it reads as the next step: the same as to read all that is written at once."""
    flat = {"task": "hello", "model.layers": 2, **flat}
    model, net = both(5, **flat)
    batch = TrialConfig.from_flat(flat).task.validation().to(torch.float64)
    start = Batch(batch.inputs[:2, :1], batch.targets[:2, :1])
    symbols = greedy(model, start, 5)[:, 0].tolist()
    sought, log_probability = beam(model, start, 3, model.readout.out_features**2)
    xs = list(start.inputs[:, 0])
    unit = torch.eye(len(xs[0]), dtype=torch.float64)
    for s, symbol in enumerate(symbols):
        logits = plain.predictions(net, xs + [unit[y] for y in symbols[:s]], last=False)[-1]
        assert symbol == int(logits.argmax())
    chances = {}
    for answer in itertools.product(range(len(unit)), repeat=3):
        logits = plain.predictions(net, xs + [unit[y] for y in answer[:-1]], last=False)[-3:]
        parts = (a.log_softmax(0)[y].item() for a, y in zip(logits, answer, strict=True))
        chances[answer] = math.fsum(parts)
    best = max(chances, key=chances.__getitem__)
    assert sought[:, 0].tolist() == list(best)
    assert log_probability.item() == pytest.approx(chances[best], abs=EXACT)


# --- the score -----------------------------------------------------------------------------------


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("flat", NETWORKS, ids=str)
def test_exact_is_the_share_of_answers_written_as_wanted(
    flat: dict[str, object], closes: bool
) -> None:
    """Told the right symbols or its own: whether all are right comes out the same, before training
    and in the midst of it.
    """
    model, _ = both(2, **flat, model__hidden=8)
    task = Told(closes=closes)
    lengths = [2, 3, 2, 4, 3] if closes else [2] * 5
    batch = drawn(
        seed(10),
        [3, 5, 1, 4, 2] * 4,
        lengths * 4,
        symbols="model.embedding" in flat,
        closes=closes,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    shares = []
    for _ in range(4):
        logits = model(batch)
        exact = task.scores(logits, batch.targets)["exact"]
        wanted = [tuple(answer) for _, answer in singly(batch)]
        found = written(model, batch, task.end)
        if not closes:
            found = [answer[:2] for answer in found]
        assert exact == np.mean([a == b for a, b in zip(found, wanted, strict=True)])
        shares.append(exact)
        for _ in range(16):
            optimizer.zero_grad()
            with torch.enable_grad():
                task.loss(model(batch), batch.targets).backward()
            optimizer.step()
    assert shares[0] < shares[-1]
    assert any(0 < share < 1 for share in shares)
