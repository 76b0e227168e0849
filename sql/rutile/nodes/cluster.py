"""A SQL front end in this process for a cluster elsewhere, found by its placement driver."""

from __future__ import annotations

from collections.abc import Sequence

from rutile.nodes.tikv_only import TikvOnlyClient
from rutile.session.engine import Database, DatabaseOptions
from rutile_kv.client.client import Client


async def open_database(pd_addresses: Sequence[str], *, tikv_only: bool = False) -> tuple[Client, Database]:
    """Connect to the cluster and start a front end; the caller closes the database, then the client. `tikv_only`: the
    stores are asked nothing that TiKV would not answer.

    Raises PdError when no placement driver answers.
    """
    client = await (TikvOnlyClient if tikv_only else Client).connect(pd_addresses)
    try:
        database = Database(client, options=DatabaseOptions(single_front_end=False))
        await database.start()
    except BaseException:
        await client.close()
        raise
    return client, database
