"""Golden scripts: a test is a text of commands and what they printed, to be read by people and compared by machines.

    # Comments stand where input stands.
    put a 1
    get a ts=7
    ---
    a = 1

    get b
    ---
    none

A script is a list of blocks. A block is its input, a line `---`, and its output up to the next empty line (an empty
line *in* the output is written as `\\`). A command is split as a shell would: a name, words, and `name=value` options
in any order. With RUTILE_REWRITE=1 in the environment the outputs are written instead of compared: then read the diff.

Use it so:

    class Runner:                                # any object with
        errors = (MyError,)                      # exceptions that are printed as part of the output, and
        def run(self, command): return "text"    # what a command prints

    @pytest.mark.parametrize("path", scripts(__file__), ids=lambda path: path.stem)
    def test_script(path): run_script(path, Runner())
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

REWRITE_VARIABLE = "RUTILE_REWRITE"
SEPARATOR = "---"
EMPTY_LINE = "\\"


@dataclass(frozen=True, slots=True)
class Command:
    """One line of input."""

    name: str
    words: tuple[str, ...]
    options: dict[str, str]
    line_number: int

    def word(self, position: int) -> str:
        """The word at `position`, counted after the name. Raises ScriptError if there is none."""
        if position >= len(self.words):
            raise ScriptError(f"line {self.line_number}: {self.name} needs a word {position + 1}")
        return self.words[position]

    def option(self, name: str, default: str | None = None) -> str:
        """The value of `name=value`. Raises ScriptError if it is not given and there is no default."""
        value = self.options.get(name, default)
        if value is None:
            raise ScriptError(f"line {self.line_number}: {self.name} needs {name}=...")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        """The value of `name=value` as an integer."""
        return int(self.option(name, None if default is None else str(default)))

    def flag(self, name: str) -> bool:
        """True for `name=true`; false if not given or `name=false`."""
        return {"true": True, "false": False}[self.option(name, "false")]


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of input and the output expected from them together."""

    input: tuple[str, ...]
    output: tuple[str, ...]
    line_number: int
    """Of the first input line; the first line of a script is 1."""

    def commands(self) -> Iterator[Command]:
        """The input without its comments."""
        for offset, line in enumerate(self.input):
            if line.strip() and not line.lstrip().startswith("#"):
                yield parse_command(line, self.line_number + offset)


class ScriptRunner(Protocol):
    """What executes commands. One runner lives for one script."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What `run` may raise as part of the story: it is printed."""

    def run(self, command: Command) -> str:
        """Execute the command and return what it prints, perhaps nothing."""


class ScriptError(Exception):
    """The script itself is wrong."""


def scripts(test_file: str, folder: str = "scripts") -> list[Path]:
    """The scripts beside a test file, sorted by name. Raises ScriptError if there are none."""
    found = sorted((Path(test_file).parent / folder).glob("*.txt"))
    if not found:
        raise ScriptError(f"no scripts in {folder} beside {test_file}")
    return found


def run_script(path: Path, runner: ScriptRunner) -> None:
    """Run a script and compare its outputs, or write them. Raises AssertionError with the place and both texts."""
    blocks = parse_script(path.read_text(encoding="utf-8"))
    rewriting = os.environ.get(REWRITE_VARIABLE) == "1"
    written = []
    for block in blocks:
        actual = _run_block(block, runner)
        written.append(Block(block.input, actual, block.line_number))
        assert rewriting or actual == block.output, _difference(path, block, actual)
    if rewriting:
        path.write_text(format_script(written), encoding="utf-8")


def parse_script(text: str) -> list[Block]:
    """Cut a script into its blocks. Raises ScriptError for input without a separator."""
    lines, blocks, position = text.splitlines(), [], 0
    while position < len(lines):
        if not lines[position].strip():
            position += 1
            continue
        start = position
        while position < len(lines) and lines[position] != SEPARATOR:
            position += 1
        if position == len(lines):
            raise ScriptError(f"line {start + 1}: input without {SEPARATOR} after it")
        end = position + 1
        while end < len(lines) and lines[end].strip():
            end += 1
        blocks.append(Block(tuple(lines[start:position]), tuple(lines[position + 1 : end]), start + 1))
        position = end
    return blocks


def format_script(blocks: list[Block]) -> str:
    """The text that parses into these blocks."""
    return "\n".join("\n".join((*block.input, SEPARATOR, *block.output, "")) for block in blocks)


def parse_command(line: str, line_number: int) -> Command:
    """Split a line as a shell would."""
    name, *rest = shlex.split(line)
    words = tuple(part for part in rest if "=" not in part)
    options = dict(part.split("=", 1) for part in rest if "=" in part)
    return Command(name, words, options, line_number)


def _run_block(block: Block, runner: ScriptRunner) -> tuple[str, ...]:
    lines: list[str] = []
    for command in block.commands():
        lines += _run_command(command, runner).splitlines()
    return tuple(line.rstrip() or EMPTY_LINE for line in lines)


def _run_command(command: Command, runner: ScriptRunner) -> str:
    """What the command prints; a declared error is printed, any other one gets the line number as a note."""
    try:
        return runner.run(command)
    except runner.errors as error:
        return f"error {type(error).__name__}: {error}"
    except Exception as error:
        error.add_note(f"in line {command.line_number}: {command.name}")
        raise


def _difference(path: Path, block: Block, actual: tuple[str, ...]) -> str:
    return "\n".join(
        (
            f"{path.name}, line {block.line_number}: the output differs (RUTILE_REWRITE=1 writes the new one)",
            *block.input,
            "--- expected",
            *block.output,
            "--- got",
            *actual,
        )
    )
