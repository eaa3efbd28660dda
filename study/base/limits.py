"""What a store can hold and a computation can take: every limit of names, texts and numbers.

MLflow's are those of `mlflow.utils.validation` and of the columns of its database tables, which a
test compares with these: mlflow takes seconds to import, and a refusal should not.
"""

import re

# Characters, of MLflow's.
KEY = 250  # the name of a parameter, a metric or a tag
RUN_NAME = 250  # a column of the table of runs, which PostgreSQL enforces
PARAMETER = 6_000
RUN_TAG = 8_000
EXPERIMENT_TAG = 20_000  # a view, or the note that an experiment has

# Ours, so that what is made of these stays below MLflow's.
NAME = 64
_TRIAL_MARK = 50  # what a run's name adds to its arm's: " · search 20 · rerun 99 of #99999"
ARM_TITLE = RUN_NAME - _TRIAL_MARK
SETTING = 1_000  # a task's card, one tag, holds several, and JSON writes a letter with up to six
QUESTION = 1_000
NOTES = 8_000  # the experiment's note holds them beside the question, the axes and the views

# Numbers.
WHOLE = 2**31 - 1  # of sizes and counts, which C and torch take as 32 bits here and there
SEED = 2**63 - 1  # TOML's largest whole number
REAL = (
    1e30  # float32 ends at 3.4e38; this leaves room for what multiplies it, such as Adam's 1/(1-β)
)
BATCH = 65_536  # sequences; a thousand steps of 64 units for each are 17 GB already

# What a study can have.
ARMS = 1_000
TRIALS = 10_000  # of a grid, an arm
TRIALS_IN_ALL = 100_000  # of all arms; a report and MLflow's tables are slow from 10,000 runs on
VALUES = 1_000  # of one searched parameter, or on one compared axis

# Files that are read as a whole before anything is known of them.
TOML_BYTES = 1_000_000
TOML_DEPTH = 16  # tables and lists in one another; a configuration has three

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{NAME - 1}}}")
_LABEL = re.compile(rf"[A-Za-z0-9][A-Za-z0-9+._-]{{0,{NAME - 1}}}")
_AXIS = re.compile(rf"\w(?:[\w .-]{{0,{NAME - 2}}}[\w.-])?")  # a tag's name holds it
RESERVED = {
    "train": "the experiment of 'longlag train'",
    "default": "MLflow's own experiment, 'Default'",
}


def name_problem(name: str) -> str | None:
    """What is wrong with the name of a study, which names an experiment and files; None if nothing.

    Case does not tell a name from a reserved one, as some databases and file systems have none.
    """
    if not _NAME.fullmatch(name):
        return (
            f"a study's name has letters, digits, '-' and '_' only, at most {NAME} "
            f"(got {shown(name)})"
        )
    if (owner := RESERVED.get(name.lower())) is not None:
        return f"{name!r} is {owner}; give the study another name"
    return None


def label_problem(label: str) -> str | None:
    """What is wrong with the label of a compared axis; None if nothing."""
    if _LABEL.fullmatch(label):
        return None
    return f"a label has letters, digits and any of +._- only, at most {NAME} (got {shown(label)})"


def axis_problem(axis: str) -> str | None:
    """What is wrong with the name of a compared axis; None if nothing."""
    if _AXIS.fullmatch(axis):
        return None
    return (
        "the name of an axis has letters, digits, spaces and any of ._- only, and at most "
        f"{NAME} (got {shown(axis)})"
    )


def text_problem(text: str, most: int) -> str | None:
    """Why a text cannot be stored; None if it can."""
    if len(text) > most:
        return f"a text has at most {most:,} characters here (this one has {len(text):,})"
    if "\0" in text:
        return f"a text holds no character 0, which databases refuse (got {shown(text)})"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"a text is of Unicode's characters, to be stored as UTF-8 (got {shown(text)})"
    return None


def number_problem(number: int | float) -> str | None:
    """Why no size, count or factor is that large; None if it is not."""
    if isinstance(number, float):
        if abs(number) <= REAL:
            return None
        return f"a number is at most {REAL:g} (float32 ends at 3.4e38; got {number:g})"
    if abs(number) <= WHOLE:
        return None
    return f"a whole number is at most {WHOLE:,} (2^31 - 1; got {shown(number)})"


def shown(value: object, most: int = 80) -> str:
    """A value as an error quotes it, on one line and shortened."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        text = "a whole number of thousands of digits"
    except RecursionError:
        text = "tables or lists nested without end"
    if len(text) <= most:
        return text
    return f"{text[: most - 20]} … {text[-10:]}"
