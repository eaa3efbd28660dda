"""Which test files several workers are given first: a long one begun last is waited for by all."""

from pathlib import Path

LONGEST = (
    "test_sweep",
    "test_jacobian",  # compiles the catalogue
    "test_deaths",
    "test_criteria",
    "test_learning",
    "test_store_faults",
    "test_lease",
    "test_tasks",
    "test_figures",
    "test_deep_passes",
    "test_cli",
    "test_ended_from_outside",
    "test_store_edits",
    "test_installation",
    "test_within_torch",
    "test_quick_commands",
    "test_adding_page",
    "test_tracking",
    "test_credit",
    "test_reference_engine",
)


def place(file: Path) -> int:
    """Where a file comes; those that are not long come last, as they were."""
    return LONGEST.index(file.stem) if file.stem in LONGEST else len(LONGEST)
