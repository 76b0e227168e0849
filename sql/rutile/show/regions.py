"""SPLIT TABLE and SHOW TABLE ... REGIONS: where a table lies, and cutting it by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rutile.errors import not_supported
from rutile.expressions.compile import Environment, NotCompilable, constant_value
from rutile.parse import statements as st
from rutile.rows.access import TableAccess
from rutile.session.definitions import database_of
from rutile.session.result import Result, ResultColumn, Row
from rutile.session.storage import RegionInfo
from rutile.show.region_borders import ROW_ID_BYTES, borders_at, borders_between, index_of, rows_of
from rutile_coprocessor.schema import ColumnType, Kind
from rutile_proto import codec, keys
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto.keys import user_bound

if TYPE_CHECKING:
    from rutile.session.session import Session

MIB = 1 << 20
SCATTER = "scatter"
"""The kind of the placement driver's operators that spread regions on request."""
_TEXT = ColumnType(Kind.VARCHAR, length=4096)
_NUMBER = ColumnType(Kind.BIGINT)
SPLIT_COLUMNS = [
    ResultColumn("TOTAL_SPLIT_REGION", _NUMBER),
    ResultColumn("SCATTER_FINISH_RATIO", ColumnType(Kind.DOUBLE)),
]
_REGION_TYPES = {
    "REGION_ID": _NUMBER, "START_KEY": _TEXT, "END_KEY": _TEXT, "LEADER_ID": _NUMBER, "LEADER_STORE_ID": _NUMBER,
    "PEERS": _TEXT, "SCATTERING": _NUMBER, "WRITTEN_BYTES": _NUMBER, "READ_BYTES": _NUMBER,
    "APPROXIMATE_SIZE(MB)": _NUMBER, "APPROXIMATE_KEYS": _NUMBER,
    "SCHEDULING_CONSTRAINTS": _TEXT, "SCHEDULING_STATE": _TEXT,
}  # fmt: skip
REGION_COLUMNS = [ResultColumn(name, kind) for name, kind in _REGION_TYPES.items()]


async def run_split(session: Session, statement: st.SplitTable, environment: Environment) -> Result:
    """Cut, wait until the placement driver knows the regions, and have them spread: how many are new, and what share
    the placement driver has begun to move. Raises 1046, 1136, 1146, 1176, 8212 and what conversions raise."""
    table = await _table(session, statement.table)
    if table.partitions is not None:
        raise not_supported("SPLIT TABLE of a partitioned table")
    borders = _borders(table, statement, [_evaluated(each, environment) for each in statement.values])
    client = session.shared.client
    before = await client.regions_in(borders[0], borders[-1] + b"\x00")
    known = {user_bound(info.region.start_key) for info in before}
    fresh = [key for key in borders if key not in known]
    await client.split_regions(borders)
    await client.wait_for_regions(borders)
    ratio = await client.scatter_regions(fresh, f"table {table.schema.table_id}")
    return Result.of_rows(SPLIT_COLUMNS, [(len(fresh), ratio)])


async def run_show_regions(session: Session, statement: st.ShowRegions) -> Result:
    """The regions with anything of the table, or of its index, in key order, with what their leaders reported last to
    the placement driver: what was written and read since the report before, and estimates of size and keys. NULL if
    that is a foreign one. There are no placement policies, so what would be said of them is empty. Raises 1046, 1146,
    1176."""
    table = await _table(session, statement.table)
    ranges = [
        each
        for part in table.physical
        for each in (_ranges(part) if statement.index is None else [index_of(part, statement.index).range])
    ]
    found: dict[int, RegionInfo] = {}
    client = session.shared.client
    for start, end in ranges:
        found |= {info.region.id: info for info in await client.regions_in(start, end)}
    figures = await client.region_figures(list(found))
    return Result.of_rows(REGION_COLUMNS, [_row(info, figures.get(id_), table) for id_, info in found.items()])


async def _table(session: Session, name: st.TableName) -> TableAccess:
    info = await session.shared.catalog.get_table(database_of(name, session.database), name.name)
    return TableAccess(info)


def _ranges(table: TableAccess) -> list[tuple[bytes, bytes]]:
    """Where its indexes and rows lie, in key order."""
    return [*sorted(index.range for index in table.indexes), table.range]


def _evaluated(values: st.SplitValues, environment: Environment) -> list[object]:
    try:
        return [constant_value(each, environment) for each in values]
    except NotCompilable as error:
        raise not_supported(f"SPLIT TABLE with {error}") from error


def _borders(table: TableAccess, statement: st.SplitTable, values: Sequence[Sequence[object]]) -> list[bytes]:
    split = rows_of(table) if statement.index is None else index_of(table, statement.index)
    if statement.regions is None:
        return borders_at(split, values)
    lower, upper = values
    return borders_between(split, lower, upper, statement.regions)


# --- one region -------------------------------------------------------------------------------------------------------


def _row(info: RegionInfo, figures: pdadminpb.RegionFigures | None, table: TableAccess) -> Row:
    region, leader = info.region, info.leader
    return (
        region.id, _bound(region.start_key, table), _bound(region.end_key, table),
        leader.id if leader is not None else None, leader.store_id if leader is not None else None,
        ", ".join(str(peer.id) for peer in region.peers), *_shown(figures), "", "",
    )  # fmt: skip


def _shown(figures: pdadminpb.RegionFigures | None) -> Row:
    """Whether it is being scattered, bytes written and read, mebibytes and keys it holds about. A region that holds
    anything has a mebibyte."""
    if figures is None:
        return (None,) * 5
    size_mib = -(-figures.size // MIB)
    return int(figures.operator.kind == SCATTER), figures.written_bytes, figures.read_bytes, size_mib, figures.keys


def _bound(storage: bytes, table: TableAccess) -> str:
    """A region's bound as TiDB writes it: t_5_r_7, t_5_i_1_ and the rest in hexadecimal, all hexadecimal if it is not
    in the table; empty for the end of the key space."""
    key, prefix = user_bound(storage), keys.table_prefix(table.schema.table_id)
    if not key.startswith(prefix):
        return key.hex()
    rest, name = key[len(prefix) :], f"t_{table.schema.table_id}"
    if rest.startswith(keys.RECORD_MARK):
        return f"{name}_r" + _handle(rest[len(keys.RECORD_MARK) :], table)
    if rest.startswith(keys.INDEX_MARK) and len(rest) >= len(keys.INDEX_MARK) + 8:
        index_id, end = codec.decode_int64(rest, len(keys.INDEX_MARK))
        return f"{name}_i_{index_id}_{rest[end:].hex()}"
    return f"{name}_{rest.hex()}"


def _handle(handle: bytes, table: TableAccess) -> str:
    if not handle:
        return ""
    if table.schema.handle == "common" or len(handle) != ROW_ID_BYTES:
        return f"_{handle.hex()}"
    row_id = codec.decode_int64(handle, 0)[0]
    return f"_{row_id if table.is_hidden else table.handles.value_of(row_id)}"
