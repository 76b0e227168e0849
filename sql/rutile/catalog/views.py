"""Changes of the catalogue that make and drop views."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from rutile import errors
from rutile.catalog import meta
from rutile.catalog.view_info import ViewInfo
from rutile.errors import SqlError
from rutile.session.storage import KvTransaction

if TYPE_CHECKING:
    from rutile.catalog.model import CatalogSnapshot, TableInfo

ER_WRONG_OBJECT = 1347


ViewChange = Callable[[KvTransaction, "CatalogSnapshot"], Awaitable["TableInfo | None"]]


def create_view(view: ViewInfo, *, or_replace: bool) -> ViewChange:
    """The change that makes a view. Raises 1049, 1050, and 1347 if the name is a table's and is to be replaced."""
    owner, name = view.schema.database, view.schema.name

    async def change(txn: KvTransaction, seen: CatalogSnapshot) -> None:
        if seen.database(owner) is None:
            raise errors.unknown_database(owner)
        if seen.has_name(owner, name) and seen.view(owner, name) is None:
            if or_replace:
                raise SqlError(ER_WRONG_OBJECT, f"'{owner}.{name}' is not VIEW")
            raise SqlError(errors.ER_TABLE_EXISTS, f"Table '{name}' already exists")
        if seen.view(owner, name) is not None and not or_replace:
            raise SqlError(errors.ER_TABLE_EXISTS, f"Table '{name}' already exists")
        txn.put(meta.view_key(owner, name), view.to_bytes())

    return change


def drop_view(owner: str, name: str) -> ViewChange:
    """The change that drops one. Raises 1051, 1347."""

    async def change(txn: KvTransaction, seen: CatalogSnapshot) -> None:
        if seen.view(owner, name) is None:
            if seen.has_name(owner, name):
                raise SqlError(ER_WRONG_OBJECT, f"'{owner}.{name}' is not VIEW")
            raise SqlError(errors.ER_BAD_TABLE, f"Unknown table '{owner}.{name}'")
        txn.delete(meta.view_key(owner, name))

    return change
