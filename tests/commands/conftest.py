"""How the tests of the commands call one."""

import sys
from collections.abc import Callable

import pytest

import study.commands.entry

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def longlag(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["longlag", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            study.commands.entry.main()
        out, err = capsys.readouterr()
        code = end.value.code
        return (code if isinstance(code, int) else 0), out, err

    return run
