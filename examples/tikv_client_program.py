"""A program written for TiKV, unchanged: PyPI's `tikv_client` on a Rutile cluster.

rutile playground                                       # prints where the placement driver is
python examples/tikv_client_program.py 127.0.0.1:2379   # needs `pip install tikv_client` (CPython 3.11)
"""

from __future__ import annotations

import os
import sys

from tikv_client import RawClient, TransactionClient


def main(pd_address: str) -> None:
    """Raw keys, then a transaction."""
    raw = RawClient.connect([pd_address])
    raw.put(b"greeting", b"hello")
    print("raw:", raw.get(b"greeting").decode())

    client = TransactionClient.connect([pd_address])
    transaction = client.begin(pessimistic=False)
    transaction.put(b"stock/apple", b"10")
    transaction.put(b"stock/pear", b"4")
    transaction.commit()
    snapshot = client.snapshot(client.current_timestamp(), pessimistic=False)
    print("transaction:", dict(snapshot.scan(b"stock/", b"stock0", limit=10)))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2379")
    sys.stdout.flush()
    os._exit(0)  # the wheel's threads now and then crash an interpreter that ends the usual way
