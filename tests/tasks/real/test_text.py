"""Texts: one word, characters in their standard splits, labelled texts."""

import hashlib
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from task_files import table, texts

from study.base.errors import UserError
from study.tasks import TASKS
from study.tasks.base import DatasetTask
from study.tasks.real import corpora
from study.tasks.real.characters import Characters
from study.tasks.real.csv_text import CsvText
from study.trial.config import TrialConfig
from study.trial.records import Result
from study.trial.training import train


def named(name: str, **parameters: object) -> Any:
    return TASKS.build({"name": name, **parameters})


def refused(task: DatasetTask, *words: str) -> str:
    with pytest.raises(UserError) as caught:
        task.validation()
    assert all(word in str(caught.value) for word in words), str(caught.value)
    return str(caught.value)


# Hello


def test_hello_is_the_lectures_one() -> None:
    batch = named("hello").validation()
    letters = sorted("helo")
    assert "".join(letters[i] for i in batch.inputs[:, 0].argmax(-1)) == "hell"
    assert "".join(letters[i] for i in batch.targets[:, 0]) == "ello"
    assert batch.inputs.sum() == 4
    task = named("hello")
    assert task.chance_loss == pytest.approx(2 * 0.25 * math.log(4) + 0.5 * math.log(2))
    assert list(task.plateaus.values()) == [pytest.approx(math.log(2) / 2)]
    assert (task.lag, task.chance_metric) == ((0, 1), 0.5)


def test_hello_is_memorized_by_an_lstm() -> None:
    flat = {"task": "hello", "model.hidden": 8, "train.lr": 0.05, "train.steps": 300}
    result = list(train(TrialConfig.from_flat(flat)))[-1]
    assert isinstance(result, Result)
    assert result.outcome == "solved"


def test_the_lag_of_a_word_is_how_long_two_stretches_are_alike() -> None:
    assert named("hello", word="abcxabcy").lag == (0, 3)  # abc, and before it the beginning or x


@pytest.mark.parametrize("word", ["", "ab", "abb", "abcd", "abcab", "x" * 101])
def test_a_word_without_a_question_is_refused(word: str) -> None:
    with pytest.raises(UserError, match="word"):
        named("hello", word=word)


# Characters


def shown(task: Characters, split: str) -> list[str]:
    """The windows of a split as text, the first character read to the last one predicted."""
    kept = "?" + "".join(map(chr, task._text.characters))
    batch = task.splits()[split]  # type: ignore[index]
    whole = torch.cat([batch.inputs.argmax(-1)[:1], batch.targets])
    assert torch.equal(batch.inputs.argmax(-1)[1:], batch.targets[:-1])
    assert (batch.inputs.sum(-1) == 1).all()
    return ["".join(kept[i] for i in column) for column in whole.T]


@pytest.fixture
def sentence(tmp_path: Path) -> Path:
    words = np.random.default_rng(5).choice(["ab ", "bca ", "é, ", "abc.\n"], 2000)
    (tmp_path / "one.txt").write_text("".join(words), encoding="utf-8")
    return tmp_path / "one.txt"


def test_a_file_is_split_in_order_and_every_character_predicted_once(sentence: Path) -> None:
    text = sentence.read_text(encoding="utf-8")
    n = len(text)
    task = named("characters", corpus="files", path=str(sentence), length=7)
    cuts = {"training": (0, n * 90 // 100), "validation": (n * 90 // 100, n * 95 // 100)}
    for split, (start, end) in {**cuts, "test": (n * 95 // 100, n)}.items():
        windows = shown(task, split)
        assert len(windows) == (end - start - 1) // 7
        told = windows[0][0] + "".join(window[1:] for window in windows)
        assert told == text[start:end][: len(told)]


def test_levels_are_the_entropies_of_the_training_part(sentence: Path) -> None:
    task = named("characters", corpus="files", path=str(sentence), length=7)
    text = sentence.read_text(encoding="utf-8")
    text = text[: len(text) * 90 // 100]

    def entropy(counts: Counter[Any]) -> float:
        n = counts.total()
        return -sum(c / n * math.log(c / n) for c in counts.values())

    assert task.chance_loss == pytest.approx(entropy(Counter(text)), rel=1e-12)
    level = entropy(Counter(pairwise(text))) - entropy(Counter(text[:-1]))
    assert list(task.plateaus.values()) == [pytest.approx(level, rel=1e-9)]
    shares = [count / len(text) for count in Counter(text).values()]
    bits = -sum(share * math.log2(share) for share in shares)
    assert (task.metric, task.chance_metric) == ("bits", pytest.approx(bits))


def test_what_training_lacks_or_is_rare_is_the_unknown_symbol(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("c" + "aab" * 300 + "ab" * 49 + "Z", encoding="utf-8")
    task = named("characters", corpus="files", path=str(tmp_path / "a.txt"), length=7)
    assert task.input_size == 4
    assert shown(task, "test")[-1].endswith("?")
    task = named("characters", corpus="files", path=str(tmp_path / "a.txt"), vocabulary=2)
    assert task.input_size == 3
    assert "".join(map(chr, task._text.characters)) == "ab"


def test_bits_are_nats_over_ln_2() -> None:
    task = named("characters", solved_below=1.5)
    logits = torch.zeros(3, 2, task.output_size)
    scores = task.scores(logits, torch.zeros(3, 2, dtype=torch.long))
    assert scores["bits"] == pytest.approx(math.log2(task.output_size))
    assert task.solved({"bits": 1.4999})
    assert not task.solved({"bits": 1.5})


def test_the_library_is_split_by_file_and_the_same_everywhere() -> None:
    names = [name for modules in corpora.LIBRARY.values() for name in modules]
    assert len(set(names)) == len(names)
    codes = corpora.library()
    hashes = {hashlib.sha256(codes[split].tobytes()).hexdigest() for split in codes}
    assert len(hashes) == 3
    again = corpora.library()
    assert all(np.array_equal(codes[split], again[split]) for split in codes)
    import random

    assert Path(random.__file__).read_text(encoding="utf-8")[:100] == "".join(
        map(chr, codes["test"][:100])
    )
    task = named("characters")
    windows = {s: {row.numpy().tobytes() for row in task._windows(s)} for s in codes}
    assert not windows["training"] & (windows["validation"] | windows["test"])


@pytest.mark.parametrize("length", [1, 2, 5, 10, 20])
def test_validation_predicts_the_same_characters_whatever_the_length(
    length: int, sentence: Path
) -> None:
    text = sentence.read_text(encoding="utf-8")
    part = text[len(text) * 90 // 100 : len(text) * 95 // 100]
    assert len(part) > 300
    # Ten stretches of 20, evenly spaced: each a place from the first one possible to the last.
    starts = np.linspace(0, len(part) - 21, 10).round().astype(int).tolist()
    expected = "".join(part[start + 1 : start + 21] for start in starts)
    some = named("characters", corpus="files", path=str(sentence), length=length, validated=200)
    assert "".join(window[1:] for window in shown(some, "validation")) == expected
    whole = named("characters", corpus="files", path=str(sentence), length=length)
    assert shown(some, "test") == shown(whole, "test")
    told = "".join(window[1:] for window in shown(whole, "validation"))
    assert told == part[1 : 1 + len(told)]
    assert len(part) - 1 - len(told) < length


def test_a_window_longer_than_what_is_to_be_validated_is_read_once(sentence: Path) -> None:
    task = named("characters", corpus="files", path=str(sentence), length=30, validated=7)
    assert len(shown(task, "validation")) == 1
    task = named("characters", corpus="files", path=str(sentence), length=30, validated=70)
    assert len(shown(task, "validation")) == 2


def test_a_folder_is_split_by_file_and_a_copy_is_used_once(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    for i in range(20):
        text = "".join(chr(97 + (i + k * k) % 26) for k in range(50)) + f"#{i:02d}"
        (tmp_path / ("deeper" if i % 2 else "") / f"{i}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "copy.txt").write_bytes((tmp_path / "0.txt").read_bytes())
    (tmp_path / "other.bin").write_bytes(b"\xff\xfe\0")
    codes = corpora.files(str(tmp_path), "*.txt")
    parts = {split: "".join(map(chr, part)) for split, part in codes.items()}
    found = [set(part.split("#")) for part in parts.values()]
    assert {split: part.count("#") for split, part in parts.items()} == {
        "training": 16,
        "validation": 2,
        "test": 2,
    }
    assert sum(map(len, found)) >= 23
    with pytest.raises(UserError, match=r"other\.bin is not UTF-8 text: byte 0 is 0xff"):
        corpora.files(str(tmp_path), "*")


def ptb(folder: Path, name: str, text: str) -> None:
    for part in ("train", "valid", "test"):
        (folder / name.format(part)).write_text(text.replace("SPLIT", part), encoding="utf-8")


def test_penn_treebank_is_its_three_files(tmp_path: Path) -> None:
    ptb(tmp_path, "ptb.{}.txt", " the <unk> of SPLIT N \n" * 20)
    task = named("characters", corpus="ptb", path=str(tmp_path), length=23)
    assert shown(task, "training")[0] == " the <unk> of train N \n "
    assert shown(task, "validation")[0] == " the <unk> of ?a?i? N \n "  # what training lacks
    (tmp_path / "ptb.valid.txt").unlink()
    bad = named("characters", corpus="ptb", path=f"{tmp_path}/", length=25)
    refused(bad, "three of ptb.char.train.txt,", "ptb.train.txt, ptb.valid.txt", "task.path")


@pytest.mark.parametrize(("before", "after"), [("", ""), ("", " "), (" ", " ")])
def test_penn_treebank_for_characters_is_read_without_its_blanks(
    before: str, after: str, tmp_path: Path
) -> None:
    # As simple-examples/data/ptb.char.train.txt has it, and the sentences that it stands for.
    lines = [
        "a e r _ b a n k n o t e _ b e r l i t z _ c a l l o w a y _ c e n t r u s t",
        "p i e r r e _ < u n k > _ N _ y e a r s _ o l d _ w i l l _ j o i n _ t h e _ b o a r d",
        "m r . _ < u n k > _ i s _ $ _ N _ ' s _ a & b \\ / c - d _ # _ *",
    ]
    plain = "aer banknote berlitz calloway centrust\npierre <unk> N years old will join the board\n"
    plain += "mr. <unk> is $ N 's a&b\\/c-d # *\n"
    ptb(tmp_path, "ptb.{}.txt", "the words, which are not read \n" * 20)
    ptb(tmp_path, "ptb.char.{}.txt", "".join(f"{before}{line}{after}\n" for line in lines) * 9)
    task = named("characters", corpus="ptb", path=str(tmp_path), length=len(plain) - 1)
    assert shown(task, "training")[0] == plain
    assert shown(task, "test") == shown(task, "validation") == shown(task, "training")
    bits = [count / len(plain) for count in Counter(plain).values()]
    assert task.chance_metric == pytest.approx(-sum(share * math.log2(share) for share in bits))
    one = named("characters", corpus="files", path=str(tmp_path / "ptb.char.train.txt"), length=9)
    assert shown(one, "training")[0] == plain[:10]


def test_texts_that_are_not_spaced_are_left_as_they_are() -> None:
    for text in (
        "a b c\n",
        "I am a b c d e f.\n" * 30,
        "word_one two\n" * 30,
        " \n" * 200,
        "ab" * 200,
    ):
        assert corpora.unspaced(text, "a file") == text
    spaced = "t h e _ c a t _ s a t\n" * 30
    assert corpora.unspaced(spaced, "a file") == "the cat sat\n" * 30
    assert corpora.unspaced(spaced + "\n", "a file") == "the cat sat\n" * 30 + "\n"
    for odd in ("the cat", "t h e  c a t", "t h e _c a t"):
        with pytest.raises(UserError, match="a file, line 31: not single characters with a blank"):
            corpora.unspaced(f"{spaced}{odd}\n", "a file")


@pytest.mark.parametrize("corpus", ["text8", "enwik8"])
def test_text8_and_enwik8_are_cut_at_90_and_95_million_bytes(corpus: str, tmp_path: Path) -> None:
    file = tmp_path / corpus
    with file.open("wb") as opened:  # sparse: zeros but for the bytes at the cuts
        opened.truncate(100_000_000)
        for place, mark in (
            (0, b"a"),
            (89_999_999, b"bc"),
            (94_999_999, b"de"),
            (99_999_999, b"f"),
        ):
            opened.seek(place)
            opened.write(mark)
    for path in (file, tmp_path):
        codes = corpora.hutter(corpus, str(path))
        assert {split: len(part) for split, part in codes.items()} == {
            "training": 90_000_000,
            "validation": 5_000_000,
            "test": 5_000_000,
        }
        ends = [bytes([part[0], part[-1]]) for part in codes.values()]
        assert ends == [b"ab", b"cd", b"ef"]
    with file.open("r+b") as opened:
        opened.truncate(99_999_999)
    refused(named("characters", corpus=corpus, path=str(file)), "99,999,999 bytes", "cut short")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not UTF-8 text: byte 0 is 0x89; save it as UTF-8"),
        (b"text \0 text" * 99, "it has a null character at 5"),
        (b"abc" * 30, "too few for a window of 100 and one more; shorten task.length"),
        (b"a" * 9999, "one character over and over"),
        (b"a", "characters"),
    ],
)
def test_what_is_no_text_is_told_in_one_line(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    refused(named("characters", corpus="files", path=str(tmp_path / "bad.txt")), words)


def test_a_path_without_a_corpus_and_a_corpus_without_a_path() -> None:
    refused(named("characters", path="somewhere"), "set task.corpus as well")
    for corpus in ("files", "ptb", "text8", "enwik8"):
        refused(named("characters", corpus=corpus), "task.path is not set")
    with pytest.raises(UserError, match=r"task\.path is not set"):
        TrialConfig.from_flat({"task": "characters", "task.corpus": "text8"})


# Labelled texts


def words_of(task: CsvText, split: str) -> Counter[tuple[tuple[int, ...], int]]:
    batch = task.splits()[split]  # type: ignore[index]
    assert batch.ends is not None
    found: Counter[tuple[tuple[int, ...], int]] = Counter()
    for i, end in enumerate(batch.ends.tolist()):
        assert (batch.inputs[: end + 1, i].sum(-1) == 1).all()
        found[tuple(batch.inputs[: end + 1, i].argmax(-1).tolist()), int(batch.targets[0, i])] += 1
    return found


@pytest.mark.parametrize("unit", ["word", "character"])
def test_texts_are_read_in_units_and_padded(unit: str, tmp_path: Path) -> None:
    rows: list[list[object]] = [[f"Good, very {i}!", "yes"] for i in range(30)]
    rows += [[f"bad {i}", "no"] for i in range(10)]
    given = table(tmp_path / "t.csv", ["label2", "text"], [[b, a] for a, b in rows])
    task = named("csv-text", **given, label="label2", unit=unit)
    lengths = Counter(
        int(end) + 1 for batch in task.splits().values() for end in batch.ends.tolist()
    )
    expected = Counter(5 if a[0] == "G" else 2 for a, _ in rows)  # good , very 7 !
    if unit == "character":
        expected = Counter(len(str(a)) for a, _ in rows)
    assert lengths == expected
    assert {s: len(b) for s, b in task.splits().items()} == {
        "training": 32,
        "validation": 4,
        "test": 4,
    }
    assert task.splits()["test"].targets[0].bincount().tolist() == [1, 3]
    assert task.chance_loss == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))
    assert task.chance_metric == 0.75
    assert task.solved({"accuracy": 0.95})
    assert not task.solved({"accuracy": 0.9499})


def test_a_text_that_comes_again_is_used_once(tmp_path: Path) -> None:
    rows: list[list[object]] = [[f"text {i % 40}", i % 2] for i in range(80)]
    task = named("csv-text", **table(tmp_path / "t.csv", ["text", "label"], rows), length=2)
    assert sum(len(batch) for batch in task.splits().values()) == 40
    assert task.steps == 2


def test_the_texts_held_out_are_the_same_for_every_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows: list[list[object]] = [
        [" ".join(rng.choice([*"abcdef"], 8)) + f" {i}", i % 3] for i in range(200)
    ]
    given = table(tmp_path / "t.csv", ["text", "label"], rows)
    whole, short = (named("csv-text", **given, length=length) for length in (9, 2))
    told = {split: [] for split in ("validation", "test")}  # type: ignore[var-annotated]
    for split in told:
        for task in (whole, short):
            batch = task.splits()[split]
            texts = batch.inputs[:2].argmax(-1).T.tolist()
            told[split].append(
                [
                    ([task.alphabet[u] for u in t], int(b))
                    for t, b in zip(texts, batch.targets[0], strict=True)
                ]
            )
        assert told[split][0] == told[split][1]
    # None is trained on that, once cut, is held out; and each of those left once.
    trained = words_of(short, "training")
    assert {*trained.values()} == {1}
    held = words_of(short, "validation").keys() | words_of(short, "test").keys()
    assert not {text for text, _ in trained} & {text for text, _ in held}
    assert 0 < trained.total() < len(whole.splits()["training"])
    rows = [[f"the film was {i}", i % 2] for i in range(40)]
    given = table(tmp_path / "t.csv", ["text", "label"], rows)
    refused(named("csv-text", **given, length=1), "cut to 1 units", "raise task.length")


def test_the_vocabulary_is_the_training_parts_most_frequent(tmp_path: Path) -> None:
    task = named("csv-text", **texts(tmp_path), vocabulary=3)
    assert task.input_size == 4
    seen = words_of(task, "training")
    counts = Counter(symbol for units, _ in seen for symbol in units)
    assert counts[1] >= counts[2] >= counts[3]
    assert counts[0] > 0


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\x0c", "\x1e"])
def test_only_a_line_break_ends_a_row(sign: str, tmp_path: Path) -> None:
    # Reviews that were once in Windows-1252 have U+0085 for an ellipsis; str.splitlines breaks there.
    rows: list[list[object]] = [[f"well{sign} text {i}", i % 2] for i in range(40)]
    task = named("csv-text", **table(tmp_path / "t.csv", ["text", "label"], rows), unit="character")
    assert sum(len(batch) for batch in task.splits().values()) == 40
    assert task.steps == len(f"well{sign} text 39")


def test_a_row_without_a_text_needs_no_label(tmp_path: Path) -> None:
    rows: list[list[object]] = [[f"text {i}", i % 2] for i in range(40)]
    given = table(tmp_path / "t.csv", ["text", "label"], [*rows, ["", ""], [" ", "1"]])
    assert sum(len(batch) for batch in named("csv-text", **given).splits().values()) == 40


def test_a_review_where_the_header_should_be_is_not_told_whole(tmp_path: Path) -> None:
    given = table(tmp_path / "t.csv", ["a film " * 500, "good"], [["b", "bad"]])
    assert len(refused(named("csv-text", **given), "has no column 'text'")) < 300 + len(
        given["path"]
    )


def test_a_word_without_end_is_drawn_to_40_characters(tmp_path: Path) -> None:
    rows: list[list[object]] = [[f"{'x' * 50_000} {i % 3}", i % 2] for i in range(3)]
    rows += [[f"ordinary {i}", i % 2] for i in range(40)]
    task = named("csv-text", **table(tmp_path / "t.csv", ["text", "label"], rows))
    assert max(map(len, task.alphabet)) == 40


HEADER = "text,label\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("text,label\n", "has no rows"),
        ("text,text\na,b\n", "must name every column, each once ('text' comes twice)"),
        (",text,label\n0,a,b\n", "must name every column, each once (column 1 has no name)"),
        ("words,label\na,b\n", "has no column 'text'; its columns: words, label; set task.text"),
        ("text,kind\na,b\n", "has no column 'label'; its columns: text, kind; set task.label"),
        ("text;label\na;b\n", "its fields are separated by ';', not by ','"),
        ("text\tlabel\na\tb\n", "its fields are separated by '\\t', not by ','"),
        (HEADER + '"a \\"b\\"",x\n', "line 2: ',' expected after '\"'; a quote must be closed"),
        (HEADER + ",x\n,y\n", "'text' has no text in any row"),
        (HEADER + "a,b,c\n", "line 2: 3 fields, the header has 2"),
        (HEADER + 'a,b\n"never closed,b\nc,d\ne,f\n', "line 3: a quote in the row that begins"),
        (
            HEADER + 'a,b\n"one,b\nc,d\n"e,f\n',
            "line 3: the row that begins there goes on in line 5",
        ),
        # A quote that begins a field, and the next one there is, which ends one.
        (
            HEADER + 'a,b\nc,d\n"good film,b\nbad film",d\n',
            "line 4: a quote there joins lines 4 to 5",
        ),
        (HEADER + 'a,b\n"good,x,b\nc,d\nbad",d\ne 5" f,b\n', "joins lines 3 to 5, but in line 6"),
        (HEADER + "a" * 1_000_001 + ",b\n", "field larger than field limit"),
        (HEADER + "a,\n", "a text without a label: 'a'"),
        (HEADER + "a,x\nb,x\n", "has 1 different labels"),
        (HEADER + "a,x\nb,y\n", "too few to hold tenths out"),
        (HEADER + "\0,x\n", "null character"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_in_one_line(
    content: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text(content, encoding="utf-8")
    refused(named("csv-text", path=str(tmp_path / "bad.csv")), words, "bad.csv")
