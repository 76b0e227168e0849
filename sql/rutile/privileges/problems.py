"""Refusals, with MySQL's numbers and texts."""

from __future__ import annotations

from collections.abc import Sequence

from rutile.errors import SqlError
from rutile.privileges.model import Identity, UserKey

ER_DB_ACCESS_DENIED = 1044
ER_NONEXISTING_GRANT = 1141
ER_TABLE_ACCESS_DENIED = 1142
ER_SPECIFIC_ACCESS_DENIED = 1227
ER_CANNOT_USER = 1396
ER_PLUGIN_NOT_LOADED = 1524
ER_ROLE_NOT_GRANTED = 3530
ER_UNKNOWN_AUTHID = 3523


def shown(key: UserKey) -> str:
    """A key as MySQL's errors write it."""
    return f"'{key[0]}'@'{key[1]}'"


def database_denied(who: Identity, database: str) -> SqlError:
    message = f"Access denied for user {shown((who.name, who.account[1]))} to database '{database}'"
    return SqlError(ER_DB_ACCESS_DENIED, message, sqlstate="42000")


def table_denied(who: Identity, command: str, table: str) -> SqlError:
    message = f"{command} command denied to user {who} for table '{table}'"
    return SqlError(ER_TABLE_ACCESS_DENIED, message, sqlstate="42000")


def privilege_missing(names: Sequence[str]) -> SqlError:
    message = f"Access denied; you need (at least one of) the {', '.join(names)} privilege(s) for this operation"
    return SqlError(ER_SPECIFIC_ACCESS_DENIED, message, sqlstate="42000")


def cannot(operation: str, keys: Sequence[UserKey]) -> SqlError:
    return SqlError(ER_CANNOT_USER, f"Operation {operation} failed for {','.join(map(shown, keys))}")


def no_such_grant(key: UserKey) -> SqlError:
    message = f"There is no such grant defined for user '{key[0]}' on host '{key[1]}'"
    return SqlError(ER_NONEXISTING_GRANT, message, sqlstate="42000")


def unknown_role(key: UserKey) -> SqlError:
    return SqlError(ER_UNKNOWN_AUTHID, f"Unknown authorization ID `{key[0]}`@`{key[1]}`")


def role_not_granted(role: UserKey, key: UserKey) -> SqlError:
    message = f"`{role[0]}`@`{role[1]}` is not granted to `{key[0]}`@`{key[1]}`"
    return SqlError(ER_ROLE_NOT_GRANTED, message)


def plugin_not_loaded(plugin: str) -> SqlError:
    return SqlError(ER_PLUGIN_NOT_LOADED, f"Plugin '{plugin}' is not loaded")
