"""Write skew: two transactions read the same two rows, and each changes one of them.

The rule of the house is that of two doctors at least one is on call. Each sees both on call and leaves. Snapshot
isolation lets both commit, because neither has written what the other wrote; serial execution never would. Locking what
is read prevents it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import rutile
from rutile.nodes.playground import Playground
from rutile_kv.client.client import Client
from rutile_kv.client.sync import SyncClient
from rutile_proto.errors import LockWaitTimeout, WriteConflict

ANN, BOB = b"doctor/ann", b"doctor/bob"


@pytest.fixture
def doctors(playground: Playground) -> Iterator[tuple[rutile.Connection, rutile.Connection]]:
    """Two sessions with optimistic transactions, and both doctors on call."""
    with rutile.connect(playground.sql_address) as first, first.duplicate() as second:
        for connection in (first, second):
            connection.execute("SET tidb_txn_mode = 'optimistic'")
        first.execute("DROP TABLE IF EXISTS doctor")
        first.execute("CREATE TABLE doctor (id INT PRIMARY KEY, on_call BOOL NOT NULL)")
        first.execute("INSERT INTO doctor VALUES (1, TRUE), (2, TRUE)")
        yield first, second


def leave_if_covered(connection: rutile.Connection, doctor: int, suffix: str) -> None:
    """Read both rows by key; go off call if the other one stays."""
    on_call = 0
    for id in (1, 2):
        (flag,) = connection.execute(f"SELECT on_call FROM doctor WHERE id = ?{suffix}", (id,)).fetchone() or (0,)
        on_call += flag
    assert on_call == 2
    connection.execute("UPDATE doctor SET on_call = FALSE WHERE id = ?", (doctor,))


def on_call(connection: rutile.Connection) -> int:
    row = connection.execute("SELECT COUNT(*) FROM doctor WHERE on_call").fetchone()
    return int(row[0]) if row else 0


def test_snapshot_isolation_allows_it(doctors: tuple[rutile.Connection, rutile.Connection]) -> None:
    first, second = doctors
    for doctor, connection in enumerate(doctors, start=1):
        connection.begin()
        leave_if_covered(connection, doctor, "")
    first.commit()
    second.commit()
    assert on_call(first) == 0


def test_for_update_prevents_it(doctors: tuple[rutile.Connection, rutile.Connection]) -> None:
    """An optimistic transaction takes its locks when it commits: the second has read what the first has changed."""
    first, second = doctors
    for doctor, connection in enumerate(doctors, start=1):
        connection.begin()
        leave_if_covered(connection, doctor, " FOR UPDATE")
    first.commit()
    with pytest.raises(rutile.OperationalError) as caught:
        second.commit()
    assert (caught.value.code, caught.value.retryable) == (9007, True)
    assert on_call(first) == 1


def test_for_update_prevents_it_also_the_other_way_round(
    doctors: tuple[rutile.Connection, rutile.Connection],
) -> None:
    """One locks what it reads, and changes nothing there; the one that changes it commits first."""
    first, second = doctors
    first.begin()
    leave_if_covered(first, 1, " FOR UPDATE")
    second.execute("UPDATE doctor SET on_call = FALSE WHERE id = 2")
    with pytest.raises(rutile.OperationalError) as caught:
        first.commit()
    assert caught.value.code == 9007
    assert on_call(first) == 1


def test_keys_skew_too_unless_locked(playground: Playground) -> None:
    with SyncClient.connect([playground.pd_address]) as client:
        for locking in (False, True):
            with client.begin() as everybody:
                everybody.put(ANN, b"on call")
                everybody.put(BOB, b"on call")
            first, second = client.begin(), client.begin()
            for transaction, own, other in ((first, ANN, BOB), (second, BOB, ANN)):
                assert transaction.batch_get([ANN, BOB]) == {ANN: b"on call", BOB: b"on call"}
                transaction.put(own, b"off")
                if locking:
                    transaction.lock(other)
            first.commit()
            if locking:
                with pytest.raises(WriteConflict):
                    second.commit()
            else:
                second.commit()
            left = client.snapshot().batch_get([ANN, BOB])
            assert sorted(left.values()) == ([b"off", b"on call"] if locking else [b"off", b"off"])


def test_pessimistic_locks_make_the_second_wait_and_see(playground: Playground) -> None:
    """The second reads for update: it gets the locks only after the first has committed, and sees what it did."""

    async def main() -> None:
        async with await Client.connect([playground.pd_address]) as client:
            async with await client.begin() as everybody:
                everybody.put(ANN, b"on call")
                everybody.put(BOB, b"on call")
            first, second = await client.begin(pessimistic=True), await client.begin(pessimistic=True)
            assert await first.batch_get_for_update([ANN, BOB]) == {ANN: b"on call", BOB: b"on call"}
            with pytest.raises(LockWaitTimeout):
                await second.batch_get_for_update([ANN, BOB], wait_s=0)
            waiting = asyncio.ensure_future(second.batch_get_for_update([ANN, BOB], wait_s=10))
            first.put(ANN, b"off")
            await first.commit()
            assert await waiting == {ANN: b"off", BOB: b"on call"}
            await second.rollback()
            left = await client.snapshot(await client.timestamp()).batch_get([ANN, BOB])
            assert left == {ANN: b"off", BOB: b"on call"}

    asyncio.run(main())
