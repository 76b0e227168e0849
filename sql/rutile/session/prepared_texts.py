"""Statements that a session prepared by PREPARE: kept as text, under a name.

As with prepared statements of the protocol, a plan is found again by the text's shape, so nothing here goes stale.
"""

from __future__ import annotations

from collections.abc import Mapping

from rutile.errors import ER_PARSE, SqlError
from rutile.parse import statements as st
from rutile.parse.parser import parse

ER_UNKNOWN_STATEMENT = 1243
ER_UNSUPPORTED_PS = 1295
ER_TOO_MANY_PREPARED = 1461
MAX_STATEMENTS = 1_024


class PreparedTexts:
    """One session's."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def prepare(self, statement: st.Prepare, user_variables: Mapping[str, object]) -> None:
        """Keep a statement; one of the same name is gone in any case. Raises 1064, 1295, 1461."""
        self._texts.pop(statement.name, None)
        sql = statement.sql if statement.variable is None else user_variables.get(statement.variable)
        if not isinstance(sql, str):
            raise SqlError(ER_PARSE, "You have an error in your SQL syntax near 'NULL'")
        if isinstance(parse(sql).statement, st.Prepare | st.ExecutePrepared | st.Deallocate):
            message = "This command is not supported in the prepared statement protocol yet"
            raise SqlError(ER_UNSUPPORTED_PS, message)
        if len(self._texts) >= MAX_STATEMENTS:
            raise SqlError(
                ER_TOO_MANY_PREPARED, f"Can't create more than {MAX_STATEMENTS} statements", sqlstate="42000"
            )
        self._texts[statement.name] = sql

    def get(self, name: str, command: str) -> str:
        """The text; `command` names who asks. Raises 1243."""
        found = self._texts.get(name)
        if found is None:
            raise SqlError(ER_UNKNOWN_STATEMENT, f"Unknown prepared statement handler ({name}) given to {command}")
        return found

    def drop(self, name: str) -> None:
        """Forget it. Raises 1243."""
        self.get(name, "DEALLOCATE PREPARE")
        del self._texts[name]
