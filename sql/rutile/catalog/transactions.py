"""A transaction that runs again after a conflict: how everything below `m` keys is changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from rutile.session.storage import KvClient, KvTransaction
from rutile_proto.errors import Retry, RutileError

MAX_ATTEMPTS = 20
Outcome = TypeVar("Outcome")


async def in_transaction(
    client: KvClient, body: Callable[[KvTransaction], Awaitable[Outcome]], attempts: int = MAX_ATTEMPTS
) -> Outcome:
    """What `body` gives in a transaction of its own, which runs again after a conflict. Raises what it raises."""
    for attempt in range(attempts):
        txn = await client.begin()
        try:
            outcome = await body(txn)
            await txn.commit()
        except RutileError as error:
            await txn.rollback()
            if error.retry is not Retry.RESTART_TRANSACTION or attempt == attempts - 1:
                raise
            continue
        except BaseException:
            await txn.rollback()
            raise
        return outcome
    raise AssertionError("unreachable: the last attempt raises")
