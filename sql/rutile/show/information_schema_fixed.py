"""The tables of information_schema that tools ask for and that say little here.

Lists that are the same on every server, things Rutile has none of, and who was granted what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rutile.catalog.foreign_keys import ForeignKey
from rutile.catalog.model import CatalogSnapshot
from rutile.ddl.foreign_keys import keys_of
from rutile.ddl.keys import key_parts
from rutile.privileges.accounts import all_users
from rutile.privileges.names import EVERYWHERE, Privilege, in_order
from rutile.show.partitions import partition_rows

Rows = list[tuple[object, ...]]
_ENGINE = ("InnoDB", "DEFAULT", "Rutile's replicated storage under MySQL's name", "YES", "NO", "YES")
_CATALOG = "def"


def _none(catalog: CatalogSnapshot) -> Rows:
    return []


def _grants(catalog: CatalogSnapshot, level: Callable[[tuple[str, str]], bool]) -> Rows:
    """(grantee, database, table, privilege, grantable) of one level."""
    return [
        (f"'{user.name}'@'{user.host}'", *scope, name.value, "YES" if Privilege.GRANT_OPTION in names else "NO")
        for user in all_users(catalog.users)
        for scope, names in sorted(user.grants.items())
        if level(scope)
        for name in in_order(names - {Privilege.GRANT_OPTION})
    ]


def _user_privileges(catalog: CatalogSnapshot) -> Rows:
    found = _grants(catalog, lambda scope: scope == EVERYWHERE)
    return [(grantee, _CATALOG, name, grantable) for grantee, _, _, name, grantable in found]


def _schema_privileges(catalog: CatalogSnapshot) -> Rows:
    found = _grants(catalog, lambda scope: scope != EVERYWHERE and scope[1] == "*")
    return [(grantee, _CATALOG, database, name, grantable) for grantee, database, _, name, grantable in found]


def _table_privileges(catalog: CatalogSnapshot) -> Rows:
    found = _grants(catalog, lambda scope: scope[1] != "*")
    return [(grantee, _CATALOG, database, table, name, yes) for grantee, database, table, name, yes in found]


def _checks(catalog: CatalogSnapshot) -> Rows:
    return [
        (_CATALOG, info.schema.database, check.name, check.sql)
        for _, info in sorted(catalog.tables.items())
        for check in info.rules.checks
    ]


def _indexes(catalog: CatalogSnapshot) -> Rows:
    return [
        (info.schema.database, info.schema.name, int(not part.unique), part.key_name, part.position, part.column.name,
         part.length, part.comment)
        for key, info in sorted(catalog.tables.items())
        if catalog.table(*key) is not None
        for part in key_parts(info)
    ]  # fmt: skip


def _referential(catalog: CatalogSnapshot) -> Rows:
    return [
        (_CATALOG, info.schema.database, each.name, _CATALOG, each.parent[0], _key_of(catalog, each), "NONE",
         each.on_update.value, each.on_delete.value, info.schema.name, each.parent[1])
        for key, info in sorted(catalog.tables.items())
        if catalog.table(*key) is not None
        for each in info.foreign_keys
    ]  # fmt: skip


def _sequences(catalog: CatalogSnapshot) -> Rows:
    return [
        (_CATALOG, each.database, each.name, int(each.cache > 0), each.cache, int(each.cycle), each.increment,
         each.high, each.low, each.start, each.comment)
        for _, each in sorted(catalog.sequences.items())
    ]  # fmt: skip


def _key_of(catalog: CatalogSnapshot, foreign: ForeignKey) -> str | None:
    """The unique key of the parent that a foreign key leads to, if it is one."""
    parent = catalog.table(*foreign.parent)
    if parent is None:
        return None
    ids = tuple(parent.schema.column(name).id for name in foreign.parent_columns)
    return next((index.name for index in keys_of(parent) if index.unique and index.column_ids == ids), None)


FIXED_TABLES: Mapping[str, tuple[str, Callable[[CatalogSnapshot], Rows]]] = {
    "views": (
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME VIEW_DEFINITION CHECK_OPTION IS_UPDATABLE DEFINER SECURITY_TYPE"
        " CHARACTER_SET_CLIENT COLLATION_CONNECTION", _none,
    ),
    "plugins": (
        "PLUGIN_NAME PLUGIN_VERSION PLUGIN_STATUS PLUGIN_TYPE PLUGIN_LIBRARY PLUGIN_AUTHOR PLUGIN_DESCRIPTION"
        " PLUGIN_LICENSE LOAD_OPTION", _none,
    ),
    "check_constraints": ("CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME CHECK_CLAUSE", _checks),
    "keywords": ("WORD RESERVED#", _none),
    "files": (
        "FILE_ID# FILE_NAME FILE_TYPE TABLESPACE_NAME TABLE_NAME LOGFILE_GROUP_NAME ENGINE FREE_EXTENTS# STATUS", _none,
    ),
    "routines": (
        "SPECIFIC_NAME ROUTINE_CATALOG ROUTINE_SCHEMA ROUTINE_NAME ROUTINE_TYPE DATA_TYPE ROUTINE_BODY"
        " ROUTINE_DEFINITION SECURITY_TYPE CREATED LAST_ALTERED SQL_MODE ROUTINE_COMMENT DEFINER", _none,
    ),
    "parameters": (
        "SPECIFIC_CATALOG SPECIFIC_SCHEMA SPECIFIC_NAME ORDINAL_POSITION PARAMETER_MODE PARAMETER_NAME DATA_TYPE"
        " DTD_IDENTIFIER ROUTINE_TYPE", _none,
    ),
    "triggers": (
        "TRIGGER_CATALOG TRIGGER_SCHEMA TRIGGER_NAME EVENT_MANIPULATION EVENT_OBJECT_CATALOG EVENT_OBJECT_SCHEMA"
        " EVENT_OBJECT_TABLE ACTION_STATEMENT ACTION_TIMING CREATED SQL_MODE DEFINER", _none,
    ),
    "events": ("EVENT_CATALOG EVENT_SCHEMA EVENT_NAME DEFINER TIME_ZONE EVENT_BODY STATUS", _none),
    "sequences": (
        "TABLE_CATALOG SEQUENCE_SCHEMA SEQUENCE_NAME CACHE# CACHE_VALUE# CYCLE# INCREMENT-# MAX_VALUE-#"
        " MIN_VALUE-# START-# COMMENT", _sequences,
    ),
    "referential_constraints": (
        "CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME UNIQUE_CONSTRAINT_CATALOG UNIQUE_CONSTRAINT_SCHEMA"
        " UNIQUE_CONSTRAINT_NAME MATCH_OPTION UPDATE_RULE DELETE_RULE TABLE_NAME REFERENCED_TABLE_NAME", _referential,
    ),
    "partitions": (
        "TABLE_CATALOG TABLE_SCHEMA TABLE_NAME PARTITION_NAME SUBPARTITION_NAME PARTITION_ORDINAL_POSITION#"
        " SUBPARTITION_ORDINAL_POSITION# PARTITION_METHOD SUBPARTITION_METHOD PARTITION_EXPRESSION"
        " SUBPARTITION_EXPRESSION PARTITION_DESCRIPTION TABLE_ROWS# AVG_ROW_LENGTH# DATA_LENGTH# MAX_DATA_LENGTH#"
        " INDEX_LENGTH# DATA_FREE# CREATE_TIME UPDATE_TIME CHECK_TIME CHECKSUM# PARTITION_COMMENT NODEGROUP"
        " TABLESPACE_NAME TIDB_PARTITION_ID#", partition_rows,
    ),
    "engines": ("ENGINE SUPPORT COMMENT TRANSACTIONS XA SAVEPOINTS", lambda catalog: [_ENGINE]),
    "character_sets": (
        "CHARACTER_SET_NAME DEFAULT_COLLATE_NAME DESCRIPTION MAXLEN#",
        lambda catalog: [("utf8mb4", "utf8mb4_bin", "UTF-8 Unicode", 4)],
    ),
    "collations": (
        "COLLATION_NAME CHARACTER_SET_NAME ID# IS_DEFAULT IS_COMPILED SORTLEN#",
        lambda catalog: [("utf8mb4_bin", "utf8mb4", 46, "Yes", "Yes", 1)],
    ),
    "collation_character_set_applicability": (
        "COLLATION_NAME CHARACTER_SET_NAME", lambda catalog: [("utf8mb4_bin", "utf8mb4")],
    ),
    "user_privileges": ("GRANTEE TABLE_CATALOG PRIVILEGE_TYPE IS_GRANTABLE", _user_privileges),
    "schema_privileges": ("GRANTEE TABLE_CATALOG TABLE_SCHEMA PRIVILEGE_TYPE IS_GRANTABLE", _schema_privileges),
    "table_privileges": (
        "GRANTEE TABLE_CATALOG TABLE_SCHEMA TABLE_NAME PRIVILEGE_TYPE IS_GRANTABLE", _table_privileges,
    ),
    "tidb_indexes": (
        "TABLE_SCHEMA TABLE_NAME NON_UNIQUE# KEY_NAME SEQ_IN_INDEX# COLUMN_NAME SUB_PART# INDEX_COMMENT", _indexes,
    ),
}  # fmt: skip
"""Table name to its columns (`#` marks numbers, `-#` signed ones, the others are text) and what makes its rows."""
