"""The tables of `mysql` that clients read: accounts and what they hold, help, time zones, TiDB's own settings.

Read-only views of the catalogue: GRANT and CREATE USER change what they show. No password hash is shown.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from rutile.catalog.model import CatalogSnapshot
from rutile.privileges.accounts import all_users
from rutile.privileges.model import User
from rutile.privileges.names import EVERYWHERE, Privilege, in_order
from rutile.session.variables import SessionVariables

if TYPE_CHECKING:
    from rutile.session.session import Session

Rows = list[tuple[object, ...]]
MakeRows = Callable[["Session", CatalogSnapshot], Awaitable[Rows]]

_USER_PRIVILEGES = {
    "Select_priv": "SELECT", "Insert_priv": "INSERT", "Update_priv": "UPDATE", "Delete_priv": "DELETE",
    "Create_priv": "CREATE", "Drop_priv": "DROP", "Process_priv": "PROCESS", "Grant_priv": "GRANT OPTION",
    "References_priv": "REFERENCES", "Alter_priv": "ALTER", "Show_db_priv": "SHOW DATABASES", "Super_priv": "SUPER",
    "Create_tmp_table_priv": "CREATE TEMPORARY TABLES", "Lock_tables_priv": "LOCK TABLES", "Execute_priv": "EXECUTE",
    "Create_view_priv": "CREATE VIEW", "Show_view_priv": "SHOW VIEW", "Create_routine_priv": "CREATE ROUTINE",
    "Alter_routine_priv": "ALTER ROUTINE", "Index_priv": "INDEX", "Create_user_priv": "CREATE USER",
    "Event_priv": "EVENT", "Repl_slave_priv": "REPLICATION SLAVE", "Repl_client_priv": "REPLICATION CLIENT",
    "Trigger_priv": "TRIGGER", "Create_role_priv": "CREATE ROLE", "Drop_role_priv": "DROP ROLE",
    "Reload_priv": "RELOAD", "Shutdown_priv": "SHUTDOWN", "File_priv": "FILE",
}  # fmt: skip
_DB_PRIVILEGES = {
    column: name for column, name in _USER_PRIVILEGES.items()
    if name not in ("PROCESS", "SHOW DATABASES", "SUPER", "CREATE USER", "REPLICATION SLAVE", "REPLICATION CLIENT",
                    "CREATE ROLE", "DROP ROLE", "RELOAD", "SHUTDOWN", "FILE")
}  # fmt: skip


async def _users(session: Session) -> list[User]:
    return all_users((await session.shared.catalog.current()).users)


def _marks(held: frozenset[Privilege], columns: Mapping[str, str]) -> tuple[object, ...]:
    names = {privilege.value.upper() for privilege in held}
    return tuple("Y" if name in names else "N" for name in columns.values())


async def _user(session: Session, catalog: CatalogSnapshot) -> Rows:
    return [
        (user.host, user.name, *_marks(user.grants.get(EVERYWHERE, frozenset()), _USER_PRIVILEGES), user.plugin, "",
         "Y" if user.is_locked else "N", "N", "ANY" if user.requires_tls else "", None)
        for user in await _users(session)
    ]  # fmt: skip


async def _db(session: Session, catalog: CatalogSnapshot) -> Rows:
    return [
        (user.host, scope[0], user.name, *_marks(held, _DB_PRIVILEGES))
        for user in await _users(session)
        for scope, held in sorted(user.grants.items())
        if scope != EVERYWHERE and scope[1] == "*"
    ]


async def _tables_priv(session: Session, catalog: CatalogSnapshot) -> Rows:
    return [
        (user.host, scope[0], user.name, scope[1], "", None,
         ",".join(name.value.title() for name in in_order(held)), "")
        for user in await _users(session)
        for scope, held in sorted(user.grants.items())
        if scope[1] != "*"
    ]  # fmt: skip


async def _role_edges(session: Session, catalog: CatalogSnapshot) -> Rows:
    edges = [(role, user) for user in await _users(session) for role in sorted(user.roles)]
    return [(role[1], role[0], user.host, user.name, "N") for role, user in edges]


async def _default_roles(session: Session, catalog: CatalogSnapshot) -> Rows:
    pairs = [(role, user) for user in await _users(session) for role in sorted(user.default_roles)]
    return [(user.host, user.name, role[1], role[0]) for role, user in pairs]


async def _global_grants(session: Session, catalog: CatalogSnapshot) -> Rows:
    dynamic = (Privilege.CONNECTION_ADMIN, Privilege.ROLE_ADMIN, Privilege.SYSTEM_VARIABLES_ADMIN)
    return [
        (user.name, user.host, name.value, "Y" if Privilege.GRANT_OPTION in held else "N")
        for user in await _users(session)
        for held in (user.grants.get(EVERYWHERE, frozenset()),)
        for name in dynamic
        if name in held
    ]


async def _time_zone_name(session: Session, catalog: CatalogSnapshot) -> Rows:
    return [(name, at) for at, name in enumerate(sorted(zoneinfo.available_timezones()), start=1)]


async def _tidb(session: Session, catalog: CatalogSnapshot) -> Rows:
    return [
        ("bootstrapped", "True", "Bootstrap flag. Do not delete."),
        ("tidb_server_version", "1", "Bootstrap version. Do not delete."),
        ("system_tz", "UTC", "TiDB Global System Timezone."),
        ("new_collation_enabled", "False", "If the new collations are enabled. Do not edit it."),
    ]


async def _global_variables(session: Session, catalog: CatalogSnapshot) -> Rows:
    return list(SessionVariables((await session.shared.catalog.current()).variables).global_items())


async def _stats_meta(session: Session, catalog: CatalogSnapshot) -> Rows:
    known = session.shared.statistics
    return [(each.ts, each.table_id, known.changed(each.table_id), each.rows) for each in known.tables()]


async def _none(session: Session, catalog: CatalogSnapshot) -> Rows:
    return []


MYSQL_TABLES: Mapping[str, tuple[str, MakeRows]] = {
    "user": (
        f"Host User {' '.join(_USER_PRIVILEGES)} plugin authentication_string account_locked password_expired ssl_type"
        " User_attributes", _user,
    ),
    "db": (f"Host DB User {' '.join(_DB_PRIVILEGES)}", _db),
    "tables_priv": ("Host DB User Table_name Grantor Timestamp Table_priv Column_priv", _tables_priv),
    "columns_priv": ("Host DB User Table_name Column_name Timestamp Column_priv", _none),
    "procs_priv": ("Host DB User Routine_name Routine_type Grantor Proc_priv Timestamp", _none),
    "role_edges": ("FROM_HOST FROM_USER TO_HOST TO_USER WITH_ADMIN_OPTION", _role_edges),
    "default_roles": ("HOST USER DEFAULT_ROLE_HOST DEFAULT_ROLE_USER", _default_roles),
    "global_grants": ("USER HOST PRIV WITH_GRANT_OPTION", _global_grants),
    "help_topic": ("help_topic_id# name help_category_id# description example url", _none),
    "help_category": ("help_category_id# name parent_category_id# url", _none),
    "help_keyword": ("help_keyword_id# name", _none),
    "help_relation": ("help_topic_id# help_keyword_id#", _none),
    "time_zone_name": ("Name Time_zone_id#", _time_zone_name),
    "tidb": ("VARIABLE_NAME VARIABLE_VALUE COMMENT", _tidb),
    "global_variables": ("VARIABLE_NAME VARIABLE_VALUE", _global_variables),
    "stats_meta": ("version# table_id# modify_count# count#", _stats_meta),
    "func": ("name ret# dl type", _none),
    "proc": ("db name type specific_name language definer comment", _none),
    "event": ("db name body definer status comment", _none),
    "plugin": ("name dl", _none),
    "servers": ("Server_name Host Db Username Password Port# Socket Wrapper Owner", _none),
    "general_log": ("event_time user_host thread_id# server_id# command_type argument", _none),
}  # fmt: skip
