"""A SQL front end in this process for a cluster elsewhere, found by its placement driver."""

from __future__ import annotations

from collections.abc import Sequence

from rutile.engine import Database, DatabaseOptions
from rutile_kv.client.client import Client


async def open_database(pd_addresses: Sequence[str]) -> tuple[Client, Database]:
    """Connect to the cluster and start a front end; the caller closes the database, then the client.

    Raises PdError when no placement driver answers.
    """
    client = await Client.connect(pd_addresses)
    try:
        database = Database(client, options=DatabaseOptions(single_front_end=False))
        await database.start()
    except BaseException:
        await client.close()
        raise
    return client, database
