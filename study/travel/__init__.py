"""A study as one file, from one machine, store or version to another."""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from study.travel.study_file import StudyFile as StudyFile

__getattr__ = handed_on(__name__, {"StudyFile": "study_file"})
