"""Worker processes: what they answer, and that a stop acts at the evaluation it answers."""

from collections.abc import Iterator

import pytest

from study.sweep.execution import Died, Job, LocalPool, Message

SETTINGS = {
    "task.length": 5,
    "model.hidden": 4,
    "train.batch": 4,
    "train.steps": 40,
    "train.evaluate_every": 10,
}


def job(key: str, **changes: object) -> Job:
    return {
        "key": key,
        "config": SETTINGS,
        "test": False,
        "dear": False,
        "may_stop": False,
        **changes,
    }


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalPool]:
    with LocalPool(1) as running:
        yield running


def messages(pool: LocalPool, sent: Job, stop_at: int | None = None) -> list[Message]:
    pool.submit(sent)
    heard: list[Message] = []
    while not heard or heard[-1].kind not in ("result", "error"):
        for event in pool.events(60):
            assert not isinstance(event, Died)
            heard.append(event)
            if event.kind == "evaluation" and sent["may_stop"]:
                pool.answer(sent, stop=event.content["step"] == stop_at)
    return heard


def test_a_job_runs_to_its_end_and_frees_its_worker(pool: LocalPool) -> None:
    heard = messages(pool, job("whole"))
    steps = [m.content["step"] for m in heard if m.kind == "evaluation"]
    assert steps == [0, 10, 20, 30, 40]
    assert heard[-1].content["result"]["outcome"] == "budget"
    assert pool.free == 1


@pytest.mark.parametrize("stop_at", [0, 10, 30])
def test_a_stop_acts_at_the_evaluation_that_it_answers(pool: LocalPool, stop_at: int) -> None:
    heard = messages(pool, job(f"stop at {stop_at}", may_stop=True), stop_at)
    result = heard[-1].content["result"]
    assert (result["outcome"], result["steps"]) == ("pruned", stop_at)


def test_a_bad_configuration_is_an_error_with_its_traceback(pool: LocalPool) -> None:
    heard = messages(pool, job("bad", config={"model.cell": "lstmm"}))
    assert heard[-1].kind == "error"
    assert "did you mean 'lstm'" in heard[-1].content["traceback"]
    assert messages(pool, job("next"))[-1].kind == "result"
