"""Keys as people write them.

text            itself, with \\xNN for any byte          a\\x00b
hex:...         bytes in hexadecimal, as tables show      hex:7480000000
--table t       all keys of a table: database.table, or a table's id
--handle 7      with --table: one row, by its integer primary key
"""

from __future__ import annotations

import argparse
import asyncio
import re

from rutile_proto.errors import InvalidRequest, MalformedEncoding
from rutile_proto.keys import int_handle, record_key, user_key

_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")


def add_key_options(parser: argparse.ArgumentParser) -> None:
    """`--key`, or `--table` and `--handle`."""
    parser.add_argument("--key", metavar="KEY", help="text with \\xNN, or hex:...")
    parser.add_argument("--table", metavar="TABLE", help="database.table, or a table's id")
    parser.add_argument("--handle", type=int, metavar="N", help="with --table: the row with this primary key")


def parse_key(text: str) -> bytes:
    """The user key written as `text`. InvalidRequest for broken hexadecimal."""
    if text.startswith("hex:"):
        try:
            return bytes.fromhex(text.removeprefix("hex:"))
        except ValueError as error:
            raise InvalidRequest(f"{text}: {error}") from error
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), text.encode())


async def key_of(options: argparse.Namespace) -> bytes:
    """The user key that the options name. InvalidRequest if they name none."""
    if options.key is not None:
        return parse_key(options.key)
    if options.table is not None and options.handle is not None:
        return record_key(await table_id_of(options.table, options.pd), int_handle(options.handle))
    raise InvalidRequest("which key? --key KEY, or --table TABLE --handle N")


async def table_id_of(table: str, pd_addresses: str) -> int:
    """The id of a table given by its name or its id. InvalidRequest if there is none of that name."""
    if table.isdigit():
        return int(table)
    database, _, name = table.rpartition(".")
    found = await asyncio.to_thread(_look_up, f"pd://{pd_addresses}", database or "test", name)
    if found is None:
        raise InvalidRequest(f"there is no table {database or 'test'}.{name}: want database.table, or its id")
    return found


def _look_up(target: str, database: str, name: str) -> int | None:
    from rutile.dbapi import connect

    with connect(target) as connection:
        cursor = connection.execute(
            "SELECT TIDB_TABLE_ID FROM information_schema.tables WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
            (database, name),
        )
        row = cursor.fetchone()
    return None if row is None else int(str(row[0]))


def show_bound(storage: bytes) -> str:
    """A region's boundary for people: text where it is text, otherwise hexadecimal; empty for infinity."""
    if not storage:
        return ""
    try:
        key = user_key(storage)
    except MalformedEncoding:
        return "raw:" + storage.hex()
    return show_key(key)


def show_key(key: bytes) -> str:
    """A user key that `parse_key` reads back."""
    text = key.decode("ascii", errors="replace")
    is_plain = text.isprintable() and "\\" not in text and "\ufffd" not in text and not text.startswith("hex:")
    return text if is_plain else "hex:" + key.hex()
