"""The tasks, one file each in synthetic/, real/ and written/.

`TASKS.build` makes one from its name and parameters.
"""

from study.base.registry import Choices, load_modules
from study.tasks.base import Task

TASKS: Choices[Task] = Choices("task")

load_modules(__name__)
