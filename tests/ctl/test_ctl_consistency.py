"""`rutile ctl consistency-check` on three stores in this process: proposed by RPC, and what comes of it."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rutile.cli.ctl import add_ctl
from rutile.ctl import consistency
from rutile.ctl.console import Console
from rutile_kv.client.pd_leader import PdConnection
from rutile_kv.env.rpc import LocalStub
from rutile_proto import pdpb_pb2 as pdpb
from rutile_proto.errors import InvalidRequest
from rutile_proto.keys import record_prefix, storage_key, table_prefix

sys.path.append(str(Path(__file__).parents[1] / "locks"))

from lock_cluster import Stores, stores, until


class Addressed:
    """The placement driver of stores without sockets: a store's address is its id."""

    def __init__(self, pd: Any) -> None:
        self._pd = pd

    async def call(self, method: str, request: Any) -> Any:
        answer = await self._pd.call(method, request)
        if method == "GetStore":
            answer.store.address = str(answer.store.id)
        return answer


async def ctl(pd: Any, *arguments: str) -> str:
    parser = argparse.ArgumentParser()
    add_ctl(parser.add_subparsers())
    options = parser.parse_args(["ctl", *arguments])
    out = io.StringIO()
    await options.act(Console(Addressed(pd), out, options.json), options)
    return out.getvalue()


def reach(monkeypatch: pytest.MonkeyPatch, cluster: Stores) -> None:
    """Let the command reach these stores by their ids."""

    async def close() -> None:
        return None

    monkeypatch.setattr(consistency, "dial_store", lambda address: PdConnection(cluster.stubs[int(address)], close))


def damage_on(cluster: Stores, store: int) -> str:
    return "".join(info.damage for info in cluster.nodes[store].driver.region_infos())


def test_a_replica_that_differs_is_found(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stores(3, 3) as cluster:
            reach(monkeypatch, cluster)
            client = cluster.client()
            async with await client.begin() as txn:
                txn.put(b"k", b"v")
            await cluster.lead(b"", cluster.nodes[0])

            async def begun() -> bool:
                found = json.loads(await ctl(client.pd, "--json", "consistency-check", "all"))
                return [each["begun"] for each in found] == [True]

            await until(begun)
            engine = cluster.nodes[2].driver._engine
            batch = engine.batch()
            batch.put("default", storage_key(b"k") + bytes(8), b"rotten")
            engine.write(batch)
            await until(begun)
            await until(lambda: "is damaged on this store" in caplog.text)
            assert damage_on(cluster, 2)
            assert not damage_on(cluster, 0)
            assert await client.snapshot(await client.timestamp()).get(b"k") == b"v"
            await client.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_only_the_regions_that_are_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with stores(1, 1) as cluster:
            reach(monkeypatch, cluster)
            client = cluster.client()
            borders = [table_prefix(7), record_prefix(7) + b"m", table_prefix(8)]
            regions = await client.split_regions(borders)
            await client.wait_for_regions(borders)
            text = await ctl(client.pd, "consistency-check", "--region", str(regions[1].id))
            assert "begun" in text
            assert text.endswith(consistency.NEXT + "\n")
            monkeypatch.setattr(consistency, "PAGE", 1)
            found = json.loads(await ctl(client.pd, "--json", "consistency-check", "--table", "7"))
            assert [each["id"] for each in found] == [region.id for region in regions[:2]]
            everything = json.loads(await ctl(client.pd, "--json", "consistency-check", "all"))
            assert len(everything) == 4
            with pytest.raises(InvalidRequest, match="no region 999"):
                await ctl(client.pd, "consistency-check", "--region", "999")
            await client.close()

    asyncio.run(asyncio.wait_for(main(), 60))


class NobodyLeads:
    async def call(self, method: str, request: Any) -> Any:
        region = pdpb.Region()
        region.region.id = 5
        return pdpb.ScanRegionsResponse(regions=[region])


def test_what_could_not_begin_is_said() -> None:
    text = asyncio.run(ctl(NobodyLeads(), "consistency-check", "all"))
    assert "not begun: nobody is known to lead it" in text
    assert consistency.NEXT not in text


def test_a_leader_that_has_moved_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with stores(3, 3) as cluster:
            reach(monkeypatch, cluster)
            await cluster.lead(b"", cluster.nodes[0])
            wrong = LocalStub(cluster.nodes[1].servicer)
            cluster.stubs = dict.fromkeys(cluster.stubs, wrong)
            client = cluster.client()
            (found,) = json.loads(await ctl(client.pd, "--json", "consistency-check", "all"))
            assert not found["begun"]
            assert found["reason"]
            await client.close()

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.parametrize("words", [(), ("all", "--region", "1"), ("--region", "1", "--table", "t")])
def test_one_choice_is_made(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        asyncio.run(ctl(None, "consistency-check", *words))
    assert "usage:" in capsys.readouterr().err
