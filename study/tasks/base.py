"""All that a task is written with: the kinds of tasks, their batches, parts and measures."""

from study.tasks.batch import Batch
from study.tasks.dataset_task import DatasetTask
from study.tasks.fingerprint import fingerprint
from study.tasks.measures import (
    NO_TARGET,
    accuracy,
    cross_entropy,
    cross_entropy_where_asked,
    mean_of_sequences,
    outputs_within,
    share_all_right,
    squared_error_where_asked,
    step_chance,
)
from study.tasks.partition import HeldOut, Part
from study.tasks.symbols import RARE, legible, one_hot
from study.tasks.synthetic_task import SyntheticTask, between
from study.tasks.task import LabelTask, Reads, Task

__all__ = [
    "NO_TARGET",
    "RARE",
    "Batch",
    "DatasetTask",
    "HeldOut",
    "LabelTask",
    "Part",
    "Reads",
    "SyntheticTask",
    "Task",
    "accuracy",
    "between",
    "cross_entropy",
    "cross_entropy_where_asked",
    "fingerprint",
    "legible",
    "mean_of_sequences",
    "one_hot",
    "outputs_within",
    "share_all_right",
    "squared_error_where_asked",
    "step_chance",
]
