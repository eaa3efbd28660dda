"""Findings of probes are read from the files of the runs shown, when asked, and whatever the files hold."""

import json
from dataclasses import replace

import pytest
from probe_texts import FINAL, UPDATES, with_probes
from synthetic import ARCHITECTURES, MemoryStore, make

from analysis.data.probe_files import Gates, Jacobians, Lyapunov, Memory, StateGradients
from analysis.data.probed import Probed
from analysis.data.runs import read_study

ONE = {"lstm": ARCHITECTURES["lstm"]}
ADDING = {"adding-50": ("adding", 50)}


@pytest.fixture
def store() -> MemoryStore:
    return with_probes(make(trials=2, architectures=ONE, tasks=ADDING))


def test_confirmations_count_and_where_there_are_none_the_chosen_trial(store: MemoryStore) -> None:
    results = read_study(store, "synthetic")
    found = results.probed.of(Lyapunov, "init", "best")
    assert [f.run_id for f in found[::2]] == list(results.confirmations["run_id"])
    assert [(f.stage, f.step) for f in found[:2]] == [("init", 0), ("best", FINAL)]
    assert found[0].finding.exponents[0] == ARCHITECTURES["lstm"].slope
    chosen = results.trials.loc[results.trials["chosen"], "run_id"]
    alone = read_study(store.without(role="confirmation"), "synthetic").probed
    assert {f.run_id for f in alone.of(Lyapunov, "init")} == set(chosen)
    # Confirmations that an earlier version made have no such file.
    texts = {
        key: text
        for key, text in store.texts.items()
        if key[1] != "lyapunov.json" or key[0] in set(chosen)
    }
    older = read_study(replace(store, texts=texts), "synthetic").probed
    assert {f.run_id for f in older.of(Lyapunov, "init")} == set(chosen)


def test_findings_are_in_the_order_of_time(store: MemoryStore) -> None:
    probed = read_study(store, "synthetic").probed
    found = probed.of(StateGradients, "init", "training", "final")
    assert [f.step for f in found[: len(UPDATES) + 2]] == [0, *UPDATES, FINAL]


def test_a_file_is_read_when_asked_for_and_once(store: MemoryStore) -> None:
    read: list[str] = []

    def text(run_id: str, path: str) -> str:
        read.append(path)
        return store.artifact_text(run_id, path)

    given = read_study(store, "synthetic").probed
    probed = Probed(text, given.confirmations, given.chosen)
    assert read == []
    first = probed.of(Jacobians, "init")
    assert read == ["jacobians.json"] * 3
    assert probed.of(Jacobians, "init") == first
    assert len(probed.of(Jacobians, "best")) == len(first) == 3
    assert read == ["jacobians.json"] * 3


BAD = {
    "no JSON": "{",
    "no list": '{"stage": "init"}',
    "deep": "[" * 100_000,
    "numbers": "[1, 2]",
    "without a stage": '[{"step": 0, "finding": {}}]',
    "another finding": '[{"stage": "init", "step": 0, "finding": {"exponents": "many"}}]',
    "a list": '[{"stage": "init", "step": 0, "finding": [1]}]',
    "endless": '[{"stage": "init", "step": 0, "finding": {"exponents": [1e999], '
    '"standard_errors": [0], "size": 1}}]',
    "uneven": '[{"stage": "init", "step": 0, "finding": {"exponents": [1, 2], '
    '"standard_errors": [0], "size": 2}}]',
    "empty": '[{"stage": "init", "step": 0, "finding": {"exponents": [], '
    '"standard_errors": [], "size": 0}}]',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_a_file_that_is_odd_is_left_out_and_told(store: MemoryStore, text: str) -> None:
    first = read_study(store, "synthetic").confirmations["run_id"].iloc[0]
    results = read_study(
        replace(store, texts=store.texts | {(first, "lyapunov.json"): text}), "synthetic"
    )
    assert not results.notices
    found = results.probed.of(Lyapunov, "init")
    assert len(found) == 2
    assert first not in {f.run_id for f in found}
    [notice] = results.notices
    assert "lyapunov.json" in notice
    assert first in notice


def test_what_is_right_in_a_file_counts_beside_what_is_not(store: MemoryStore) -> None:
    first = read_study(store, "synthetic").confirmations["run_id"].iloc[0]
    entries = json.loads(store.texts[first, "memory.json"])
    entries[0]["finding"]["chance"][0] = 1.0  # what is above chance is divided by 0
    entries.append({"stage": "best", "step": 7, "finding": None, "failure": "Traceback"})
    texts = store.texts | {(first, "memory.json"): json.dumps(entries)}
    results = read_study(replace(store, texts=texts), "synthetic")
    assert next(f.stage for f in results.probed.of(Memory, "init", "best")) == "best"
    assert len(results.probed.of(Memory, "init", "best")) == 5
    assert len(results.notices) == 1


def test_a_file_that_cannot_be_read_is_told(store: MemoryStore) -> None:
    def text(run_id: str, path: str) -> str:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    given = read_study(store, "synthetic").probed
    probed = Probed(text, given.confirmations)
    assert probed.of(Gates, "best") == []
    assert len(probed.notices) == 3
    assert Probed(confirmations=given.confirmations).of(Gates, "best") == []
