"""Every command that docs/operations.md shows is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rutile.cli import _parser

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
COMMANDS = re.findall(r"^\$ rutile (.*)$", PAGE.read_text(), re.MULTILINE)


def test_the_page_shows_commands() -> None:
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_the_command_is_taken(command: str) -> None:
    assert callable(_parser().parse_args(shlex.split(command)).run)


@pytest.mark.parametrize("command", ["ctl", "ctl stores remove", "ctl operators add", "ctl unsafe --lost 2"])
def test_half_a_command_is_not(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(shlex.split(command))
    assert "usage: rutile ctl" in capsys.readouterr().err
