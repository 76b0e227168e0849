"""Serves MySQL clients from one process that is PD, store and SQL front end, in memory, until its input ends.

What `rutile.connect()` opens, with a port: no other front end to wait for at each definition, so it takes minutes
rather than an hour.
"""

from __future__ import annotations

import asyncio
import sys

from rutile.mysql.server import MysqlServer
from rutile.nodes.embedded import EmbeddedNode


async def main() -> None:
    node = await EmbeddedNode.open(None)
    server = MysqlServer(node.database, "127.0.0.1:0")
    await server.start()
    print(server.address.rpartition(":")[2], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()
    await node.close()


if __name__ == "__main__":
    asyncio.run(main())
