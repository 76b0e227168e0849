"""The line editor: prompt_toolkit with colour, completion, history and statements over several lines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rutile.shell.assembler import Assembler, is_command
from rutile.shell.completion import suggestions
from rutile.shell.names import CatalogNames
from rutile.shell.shell import Prompt

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.document import Document
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

HISTORY_FILE = Path("~/.rutile_history")


def terminal_prompt(names: CatalogNames) -> Prompt:
    """A prompt with history, colour, completion and search (^R); plain `input` when prompt_toolkit is not installed."""
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory
        from prompt_toolkit.lexers import PygmentsLexer
        from pygments.lexers.sql import MySqlLexer
    except ImportError:
        print("(for completion, history and colour: pip install 'rutile[shell]')", file=sys.stderr)
        return input
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(HISTORY_FILE.expanduser())),
        lexer=PygmentsLexer(MySqlLexer),
        completer=_completer(names),
        complete_in_thread=True,
        complete_while_typing=True,
        multiline=True,
        key_bindings=_key_bindings(),
        prompt_continuation="     -> ",
        enable_open_in_editor=True,
    )
    return session.prompt


def is_complete(text: str) -> bool:
    """Whether Enter sends `text`: a command, nothing at all, or a statement with its end."""
    if not text.strip() or is_command(text):
        return True
    assembler = Assembler()
    for line in text.split("\n"):
        assembler.feed(line)
    return not assembler.is_open


def _completer(names: CatalogNames) -> Completer:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion

    class _Completer(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            before = document.text_before_cursor
            if complete_event.completion_requested or before[-1:].isalnum() or before[-1:] in ("_", "."):
                length, found = suggestions(before, document.text, names.current())
                for each in found:
                    yield Completion(each.text, -length, display_meta=each.kind)

    return _Completer()


def _key_bindings() -> KeyBindings:
    from prompt_toolkit.filters import completion_is_selected, has_completions
    from prompt_toolkit.key_binding import KeyBindings

    bindings = KeyBindings()

    @bindings.add("enter", filter=~completion_is_selected)
    def _send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    @bindings.add("enter", filter=has_completions & completion_is_selected)
    def _choose(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    return bindings
