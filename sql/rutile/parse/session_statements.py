"""Statements about a session itself: its transaction, its variables, its prepared statements, its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Begin:
    read_only: bool = False
    pessimistic: bool | None = None
    """BEGIN PESSIMISTIC or OPTIMISTIC; None leaves it to tidb_txn_mode."""
    as_of: exp.Expr | None = None
    """START TRANSACTION READ ONLY AS OF TIMESTAMP this."""


@dataclass(frozen=True, slots=True)
class Commit:
    pass


@dataclass(frozen=True, slots=True)
class Rollback:
    savepoint: str | None = None
    """ROLLBACK TO this savepoint; None ends the transaction."""


@dataclass(frozen=True, slots=True)
class Savepoint:
    name: str


@dataclass(frozen=True, slots=True)
class ReleaseSavepoint:
    name: str


@dataclass(frozen=True, slots=True)
class Use:
    database: str


VariableScope: TypeAlias = Literal["session", "global", "user"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """One `name = value` of SET. `scope` "user" is for @name."""

    scope: VariableScope
    name: str
    value: exp.Expr


@dataclass(frozen=True, slots=True)
class SetVariables:
    """SET; SET NAMES is that of three variables."""

    assignments: tuple[Assignment, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepare:
    """PREPARE `name` FROM a text, or FROM a user variable that holds it."""

    name: str
    sql: str = ""
    variable: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutePrepared:
    """EXECUTE `name` USING user variables."""

    name: str
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Deallocate:
    """DEALLOCATE PREPARE."""

    name: str


@dataclass(frozen=True, slots=True)
class Kill:
    """KILL [QUERY | CONNECTION] of a session."""

    connection_id: int
    query_only: bool = False
