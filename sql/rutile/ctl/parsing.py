"""How a command and its actions are added to the parser."""

from __future__ import annotations

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:
    """A parser for `rutile ctl NAME`; the first line of `text` is what the list of commands says of it."""
    first, _, rest = text.partition("\n")
    formatter = argparse.RawDescriptionHelpFormatter
    return commands.add_parser(name, help=first, description=first + "\n" + rest, formatter_class=formatter)


def add_actions(parser: argparse.ArgumentParser, what: str) -> Commands:
    """Sub-commands of a command, none of which need be given."""
    return parser.add_subparsers(dest=what, metavar="ACTION", title="actions")
