"""ENUM and SET: texts to SQL, numbers in rows and keys.

An ENUM is stored as the place of its member, from 1; a SET as a mask, bit 0 for the first member. So both sort in keys
by number, as MySQL has it. In Arrow and Python they are texts: a member, or members in the order of the definition
with commas between. 0 of an ENUM, which strict mode never writes, reads as ''.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from rutile_coprocessor.column_types import ColumnType, Kind
from rutile_coprocessor.schema import Column
from rutile_coprocessor.value_errors import WrongValueType

SEPARATOR = ","


def number_of_text(kind: ColumnType, text: str) -> int | None:
    """What is stored for a text; None if it is no value of the type."""
    places = _places(kind)
    if kind.kind is Kind.ENUM:
        place = places.get(text)
        return None if place is None else place + 1
    mask = 0
    for member in text.split(SEPARATOR) if text else ():
        place = places.get(member)
        if place is None:
            return None
        mask |= 1 << place
    return mask


def text_of_number(kind: ColumnType, number: int) -> str:
    """The text that is stored as `number`."""
    if kind.kind is Kind.ENUM:
        return kind.members[number - 1] if 1 <= number <= len(kind.members) else ""
    return SEPARATOR.join(member for place, member in enumerate(kind.members) if number >> place & 1)


def _places(kind: ColumnType) -> dict[str, int]:
    return {member: place for place, member in enumerate(kind.members)}


def enumeration_writer(column: Column) -> Callable[[Any], int]:
    """A function from a text of the column to what is stored for it. It raises WrongValueType."""
    kind = column.type

    def write(value: Any) -> int:
        found = number_of_text(kind, value) if isinstance(value, str) else None
        if found is None:
            raise WrongValueType(column.name, f"{kind.mysql_name()} cannot hold {value!r:.80}")
        return found

    return write


def enumeration_reader(kind: ColumnType) -> Callable[[Any], str]:
    """The inverse."""
    return lambda number: text_of_number(kind, number)


# --- many values ------------------------------------------------------------------------------------------------------


def texts_of_numbers(kind: ColumnType, numbers: npt.NDArray[Any], validity: pa.Buffer | None, nulls: int) -> pa.Array:
    """Stored numbers as an Arrow array of texts: each different one is spelled once."""
    distinct, places = np.unique(numbers, return_inverse=True)
    texts = pa.array([text_of_number(kind, int(number)) for number in distinct], pa.string())
    indices = np.ascontiguousarray(places, np.int32)
    array = pa.Array.from_buffers(pa.int32(), len(numbers), [validity, pa.py_buffer(indices)], nulls)
    return pa.DictionaryArray.from_arrays(array, texts).cast(pa.string())


def numbers_of_texts(kind: ColumnType, array: pa.Array, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An Arrow array of texts, checked before, as stored numbers; 0 for NULL."""
    encoded = pc.dictionary_encode(array)
    stored = [number_of_text(kind, text) or 0 for text in encoded.dictionary.to_pylist()]
    places = pc.fill_null(encoded.indices, -1).to_numpy()
    found: npt.NDArray[Any] = np.array([0, *stored], dtype)[places + 1]
    return found


def check_texts(column: Column, array: pa.Array) -> None:
    """Raises WrongValueType for a text that is no value of the column."""
    write = enumeration_writer(column)
    for text in pc.unique(array.drop_null()).to_pylist():
        write(text)
