"""A duty that one front end has at a time: a key with its name and until when."""

from __future__ import annotations

import json

from rutile.catalog.meta import MetaWriter
from rutile_proto.timestamps import physical_ms


async def own(txn: MetaWriter, key: bytes, front_end: str, now_ts: int, lease_ms: int) -> bool:
    """Take or keep the duty of `key` within `txn`, for `lease_ms` from `now_ts`; False while somebody else has it.

    Front ends that try at once conflict on the key, and one of them runs again.
    """
    data = await txn.get(key)
    now_ms = physical_ms(now_ts)
    if data is not None:
        owner = json.loads(data)
        if owner["id"] != front_end and owner["until_ms"] > now_ms:
            return False
    txn.put(key, json.dumps({"id": front_end, "until_ms": now_ms + lease_ms}).encode())
    return True
