"""The same scripts on the real stack in this process: PD, a store on the memory engine, Raft, the client."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from fake_client import FakeClient
from goldenscript import Block, parse_script
from sql_runner import NOW, run_on

from rutile.nodes.embedded import EmbeddedNode
from rutile.session.engine import Database, DatabaseOptions

SCRIPTS = ("databases_and_tables", "recovery", "enums", "foreign_keys", "inserts", "transactions", "queries", "session",
           "partitions")  # fmt: skip
"""Those that do not look at the fake client's own numbers."""
_TIMESTAMPS = re.compile(r"(transaction|committed at) \d+|on key \w+")


async def run_embedded(blocks: list[Block]) -> list[Block]:
    node = await EmbeddedNode.open(None)
    try:
        options = DatabaseOptions(single_front_end=True, now=lambda: NOW)
        return await run_on(Database(node.client, options=options), FakeClient(), blocks)
    finally:
        await node.close()


def comparable(block: Block) -> list[str]:
    return [_TIMESTAMPS.sub(r"\1 ?", line) for line in block.output]


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_on_the_real_stack(name: str) -> None:
    path = Path(__file__).parent / "scripts" / f"{name}.txt"
    expected = parse_script(path.read_text(encoding="utf-8"))
    actual = asyncio.run(run_embedded(expected))
    for want, got in zip(expected, actual, strict=True):
        assert comparable(got) == comparable(want), "\n".join(want.input)
