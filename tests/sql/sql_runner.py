"""Runs golden SQL scripts on a database over the fake client.

A block's input is SQL, statements ended by `;`, and lines that begin with a backslash:

    \\session b          go on in session b (made at first use, in database test)
    \\whole off          from now on no store has everything; `on` again
    \\calls STATEMENT    run the statement, then print what it asked of the key-value client
    \\kv                 print the rows' keys and values' lengths as the store has them
"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta
from pathlib import Path

from fake_client import Calls, FakeClient
from goldenscript import Block, format_script, parse_script

from rutile.errors import SqlError
from rutile.parse.lexer import split_statements
from rutile.rows.temporal import format_time
from rutile.session.engine import Database, DatabaseOptions
from rutile.session.result import Result
from rutile.session.session import Session

NOW = datetime(2026, 11, 22, 10, 30, 15, 123456)
_TIMES = re.compile(r"\b(time|run|wait):\d+\.\d+ms")

_TIMESTAMPS = re.compile(r"\b(transaction|committed at) \d+")
"""How many timestamps were drawn before depends on how often somebody looked for the end of a job."""


def make_database(client: FakeClient) -> Database:
    return Database(client, options=DatabaseOptions(single_front_end=True, now=lambda: NOW))


class SqlRunner:
    """One script's database and its sessions."""

    def __init__(self, database: Database, client: FakeClient) -> None:
        self.database = database
        self.client = client
        self._sessions: dict[str, Session] = {}
        self._current = "a"

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        await self.database.close()

    async def block(self, block: Block) -> tuple[str, ...]:
        """The output of a block's input."""
        lines: list[str] = []
        sql: list[str] = []
        for line in [*block.input, "\\"]:
            if not line.startswith("\\"):
                sql.append(line)
                continue
            for statement in split_statements("\n".join(sql)):
                lines += await self._run(statement)
            sql = []
            lines += await self._directive(line[1:].strip())
        return tuple(line.rstrip() or "\\" for line in lines)

    async def _directive(self, line: str) -> list[str]:
        verb, _, rest = line.partition(" ")
        match verb:
            case "session":
                self._current = rest
            case "whole":
                self.client.whole_possible = rest == "on"
            case "calls":
                self.client.calls = Calls()
                lines = await self._run(rest)
                return [*lines, *_calls(self.client.calls)]
            case "kv":
                return _row_keys(self.client)
        return []

    async def _run(self, sql: str) -> list[str]:
        session = self._sessions.get(self._current)
        if session is None:
            session = self._sessions[self._current] = await self.database.session("test")
        try:
            return render(await session.execute(sql))
        except SqlError as error:
            return [_TIMESTAMPS.sub(r"\1 ?", line) for line in str(error).splitlines()[:1]]


def render(result: Result) -> list[str]:
    """A result set as a header and rows; otherwise what the statement answers."""
    if not result.has_rows:
        parts = [f"ok, {result.affected_rows} affected"]
        if result.last_insert_id:
            parts.append(f"last id {result.last_insert_id}")
        return [", ".join([*parts, result.info] if result.info else parts)]
    header = " | ".join(column.name for column in result.columns)
    return [header, *(_TIMES.sub(r"\1:?", " | ".join(map(_shown, row))) for row in result.rows())]


def _shown(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    text = format_time(value) if isinstance(value, timedelta) else str(value)
    return text.replace("\n", "\\n")


def _calls(calls: Calls) -> list[str]:
    counts = f"gets {calls.gets}, scans {calls.scans}, timestamps {calls.timestamps}, commits {calls.commits}"
    counts += f", locks {calls.locks}" if calls.locks else ""
    return [f"-- {counts}", *(f"-- {mode}: {sql}" for mode, sql in calls.fragments)]


def _row_keys(client: FakeClient) -> list[str]:
    pairs = client.store.scan(b"t", b"u", client.store.clock)
    return [f"{key[9:].hex()} {len(value)} bytes" for key, value in pairs]


def run_script(path: Path, *, rewrite: bool) -> list[str]:
    """The differences between a script's outputs and what it gives now; or write them."""
    blocks = parse_script(path.read_text(encoding="utf-8"))
    actual = asyncio.run(run_blocks(blocks))
    if rewrite:
        path.write_text(format_script(actual), encoding="utf-8")
        return []
    return [_difference(path, old, new) for old, new in zip(blocks, actual, strict=True) if old.output != new.output]


async def run_blocks(blocks: list[Block]) -> list[Block]:
    client = FakeClient()
    return await run_on(make_database(client), client, blocks)


async def run_on(database: Database, client: FakeClient, blocks: list[Block]) -> list[Block]:
    """The blocks with what they give now on a database not started yet, which is closed afterwards."""
    runner = SqlRunner(database, client)
    await database.start()
    try:
        return [Block(block.input, await runner.block(block), block.line_number) for block in blocks]
    finally:
        await runner.close()


def _difference(path: Path, old: Block, new: Block) -> str:
    place = f"{path.name}, line {old.line_number}:"
    return "\n".join([place, *old.input, "--- expected", *old.output, "--- got", *new.output])
