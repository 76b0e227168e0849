"""What this server is (GetSqlInfo), and the types it has (GetXdbcTypeInfo)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rutile.flight.transactions import IDLE_LIFE_S
from rutile_coprocessor.schema import Kind

InfoValue = str | bool | int | list[str]

_UNION = pa.dense_union([
    pa.field("string_value", pa.string()), pa.field("bool_value", pa.bool_()), pa.field("bigint_value", pa.int64()),
    pa.field("int32_bitmask", pa.int32()), pa.field("string_list", pa.list_(pa.string())),
    pa.field("int32_to_int32_list_map", pa.map_(pa.int32(), pa.list_(pa.int32()))),
])  # fmt: skip
SQL_INFO = pa.schema([pa.field("info_name", pa.uint32(), False), pa.field("value", _UNION)])
_STRING, _BOOL, _BIGINT, _BITMASK, _STRINGS = range(5)

SAVEPOINTS = 2
"""SqlSupportedTransaction: transactions, and savepoints in them."""
CASE_INSENSITIVE = 2
NULLS_LOW = 1
_KEYWORDS = ["AUTO_INCREMENT", "EXPLAIN", "IGNORE", "REPLACE", "SHOW", "TRUNCATE", "USE"]

_INFO: dict[int, tuple[int, Callable[[], InfoValue]]] = {
    0: (_STRING, lambda: "Rutile"),
    1: (_STRING, lambda: _version()),
    2: (_STRING, lambda: pa.__version__),
    3: (_BOOL, lambda: False),  # read only
    4: (_BOOL, lambda: True),  # SQL
    5: (_BOOL, lambda: False),  # Substrait
    8: (_BITMASK, lambda: SAVEPOINTS),
    9: (_BOOL, lambda: True),  # cancel
    10: (_BOOL, lambda: True),  # bulk ingestion
    11: (_BOOL, lambda: True),  # ... within a transaction
    100: (_BITMASK, lambda: 0),  # prepared statements live until others push them out
    101: (_BITMASK, lambda: int(IDLE_LIFE_S * 1000)),
    500: (_BOOL, lambda: False),  # CREATE and DROP of catalogs
    501: (_BOOL, lambda: True),  # ... of schemas
    502: (_BOOL, lambda: True),  # ... of tables
    503: (_BIGINT, lambda: CASE_INSENSITIVE),
    504: (_STRING, lambda: "`"),
    505: (_BIGINT, lambda: CASE_INSENSITIVE),
    506: (_BOOL, lambda: True),
    507: (_BIGINT, lambda: NULLS_LOW),
    508: (_STRINGS, lambda: _KEYWORDS),
    513: (_STRING, lambda: "\\"),
    515: (_BOOL, lambda: True),
    524: (_BOOL, lambda: True),
    529: (_STRING, lambda: "database"),
    531: (_STRING, lambda: "catalog"),
    532: (_BOOL, lambda: True),
}


def _version() -> str:
    from rutile import __version__  # the package is complete by the time somebody asks

    return __version__


def sql_info(wanted: Sequence[int]) -> pa.Table:
    """The facts asked for by number, all if none are named; numbers that are not known here are left out."""
    numbers = [number for number in (wanted or sorted(_INFO)) if number in _INFO]
    children: list[list[InfoValue]] = [[] for _ in range(_UNION.num_fields)]
    kinds, offsets = [], []
    for number in numbers:
        kind, value = _INFO[number]
        kinds.append(kind)
        offsets.append(len(children[kind]))
        children[kind].append(value())
    arrays = [pa.array(values, _UNION.field(at).type) for at, values in enumerate(children)]
    union = pa.UnionArray.from_dense(
        pa.array(kinds, pa.int8()), pa.array(offsets, pa.int32()), arrays, [field.name for field in _UNION]
    )
    return pa.table([pa.array(numbers, pa.uint32()), union.cast(_UNION) if union.type != _UNION else union], SQL_INFO)


# --- types ------------------------------------------------------------------------------------------------------------

_TEXT, _INT, _FLAG = pa.string(), pa.int32(), pa.bool_()
TYPE_INFO = pa.schema([
    pa.field("type_name", _TEXT, False), pa.field("data_type", _INT, False), pa.field("column_size", _INT),
    pa.field("literal_prefix", _TEXT), pa.field("literal_suffix", _TEXT),
    pa.field("create_params", pa.list_(pa.field("item", _TEXT, False))), pa.field("nullable", _INT, False),
    pa.field("case_sensitive", _FLAG, False), pa.field("searchable", _INT, False),
    pa.field("unsigned_attribute", _FLAG), pa.field("fixed_prec_scale", _FLAG, False),
    pa.field("auto_increment", _FLAG), pa.field("local_type_name", _TEXT),
    pa.field("minimum_scale", _INT), pa.field("maximum_scale", _INT), pa.field("sql_data_type", _INT, False),
    pa.field("datetime_subcode", _INT), pa.field("num_prec_radix", _INT), pa.field("interval_precision", _INT),
])  # fmt: skip
_NULLABLE, _SEARCHABLE = 1, 3


@dataclass(frozen=True, slots=True)
class _Type:
    """What ODBC knows of a type: its number, how wide it is, what a definition may say."""

    number: int
    size: int
    quote: str | None = None
    parameters: tuple[str, ...] = ()
    scale: int | None = None

    @property
    def is_number(self) -> bool:
        return self.quote is None


_LENGTH = ("length",)
_TYPES: dict[Kind, _Type] = {
    Kind.BOOL: _Type(-7, 1),
    Kind.TINYINT: _Type(-6, 3),
    Kind.SMALLINT: _Type(5, 5),
    Kind.MEDIUMINT: _Type(4, 7),
    Kind.INT: _Type(4, 10),
    Kind.BIGINT: _Type(-5, 19),
    Kind.YEAR: _Type(5, 4),
    Kind.FLOAT: _Type(7, 24),
    Kind.DOUBLE: _Type(8, 53),
    Kind.DECIMAL: _Type(3, 38, parameters=("precision", "scale"), scale=30),
    Kind.CHAR: _Type(1, 255, "'", _LENGTH),
    Kind.VARCHAR: _Type(12, 65_535, "'", _LENGTH),
    Kind.TEXT: _Type(-1, 2_147_483_647, "'"),
    Kind.JSON: _Type(-1, 2_147_483_647, "'"),
    Kind.BINARY: _Type(-2, 255, "'", _LENGTH),
    Kind.VARBINARY: _Type(-3, 65_535, "'", _LENGTH),
    Kind.BLOB: _Type(-4, 2_147_483_647, "'"),
    Kind.DATE: _Type(91, 10, "'"),
    Kind.TIME: _Type(92, 17, "'", ("precision",), 6),
    Kind.DATETIME: _Type(93, 26, "'", ("precision",), 6),
    Kind.TIMESTAMP: _Type(93, 26, "'", ("precision",), 6),
}


def type_info(data_type: int | None) -> pa.Table:
    """The SQL types, or those with one of ODBC's numbers."""
    rows = [_type_row(kind, each) for kind, each in _TYPES.items() if data_type in (None, each.number)]
    return pa.Table.from_pylist(rows, TYPE_INFO)


def _type_row(kind: Kind, each: _Type) -> dict[str, object]:
    is_text = kind in (Kind.CHAR, Kind.VARCHAR, Kind.TEXT, Kind.JSON)
    is_integer = each.is_number and kind not in (Kind.FLOAT, Kind.DOUBLE, Kind.DECIMAL)
    return {
        "type_name": kind.value.upper(),
        "data_type": each.number,
        "column_size": each.size,
        "literal_prefix": each.quote,
        "literal_suffix": each.quote,
        "create_params": list(each.parameters),
        "nullable": _NULLABLE,
        "case_sensitive": is_text,
        "searchable": _SEARCHABLE,
        "unsigned_attribute": False if each.is_number else None,
        "fixed_prec_scale": False,
        "auto_increment": is_integer and kind is not Kind.BOOL if each.is_number else None,
        "local_type_name": kind.value.upper(),
        "minimum_scale": 0 if each.scale is not None else None,
        "maximum_scale": each.scale,
        "sql_data_type": each.number,
        "num_prec_radix": 10 if each.is_number else None,
    }
