"""Transactions as blocks."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rutile.pep249 import InterfaceError

if TYPE_CHECKING:
    from rutile.dbapi.connection import Connection


class Transaction:
    """`with connection.transaction():` commits at the end, rolls back on an exception; within another: a savepoint.

    The commit may raise OperationalError with `retryable` set: the transaction lost a conflict and left no trace, and
    the whole block may be run again.
    """

    def __init__(self, connection: Connection, *, read_only: bool = False) -> None:
        self._connection = connection
        self._read_only = read_only
        self._savepoint: str | None = None

    def __enter__(self) -> Connection:
        connection = self._connection
        if connection.in_transaction:
            if self._read_only:
                raise InterfaceError("a transaction within another cannot be read-only by itself: begin it outside")
            self._savepoint = connection._next_savepoint()
            connection.execute(f"SAVEPOINT {self._savepoint}")
        else:
            connection.begin(read_only=self._read_only)
        return connection

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        connection = self._connection
        if connection.is_closed or not connection.in_transaction:
            return  # ended within: by COMMIT, by a definition, or by an error that ends transactions
        if self._savepoint is None:
            connection.commit() if kind is None else connection.rollback()
        elif kind is None:
            connection.execute(f"RELEASE SAVEPOINT {self._savepoint}")
        else:
            connection.execute(f"ROLLBACK TO SAVEPOINT {self._savepoint}")


class ImplicitTransaction:
    """BEGIN ... COMMIT around a block, unless a transaction is already open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._mine = not connection.in_transaction

    def __enter__(self) -> None:
        if self._mine:
            self._connection.begin()

    def __exit__(self, kind: type[BaseException] | None, _: object, __: object) -> None:
        if self._mine and self._connection.autocommit:
            self._connection.commit() if kind is None else self._connection.rollback()
        elif self._mine and kind is not None:
            self._connection.rollback()
