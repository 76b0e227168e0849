"""Index entries of many rows at once, column by column: no Python step a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from rutile.rows.index_access import HANDLE_IN_KEY, IndexAccess
from rutile_coprocessor.handles import encode_bytes_array

_EMPTY = pa.scalar(b"", pa.large_binary())


Entries: TypeAlias = tuple[pa.Array, pa.Array, pa.Array | None]
"""(storage keys, values, storage keys of those that must be alone or None)."""


def entries_of(index: IndexAccess, columns: Sequence[pa.Array], handles: pa.Array) -> Entries:
    """The entries of rows that have these values in the index's columns, and these handles (large_binary)."""
    parts = index.codec.encode_arrays(columns)
    in_key = pa.scalar(HANDLE_IN_KEY, pa.large_binary())
    if not index.info.unique:
        return storage_keys(index.prefix, parts, handles), pa.repeat(in_key, len(handles)), None
    if not any(column.null_count for column in columns):
        keys = storage_keys(index.prefix, parts)
        return keys, handles, keys
    has_null = columns[0].is_null()
    for column in columns[1:]:
        has_null = pc.or_(has_null, column.is_null())
    keys = storage_keys(index.prefix, parts, pc.if_else(has_null, handles, _EMPTY))
    alone = pc.if_else(has_null, pa.scalar(None, pa.large_binary()), keys)
    return keys, pc.if_else(has_null, in_key, handles), alone


def storage_keys(prefix: bytes, *parts: pa.Array) -> pa.Array:
    """The storage keys of the user keys that begin with `prefix` and go on with the parts, joined row by row."""
    user_keys = pc.binary_join_element_wise(pa.scalar(prefix, pa.large_binary()), *parts, _EMPTY)
    return encode_bytes_array(user_keys.cast(pa.binary()))
