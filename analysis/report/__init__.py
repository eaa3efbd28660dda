"""The report: one HTML page, its figures and its tables; the only room that writes files."""

from typing import TYPE_CHECKING

from study.base.faces import handed_on

if TYPE_CHECKING:
    from analysis.report.page import write_report as write_report

__getattr__ = handed_on(__name__, {"write_report": "page"})
