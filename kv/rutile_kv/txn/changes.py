"""The writes of a command, collected in the words of MVCC."""

from rutile_kv.engine.api import CF_DEFAULT, CF_LOCK, CF_WRITE, Modify
from rutile_kv.mvcc.records import SHORT_VALUE_LIMIT_BYTES, Lock, Write
from rutile_proto.keys import storage_key, versioned_key


class Changes:
    """Modifies in the order they were asked for. Keys are user keys."""

    def __init__(self) -> None:
        self.modifies: list[Modify] = []

    def put_lock(self, key: bytes, lock: Lock) -> None:
        self.modifies.append((CF_LOCK, storage_key(key), lock.to_bytes()))

    def unlock(self, key: bytes) -> None:
        self.modifies.append((CF_LOCK, storage_key(key), None))

    def put_write(self, key: bytes, commit_ts: int, write: Write) -> None:
        self.modifies.append((CF_WRITE, versioned_key(storage_key(key), commit_ts), write.to_bytes()))

    def remove_write(self, key: bytes, commit_ts: int) -> None:
        self.modifies.append((CF_WRITE, versioned_key(storage_key(key), commit_ts), None))

    def put_value(self, key: bytes, start_ts: int, value: bytes) -> bytes | None:
        """Store a long value; a short one is returned, to stand in the lock or write record."""
        if len(value) <= SHORT_VALUE_LIMIT_BYTES:
            return value
        self.modifies.append((CF_DEFAULT, versioned_key(storage_key(key), start_ts), value))
        return None

    def delete_value(self, key: bytes, start_ts: int) -> None:
        self.modifies.append((CF_DEFAULT, versioned_key(storage_key(key), start_ts), None))
