"""Polyphonic music: the published loss, and pickles that are read without being executed."""

import contextlib
import io
import json
import math
import os
import pickle
import pickletools
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from task_files import music, music_json, pieces

from study.base.errors import UserError
from study.probes.gradient_flow import gradient_flow
from study.tasks import TASKS
from study.tasks.base import Batch, DatasetTask
from study.tasks.real.plain_pickle import read_pickle
from study.trial.config import TrialConfig
from study.trial.construction import build_model

plain = st.recursive(
    st.integers() | st.text() | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
)


def named(path: Path | str) -> DatasetTask:
    task = TASKS.build({"name": "music", "path": str(path)})
    assert isinstance(task, DatasetTask)
    return task


@settings(deadline=None)
@given(plain, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_pickles_of_every_protocol_are_read(thing: object, protocol: int) -> None:
    read = read_pickle(pickle.dumps(thing, protocol), "a file")
    assert repr(read) == repr(thing)


def test_what_is_shared_stays_shared() -> None:
    inner = [1, 2]
    read = read_pickle(pickle.dumps([inner, inner, (inner,)]), "a file")
    assert read[0] is read[1]
    assert read[2][0] is read[0]


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("made-by-a-pickle",)


MALICIOUS = [
    *(pickle.dumps(Malicious(), protocol) for protocol in range(6)),
    *(pickle.dumps({"train": [Malicious()]}, protocol) for protocol in range(6)),
    b"cos\nsystem\n(S'mkdir made-by-a-pickle'\ntR.",
    b"(S'mkdir made-by-a-pickle'\nios\nsystem\n.",
    b"(cos\nsystem\nS'mkdir made-by-a-pickle'\no.",
    b"\x80\x02\x82\x01.",  # an extension
    b"Psome id\n.",  # a persistent object
]
OTHER = [
    pickle.dumps({"train": [[(np.int64(60),)]]}),
    pickle.dumps({"train": np.zeros((3, 88))}),
    pickle.dumps({"train": {60}}),
    pickle.dumps(1.5),
    pickle.dumps(b"bytes"),
    pickle.dumps(Fraction(1, 2)),
]


@pytest.mark.parametrize("content", MALICIOUS + OTHER, ids=range(len(MALICIOUS + OTHER)))
def test_a_pickle_that_would_call_is_refused_and_calls_nothing(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pickle").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.pickle (calls code|holds more than).*refused"):
        named(tmp_path / "bad.pickle").validation()
    assert [p.name for p in tmp_path.iterdir()] == ["bad.pickle"]


def test_the_malicious_pickle_would_have_done_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else the test above could not fail.
    monkeypatch.chdir(tmp_path)
    pickle.loads(MALICIOUS[2])  # noqa: S301
    assert (tmp_path / "made-by-a-pickle").is_dir()


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60), st.integers(0, 200))
def test_no_bytes_do_more_than_a_user_error(noise: bytes, cut: int) -> None:
    whole = pickle.dumps(pieces(), 2)
    for content in (noise, whole[:cut], whole[:cut] + noise, noise + whole[cut:]):
        with contextlib.suppress(UserError):
            read_pickle(content, "a file")


def test_a_huge_memo_index_or_length_takes_no_memory() -> None:
    for content in (b"]r\xff\xff\xff\xff.", b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f."):
        try:
            assert read_pickle(content, "a file") == []
        except UserError:
            continue


def test_every_opcode_is_read_or_refused_by_name() -> None:
    from study.tasks.real import plain_pickle as module

    known = module.PLAIN | module.EMPTY.keys() | module.TUPLES.keys() | module.PUTS | module.GETS
    assert known | module.CALLS <= {opcode.name for opcode in pickletools.opcodes}


# Piano rolls


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_pickle_and_json_are_the_same_rolls(protocol: int, tmp_path: Path) -> None:
    music(tmp_path, protocol)
    music_json(tmp_path)
    one, two = named(tmp_path / "made.pickle"), named(tmp_path / "made.json")
    for split in ("training", "validation", "test"):
        a, b = one.splits()[split], two.splits()[split]
        assert torch.equal(a.inputs, b.inputs)
        torch.testing.assert_close(a.targets, b.targets, rtol=0, atol=0, equal_nan=True)


def test_whole_numbers_with_a_point_are_notes_too(tmp_path: Path) -> None:
    # As numpy writes arrays with rests in them.
    plain = json.loads(json.dumps(pieces()))
    pointed = {
        split: [[[*map(float, frame), -1.0] for frame in piece] for piece in made]
        for split, made in plain.items()
    }
    (tmp_path / "plain.json").write_text(json.dumps(plain), encoding="utf-8")
    (tmp_path / "pointed.json").write_text(json.dumps(pointed), encoding="utf-8")
    assert "0.0" in (tmp_path / "pointed.json").read_text(encoding="utf-8")
    for split, batch in named(tmp_path / "plain.json").splits().items():
        assert torch.equal(batch.inputs, named(tmp_path / "pointed.json").splits()[split].inputs)


def test_loss_is_the_published_one_by_a_plain_loop(tmp_path: Path) -> None:
    task = named(music(tmp_path)["path"])
    batch = task.validation()
    logits = torch.randn(
        (*batch.targets.shape[:2], 88), generator=torch.Generator().manual_seed(1)
    ).double()
    total, frames, right, wrong = 0.0, 0, 0, 0
    for i, piece in enumerate(pieces()["valid"]):
        for t in range(len(piece) - 1):
            assert batch.inputs[t, i].nonzero().flatten().tolist() == [n - 21 for n in piece[t]]
            frames += 1
            for note in range(88):
                p = 1 / (1 + math.exp(-float(logits[t, i, note])))
                sounds = note + 21 in piece[t + 1]
                total -= math.log(p if sounds else 1 - p)
                right += sounds and p > 0.5
                wrong += sounds != (p > 0.5)
    scores = task.scores(logits, batch.targets.double())
    assert scores["loss"] == pytest.approx(total / frames, rel=1e-9)
    assert scores["accuracy"] == pytest.approx(right / (right + wrong))


def test_a_backward_direction_would_see_the_next_frame_and_is_refused(tmp_path: Path) -> None:
    flat = {"task": "music", "task.path": music(tmp_path)["path"]}
    batch = TrialConfig.from_flat(flat).task.validation()
    asked = batch.targets[:-1]
    there = torch.arange(1, len(batch.inputs))[:, None] <= batch.ends
    assert torch.equal(asked[there], batch.inputs[1:][there])
    with pytest.raises(UserError, match="would look it up"):
        TrialConfig.from_flat({**flat, "model.bidirectional": True})


def test_padded_frames_have_no_gradient(tmp_path: Path) -> None:
    task = named(music(tmp_path)["path"])
    batch = task.validation()
    assert batch.ends is not None
    predictions = torch.zeros_like(batch.targets, requires_grad=True)
    task.loss(predictions, batch.targets).backward()
    assert predictions.grad is not None
    assert predictions.grad.isfinite().all()
    after = torch.arange(task.steps)[: len(batch.targets), None] > batch.ends
    assert (predictions.grad[after] == 0).all()
    assert (predictions.grad[~after] != 0).all()


def test_the_gradient_flow_starts_at_each_pieces_own_last_frame(tmp_path: Path) -> None:
    config = TrialConfig.from_flat({"task": "music", "task.path": music(tmp_path)["path"]})
    model, batch = build_model(config), config.task.validation()
    assert batch.ends is not None
    together = gradient_flow(model, config.task, batch)
    assert together is not None
    alone = []
    for i, end in enumerate(batch.ends.tolist()):
        cut = Batch(batch.inputs[: end + 1, i : i + 1], batch.targets[: end + 1, i : i + 1])
        flow = gradient_flow(model, config.task, cut)
        assert flow is not None
        alone.append(flow.norms["h"])
    for lag, norm in enumerate(together.norms["h"]):
        reached = [norms[lag] for norms in alone if lag < len(norms)]
        assert norm == pytest.approx(sum(reached) / len(reached), rel=1e-9)


def test_chance_is_every_note_at_its_frequency(tmp_path: Path) -> None:
    task = named(music(tmp_path)["path"])
    frames = [frame for piece in pieces()["train"] for frame in piece[1:]]
    expected = 0.0
    for note in range(21, 109):
        p = sum(note in frame for frame in frames) / len(frames)
        if 0 < p < 1:
            expected -= p * math.log(p) + (1 - p) * math.log(1 - p)
    assert task.chance_loss == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("rolls", "words"),
    [
        ([], "a dictionary"),
        ({"train": [], "test": []}, "has no 'valid'|no training piece"),
        ({"train": [], "valid": [], "test": []}, "no training piece of two frames"),
        ({"train": 3, "valid": [], "test": []}, "train is no list but int"),
        ({"train": [[[60], 61]], "valid": [], "test": []}, "piece 0, frame 1 is no list but int"),
        ({"train": [[[60], [20]]], "valid": [], "test": []}, "frame 1: '20' is no MIDI number"),
        ({"train": [[[60], [60.5]]], "valid": [], "test": []}, "'60.5' is no MIDI number"),
        ({"train": [[[60], [True]]], "valid": [], "test": []}, "'True' is no MIDI number"),
        ({"train": [[[60] * 99]], "valid": [], "test": []}, "has 99 notes, a piano 88"),
    ],
)
def test_what_is_no_piano_roll_is_told_in_one_line(
    rolls: object, words: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.json").write_text(json.dumps(rolls), encoding="utf-8")
    with pytest.raises(UserError, match=words) as caught:
        named(tmp_path / "bad.json").validation()
    assert "bad.json" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"train": NaN}'])
def test_broken_json_is_told_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.json") as caught:
        named(tmp_path / "bad.json").validation()
    assert "\n" not in str(caught.value)


def test_a_small_pickle_that_unfolds_without_end_is_refused(tmp_path: Path) -> None:
    piece = [[60]] * 3000
    buffer = io.BytesIO()
    pickle.dump({"train": [piece] * 3000, "valid": [piece], "test": [piece]}, buffer)
    (tmp_path / "bomb.pickle").write_bytes(buffer.getvalue())
    assert len(buffer.getvalue()) < 30_000
    with pytest.raises(UserError, match="more than 10,000,000 items"):
        named(tmp_path / "bomb.pickle").validation()


def doubled(first: bytes, times: int, kind: bytes) -> bytes:
    """``first`` twice in a container, that twice in another, and so on."""
    twice = {b"list": b"(%sh\x00l", b"tuple": b"%sh\x00\x86", b"extended": b"](%sh\x00e"}[kind]
    made = first + b"q\x00"
    for _ in range(times):
        made = twice.replace(b"%s", made) + b"q\x00"
    return made


# Each a few hundred bytes, but for the ones nested a million deep.
BOMBS = {
    "a key as deep as it is shared": b"\x80\x02}" + doubled(b")", 60, b"tuple") + b"K\x01s.",
    "a key nested thousands deep": b"\x80\x02}" + b")" + b"\x85" * 50_000 + b"K\x01s.",
    "a tuple nested a million deep": b"\x80\x02)" + b"\x85" * 1_000_000 + b".",
    "lists nested a million deep": b"\x80\x02" + b"(" * 1_000_000 + b"l" * 1_000_000 + b".",
    "billion laughs of lists": b"\x80\x02" + doubled(b"]", 60, b"list") + b".",
    "billion laughs of tuples": b"\x80\x02" + doubled(b")", 60, b"tuple") + b".",
    "a frame of laughs": b"\x80\x02}(U\x05train](](]" + doubled(b"]", 60, b"list") + b"aeeu.",
    "a note that is laughs": b"\x80\x02}U\x05train](](]("
    + doubled(b"](K<e", 60, b"list")
    + b"eees.",
    "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
    "two lists that hold each other": b"\x80\x02]q\x00]q\x01h\x00ah\x01a.",
    "a dict that holds itself": b"\x80\x02}q\x00K\x01h\x00s.",
    "laughs in the values of dicts": b"\x80\x02"
    + b"}q\x00"
    + b"".join(b"}q%c(K\x01h%cK\x02h%cu" % (i + 1, i, i) for i in range(40))
    + b".",
    "a number of a million digits": b"\x80\x02}U\x05train](](]\x8b\x00\x00\x0f\x00"
    + b"7" * 983_040
    + b"aeeu.",
    "a mark in a list": b"\x80\x02]((ae.",
    "a tuple of what is not there": b"\x80\x02K\x01\x87.",
}


BOMB_SQUAD = """
import resource, sys
from pathlib import Path
from study.base.errors import UserError
from study.tasks.real.music import read_rolls

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    resource.setrlimit(resource.RLIMIT_CPU, (int(sum(resource.getrusage(0)[:2])) + 20, -1))
    try:
        read_rolls(Path(path))
    except UserError as error:
        print(error)
    else:
        print(path, "was read")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 500_000, f"{path} took {grown} kB"
"""


def test_a_bomb_is_told_in_one_line_within_its_bounds(tmp_path: Path) -> None:
    # In a process of its own: what these once did cannot be caught.
    for name, content in BOMBS.items():
        (tmp_path / f"{name}.pickle").write_bytes(content)
    files = [str(tmp_path / f"{name}.pickle") for name in BOMBS]
    done = subprocess.run(
        [sys.executable, "-c", BOMB_SQUAD, *files], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    for file, line in zip(files, lines, strict=False):
        assert line.startswith(file)
        assert "was read" not in line
        assert len(line) < len(file) + 200
    assert len(lines) == len(files), f"{files[len(lines)]}: {done.returncode} {done.stderr[-500:]}"


def test_what_is_read_can_be_walked_to_its_end() -> None:
    # Shared, but not too much: every item is counted as often as it is met.
    content = b"\x80\x02" + doubled(b"](K\x01K\x02e", 15, b"list") + b"."

    def count(given: object) -> int:
        return 1 + sum(map(count, given)) if isinstance(given, list) else 1

    assert count(read_pickle(content, "a file")) == 2**15 * 4 - 1
    for times, words in ((25, "more than 10,000,000 items|more than 20 deep"), (20, "20 deep")):
        with pytest.raises(UserError, match=words):
            read_pickle(b"\x80\x02" + doubled(b"](K\x01K\x02e", times, b"list") + b".", "a file")


def test_numbers_and_names_in_a_message_have_an_end(tmp_path: Path) -> None:
    for rolls in (
        {"x" * 100_000: 1},
        {"train": [[["n" * 100_000]]], "valid": [], "test": []},
        {"train": [[[[1] * 100_000]]], "valid": [], "test": []},
        {"train": [[[{"a": [1] * 100_000}]]], "valid": [], "test": []},
        {"train": [[[10**300]]], "valid": [], "test": []},
    ):
        (tmp_path / "bad.pickle").write_bytes(pickle.dumps(rolls))
        with pytest.raises(UserError, match=r"bad\.pickle") as caught:
            named(tmp_path / "bad.pickle").validation()
        assert len(str(caught.value)) < 400
