"""The tasks, one file each; `TASKS.build` makes one from its name and parameters."""

from study.registry import Choices, load_modules
from study.tasks.base import Task

TASKS: Choices[Task] = Choices("task")

load_modules(__name__)
