"""What a DROP leaves behind: key ranges on the list of what garbage collection removes
(`rutile_kv.client.delete_ranges`).

    schedule_delete_range(txn, *index_range(table_id, index_id))     in the transaction that drops the index

    unschedule(txn, *range_of_table(table_id))                       in the one that brings a dropped table back

The disk space comes back when the safe point has passed the drop: after the life time of versions, ten minutes unless
the stores were told otherwise.
"""

from rutile_kv.client.delete_ranges import schedule as schedule_delete_range
from rutile_kv.client.delete_ranges import unschedule
from rutile_proto.keys import prefix_next, table_prefix

__all__ = ["range_of_table", "schedule_delete_range", "unschedule"]


def range_of_table(table_id: int) -> tuple[bytes, bytes]:
    """[start, end) of everything a table has: rows and index entries."""
    prefix = table_prefix(table_id)
    return prefix, prefix_next(prefix)
