"""The client against the stores' real commands, with lost requests and answers, splits and leader moves from a seed."""

import asyncio
import random

import pytest
from client_fakes import World
from client_real_store import real_world

from rutile_kv.client.transaction import State
from rutile_proto.errors import (
    AlreadyExist,
    RetriesExhausted,
    TxnLockNotFound,
    UndeterminedResult,
    WriteConflict,
)

ACCOUNTS = [b"acct%02d" % n for n in range(10)]
TOTAL = 100 * len(ACCOUNTS)


async def everything(world: World) -> dict[bytes, bytes]:
    return dict(await world.client.snapshot(await world.client.timestamp()).scan())


async def fund(world: World) -> None:
    while True:
        try:
            async with await world.client.begin() as txn:
                for account in ACCOUNTS:
                    txn.put(account, b"100")
            return
        except (WriteConflict, TxnLockNotFound, RetriesExhausted):
            continue


async def transfer(world: World, dice: random.Random, ledger: dict[bytes, int]) -> None:
    """Move one unit; every transfer leaves a receipt, so that it can be told afterwards which ones happened."""
    source, target = dice.sample(ACCOUNTS, 2)
    receipt = b"receipt%08d" % dice.randrange(10**8)
    txn = await world.client.begin()
    balances = dict(await txn.scan(b"acct", b"acct~"))
    assert sum(map(int, balances.values())) == TOTAL
    txn.put(source, b"%d" % (int(balances[source]) - 1))
    txn.put(target, b"%d" % (int(balances[target]) + 1))
    txn.insert(receipt, b"")
    try:
        ledger[receipt] = await txn.commit()
    except (WriteConflict, TxnLockNotFound, RetriesExhausted, AlreadyExist):
        assert txn.state is State.ROLLED_BACK
        ledger[receipt] = 0
    except UndeterminedResult:
        ledger[receipt] = -1


@pytest.mark.parametrize("seed", range(8))
def test_transfers_are_all_or_nothing(seed: int) -> None:
    async def main() -> None:
        async with real_world(seed, clients=3, shared=seed % 2 == 1) as worlds:
            await fund(worlds[0])
            ledger: dict[bytes, int] = {}

            async def teller(n: int) -> None:
                dice = random.Random(seed * 100 + n)
                for _ in range(12):
                    await transfer(worlds[n % 3], dice, ledger)

            await asyncio.gather(*[teller(n) for n in range(6)])
            found = await everything(worlds[1])
            assert sum(int(found[account]) for account in ACCOUNTS) == TOTAL
            receipts = {key for key in found if key.startswith(b"receipt")}
            assert {key for key, commit_ts in ledger.items() if commit_ts > 0} <= receipts
            assert not receipts & {key for key, commit_ts in ledger.items() if commit_ts == 0}
            assert len(receipts) > 15
            for receipt, commit_ts in ledger.items():
                if commit_ts > 0:
                    assert await worlds[2].client.snapshot(commit_ts).get(receipt) == b""
                    assert await worlds[2].client.snapshot(commit_ts - 1).get(receipt) is None

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_clients_that_die_in_the_middle_leave_nothing_half_done(seed: int) -> None:
    """Commits are cut off at any point, their client with them; the others see all of one or nothing."""

    async def main() -> None:
        async with real_world(seed, clients=2, shared=seed % 2 == 1) as worlds:
            await fund(worlds[0])
            dice = random.Random(seed)
            for _ in range(15):
                txn = await worlds[0].client.begin()
                balances = dict(await txn.scan(b"acct", b"acct~"))
                source, target = dice.sample(ACCOUNTS, 2)
                txn.put(source, b"%d" % (int(balances[source]) - 1))
                txn.put(target, b"%d" % (int(balances[target]) + 1))
                worlds[0].cluster.split(source)
                commit = asyncio.ensure_future(txn.commit())
                for _ in range(dice.randrange(60)):
                    await asyncio.sleep(0)
                for task in list(worlds[0].client.cluster.background._tasks):
                    task.cancel()
                await asyncio.gather(commit, return_exceptions=True)
                found = await everything(worlds[1])
                assert sum(int(found[account]) for account in ACCOUNTS) == TOTAL

    asyncio.run(main())
