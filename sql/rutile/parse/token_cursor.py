"""A position in a token list, with the few questions a hand-written parser asks."""

from __future__ import annotations

from rutile.errors import SqlError, syntax_error
from rutile.parse.lexer import Token, unquote_name, unquote_string
from rutile.parse.statements import TableName


class TokenCursor:
    """Reads forward through `tokens` of `sql`; keywords are given in lower case."""

    def __init__(self, sql: str, tokens: list[Token]) -> None:
        self.sql = sql
        self.tokens = tokens
        self._next = 0

    def at_end(self) -> bool:
        return self._next >= len(self.tokens)

    def at(self, *words: str) -> bool:
        """Whether the next token is one of `words`."""
        return not self.at_end() and self.tokens[self._next].word in words

    def peek(self) -> Token | None:
        return None if self.at_end() else self.tokens[self._next]

    def peek_text(self) -> str:
        return "" if self.at_end() else self.tokens[self._next].text

    def take(self) -> Token:
        """The next token. Raises 1064 at the end."""
        if self.at_end():
            raise self.error()
        token = self.tokens[self._next]
        self._next += 1
        return token

    def accept(self, *words: str) -> bool:
        """Step over the next token if it is one of `words`."""
        if self.at(*words):
            self._next += 1
            return True
        return False

    def accept_words(self, *words: str) -> bool:
        """Step over all of `words` in order, or over none."""
        ahead = [token.word for token in self.tokens[self._next : self._next + len(words)]]
        if ahead != list(words):
            return False
        self._next += len(words)
        return True

    def expect(self, *words: str) -> Token:
        """The next token, which must be one of `words`. Raises 1064."""
        if not self.at(*words):
            raise self.error()
        return self.take()

    def expect_end(self) -> None:
        if not self.at_end():
            raise self.error()

    def name(self) -> str:
        """An identifier without its backticks. Raises 1064."""
        if self.at_end() or self.tokens[self._next].kind not in ("word", "name"):
            raise self.error()
        return unquote_name(self.take().text)

    def table_name(self) -> TableName:
        """`table` or `database.table`."""
        first = self.name()
        return TableName(self.name(), first) if self.accept(".") else TableName(first)

    def string(self) -> str:
        """The value of a string literal. Raises 1064."""
        if self.at_end() or self.tokens[self._next].kind != "string":
            raise self.error()
        return unquote_string(self.take().text)

    def rest(self) -> str:
        """The text from the next token to the end, which stays unread."""
        if self.at_end():
            raise self.error()
        return self.sql[self.tokens[self._next].start : self.tokens[-1].end]

    def take_until_comma(self) -> list[Token]:
        """The tokens up to the next comma outside parentheses; the comma stays."""
        depth, taken = 0, []
        while not self.at_end():
            if depth == 0 and self.at(","):
                break
            token = self.take()
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            taken.append(token)
        if not taken:
            raise self.error()
        return taken

    def error(self) -> SqlError:
        """1064 at this position."""
        near = "" if self.at_end() else self.sql[self.tokens[self._next].start :]
        return syntax_error(near)
