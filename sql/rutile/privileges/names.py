"""The privileges, and the levels each can be granted on."""

from __future__ import annotations

from enum import StrEnum


class Privilege(StrEnum):
    """A privilege, by the words of GRANT. The order is that of SHOW GRANTS."""

    SELECT = "SELECT"
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CREATE = "CREATE"
    DROP = "DROP"
    RELOAD = "RELOAD"
    SHUTDOWN = "SHUTDOWN"
    PROCESS = "PROCESS"
    FILE = "FILE"
    REFERENCES = "REFERENCES"
    INDEX = "INDEX"
    ALTER = "ALTER"
    SHOW_DATABASES = "SHOW DATABASES"
    SUPER = "SUPER"
    CREATE_TEMPORARY_TABLES = "CREATE TEMPORARY TABLES"
    LOCK_TABLES = "LOCK TABLES"
    EXECUTE = "EXECUTE"
    REPLICATION_SLAVE = "REPLICATION SLAVE"
    REPLICATION_CLIENT = "REPLICATION CLIENT"
    CREATE_VIEW = "CREATE VIEW"
    SHOW_VIEW = "SHOW VIEW"
    CREATE_ROUTINE = "CREATE ROUTINE"
    ALTER_ROUTINE = "ALTER ROUTINE"
    CREATE_USER = "CREATE USER"
    EVENT = "EVENT"
    TRIGGER = "TRIGGER"
    CREATE_ROLE = "CREATE ROLE"
    DROP_ROLE = "DROP ROLE"
    CONNECTION_ADMIN = "CONNECTION_ADMIN"
    ROLE_ADMIN = "ROLE_ADMIN"
    SYSTEM_VARIABLES_ADMIN = "SYSTEM_VARIABLES_ADMIN"
    GRANT_OPTION = "GRANT OPTION"


TABLE_LEVEL = frozenset({
    Privilege.SELECT, Privilege.INSERT, Privilege.UPDATE, Privilege.DELETE, Privilege.CREATE, Privilege.DROP,
    Privilege.REFERENCES, Privilege.INDEX, Privilege.ALTER, Privilege.CREATE_VIEW, Privilege.SHOW_VIEW,
    Privilege.TRIGGER, Privilege.GRANT_OPTION,
})  # fmt: skip
DATABASE_LEVEL = TABLE_LEVEL | {
    Privilege.CREATE_TEMPORARY_TABLES, Privilege.LOCK_TABLES, Privilege.EXECUTE, Privilege.CREATE_ROUTINE,
    Privilege.ALTER_ROUTINE, Privilege.EVENT,
}  # fmt: skip
GLOBAL_LEVEL = frozenset(Privilege)

Scope = tuple[str, str]
"""(database pattern, table) in lower case; `*` for all."""
EVERYWHERE: Scope = ("*", "*")


def grantable(scope: Scope) -> frozenset[Privilege]:
    """What can be granted on a level."""
    if scope == EVERYWHERE:
        return GLOBAL_LEVEL
    return DATABASE_LEVEL if scope[1] == "*" else TABLE_LEVEL


def all_of(scope: Scope) -> frozenset[Privilege]:
    """What ALL PRIVILEGES means on a level: everything but GRANT OPTION."""
    return grantable(scope) - {Privilege.GRANT_OPTION}


def in_order(privileges: frozenset[Privilege]) -> list[Privilege]:
    """As SHOW GRANTS lists them."""
    return [each for each in Privilege if each in privileges]
