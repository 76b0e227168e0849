"""SHOW and DESCRIBE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rutile.catalog.catalog import Catalog
from rutile.catalog.model import TableInfo
from rutile.catalog.sequences import find_sequence
from rutile.ddl.keys import column_extra, column_key, key_parts
from rutile.ddl.show_create import quote_name, show_create_table, value_text
from rutile.errors import no_database_selected, not_supported, unknown_table
from rutile.parse import statements as st
from rutile.session.definitions import database_of
from rutile.session.process_list import SHOWN_STATEMENT_CHARACTERS, process_rows
from rutile.session.result import Result, ResultColumn, Row, SqlWarning
from rutile.session.views import show_create_view
from rutile.show.filtering import filtered
from rutile.show.fixed import fixed_list, text_result
from rutile.show.information_schema import visible_databases
from rutile.show.like import like_matcher
from rutile.show.sizes import TableSize, size_of
from rutile.show.status import status_rows
from rutile.show.virtual import is_virtual, virtual_schema
from rutile.statistics.statements import SHOW_KINDS, run_show_statistics
from rutile_coprocessor.schema import Column, ColumnType, Kind

if TYPE_CHECKING:
    from rutile.session.session import Session

_TEXT = ColumnType(Kind.VARCHAR, length=4096)


async def run_show(session: Session, statement: st.Show) -> Result:
    """Answer SHOW. Raises 1044, 1046, 1049, 1054, 1146, 1235."""
    result = await _whole(session, statement)
    return result if statement.where is None else filtered(result, statement.where, session.environment(()))


async def _whole(session: Session, statement: st.Show) -> Result:
    catalog = session.shared.catalog
    matches = like_matcher(statement.pattern).match
    match statement.what:
        case "databases":
            names = visible_databases(await session.privileges.visible(await catalog.current()))
            return text_result(["Database"], [(name,) for name in names if matches(name)])
        case "tables":
            return await _tables(statement, session)
        case "table status":
            return await _table_status(statement, session)
        case "processlist":
            return await _processes(statement, session)
        case "create table":
            return await _create_table(statement, session)
        case "create view":
            return await _create_view(statement, session)
        case "create sequence":
            return await _create_sequence(statement, session)
        case "create database":
            return await _create_database(statement, catalog)
        case "columns":
            return await _columns(statement, session)
        case "index":
            return await _index(statement, session)
        case "variables":
            return await _variables(statement, session)
        case "status":
            rows: list[Row] = [row for row in status_rows(session, is_global=statement.is_global) if matches(row[0])]
            return text_result(["Variable_name", "Value"], rows)
        case "warnings" | "errors" | "warning count" | "error count":
            return _notes(statement, session.warnings)
    if statement.what in SHOW_KINDS:
        return await run_show_statistics(session, statement)
    found = fixed_list(statement.what)
    if found is None:
        raise not_supported(f"SHOW {statement.what.upper()}")
    return found


async def _variables(statement: st.Show, session: Session) -> Result:
    variables, matches = session.variables, like_matcher(statement.pattern).match
    variables.cluster = (await session.shared.catalog.current()).variables
    found = variables.global_items() if statement.is_global else variables.items()
    return text_result(["Variable_name", "Value"], [row for row in found if matches(row[0])])


LOOKS_BACK = ("warnings", "errors", "warning count", "error count")
"""What is asked of the statement before, and leaves its notes as they are."""


def _notes(statement: st.Show, notes: list[SqlWarning]) -> Result:
    if statement.what in ("errors", "error count"):
        notes = [note for note in notes if note.level == "Error"]
    if statement.what.endswith("count"):
        name = "error_count" if statement.what == "error count" else "warning_count"
        column = ResultColumn(f"@@session.{name}", ColumnType(Kind.BIGINT))
        return Result.of_rows([column], [(len(notes),)])
    first, most = statement.window
    shown: list[Row] = [(note.level, note.code, note.message) for note in notes[first:][:most]]
    columns = [("Level", _TEXT), ("Code", ColumnType(Kind.INT, unsigned=True)), ("Message", _TEXT)]
    return Result.of_rows([ResultColumn(name, kind) for name, kind in columns], shown)


async def _visible_tables(statement: st.Show, session: Session) -> tuple[str, list[TableInfo]]:
    """The database that is meant, and those of its tables that are asked for and may be seen."""
    owner = statement.database or session.database
    if owner is None:
        raise no_database_selected()
    await session.privileges.check_database(owner)
    await session.shared.catalog.get_database(owner)
    seen = await session.privileges.visible(await session.shared.catalog.current())
    matches = like_matcher(statement.pattern).match
    return owner, [info for info in seen.tables_of(owner) if matches(info.schema.name)]


async def _create_sequence(statement: st.Show, session: Session) -> Result:
    assert statement.table is not None
    owner = database_of(statement.table, session.database)
    info = find_sequence(await session.shared.catalog.refresh(), owner, statement.table.name)
    return text_result(["Sequence", "Create Sequence"], [(info.name, info.text())])


async def _tables(statement: st.Show, session: Session) -> Result:
    owner, tables = await _visible_tables(statement, session)
    matches = like_matcher(statement.pattern).match
    seen = await session.privileges.visible(await session.shared.catalog.current())
    rows: list[Row] = [(info.schema.name, "BASE TABLE") for info in tables]
    rows += [(view.schema.name, "VIEW") for view in seen.views_of(owner) if matches(view.schema.name)]
    rows += [(each.name, "SEQUENCE") for each in seen.sequences_of(owner) if matches(each.name)]
    title = f"Tables_in_{owner}" + (f" ({statement.pattern})" if statement.pattern else "")
    if statement.full:
        return text_result([title, "Table_type"], sorted(rows))
    return text_result([title], [row[:1] for row in sorted(rows)])


_STATUS_COLUMNS = [
    "Name", "Engine", "Version", "Row_format", "Rows", "Avg_row_length", "Data_length", "Max_data_length",
    "Index_length", "Data_free", "Auto_increment", "Create_time", "Update_time", "Check_time", "Collation", "Checksum",
    "Create_options", "Comment",
]  # fmt: skip


async def _table_status(statement: st.Show, session: Session) -> Result:
    """MySQL's columns; the sizes are those of statistics."""
    _, tables = await _visible_tables(statement, session)
    sizes = {info.table_id: size_of(session.shared.statistics, info.table_id) for info in tables}
    rows: list[Row] = [
        (
            info.schema.name,
            "InnoDB",
            "10",
            "Compact",
            *_size_texts(sizes[info.table_id]),
            *[None] * 7,
            "utf8mb4_bin",
            None,
            info.create_options,
            info.comment,
        )
        for info in tables
    ]  # fmt: skip
    return text_result(_STATUS_COLUMNS, rows)


def _size_texts(size: TableSize) -> tuple[str | None, ...]:
    return tuple(None if each is None else str(each) for each in (size.rows, size.row_bytes, size.data_bytes))


_PROCESS_COLUMNS = {
    "Id": ColumnType(Kind.BIGINT, unsigned=True), "User": _TEXT, "Host": _TEXT, "db": _TEXT, "Command": _TEXT,
    "Time": ColumnType(Kind.BIGINT), "State": _TEXT, "Info": _TEXT,
}  # fmt: skip


async def _processes(statement: st.Show, session: Session) -> Result:
    cut = None if statement.full else SHOWN_STATEMENT_CHARACTERS
    rows: list[Row] = [(*row[:-1], row[-1] and row[-1][:cut]) for row in await process_rows(session)]
    return Result.of_rows([ResultColumn(name, kind) for name, kind in _PROCESS_COLUMNS.items()], rows)


async def _create_table(statement: st.Show, session: Session) -> Result:
    assert statement.table is not None
    owner, name = database_of(statement.table, session.database), statement.table.name
    if not session.temporary.get(owner, name) and (await session.shared.catalog.current()).view(owner, name):
        return await _create_view(statement, session)
    info = session.temporary.get(owner, name) or await session.shared.catalog.get_table(owner, name)
    return text_result(["Table", "Create Table"], [(info.schema.name, show_create_table(info))])


async def _create_view(statement: st.Show, session: Session) -> Result:
    assert statement.table is not None
    owner = database_of(statement.table, session.database)
    view = (await session.shared.catalog.refresh()).view(owner, statement.table.name)
    if view is None:
        raise unknown_table(owner, statement.table.name)
    names = ["View", "Create View", "character_set_client", "collation_connection"]
    return text_result(names, [(view.schema.name, show_create_view(view), "utf8mb4", "utf8mb4_bin")])


async def _create_database(statement: st.Show, catalog: Catalog) -> Result:
    assert statement.database is not None
    info = await catalog.get_database(statement.database)
    text = f"CREATE DATABASE {quote_name(info.name)} /*!40100 DEFAULT CHARACTER SET utf8mb4 */"
    return text_result(["Database", "Create Database"], [(info.name, text)])


async def _info_of(table: st.TableName | None, session: Session) -> TableInfo:
    assert table is not None
    owner, catalog = database_of(table, session.database), session.shared.catalog
    own = session.temporary.get(owner, table.name)
    if own is not None:
        return own
    if is_virtual(owner):
        found = virtual_schema((owner, table.name))
        if found is None:
            raise unknown_table(owner, table.name)
        return TableInfo(found)
    view = (await catalog.current()).view(owner, table.name)
    return TableInfo(view.schema) if view is not None else await catalog.get_table(owner, table.name)


async def _columns(statement: st.Show, session: Session) -> Result:
    info = await _info_of(statement.table, session)
    matches = like_matcher(statement.pattern).match
    rows = [_column_row(info, column, statement.full) for column in info.schema.columns if matches(column.name)]
    if statement.full:
        names = ["Field", "Type", "Collation", "Null", "Key", "Default", "Extra", "Privileges", "Comment"]
        return text_result(names, rows)
    return text_result(["Field", "Type", "Null", "Key", "Default", "Extra"], rows)


def _column_row(info: TableInfo, column: Column, full: bool) -> Row:
    default = column.default_sql or (None if column.default is None else value_text(column.default))
    extra = column_extra(info, column)
    key = column_key(info, column)
    nullable = "YES" if column.nullable else "NO"
    if not full:
        return column.name, column.type.mysql_name(), nullable, key, default, extra
    collation = "utf8mb4_bin" if column.type.is_character else None
    privileges = "select,insert,update,references"
    return column.name, column.type.mysql_name(), collation, nullable, key, default, extra, privileges, column.comment


_INDEX_COLUMNS = [
    "Table", "Non_unique", "Key_name", "Seq_in_index", "Column_name", "Collation", "Cardinality", "Sub_part", "Packed",
    "Null", "Index_type", "Comment", "Index_comment", "Visible", "Expression",
]  # fmt: skip


async def _index(statement: st.Show, session: Session) -> Result:
    info = await _info_of(statement.table, session)
    rows: list[Row] = [
        (info.schema.name, str(int(not part.unique)), part.key_name, str(part.position), part.column.name, "A", "0",
         None if part.length is None else str(part.length), None, "YES" if part.column.nullable else "", "BTREE", "",
         part.comment, "YES", None)
        for part in key_parts(info)
    ]  # fmt: skip
    return text_result(_INDEX_COLUMNS, rows)
