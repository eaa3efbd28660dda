"""A study's runs as tidy tables, the meaning of their columns, and numbers in words."""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from analysis.data.runs import Reader as Reader
    from analysis.data.runs import Results as Results
    from analysis.data.runs import read_study as read_study
    from analysis.data.tasks import Task as Task

__getattr__ = handed_on(
    __name__, {"Results": "runs", "Reader": "runs", "read_study": "runs", "Task": "tasks"}
)
