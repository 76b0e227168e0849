"""The classes of our error tree for what rocksdict raises: bare exceptions with RocksDB's text."""

from pathlib import Path

import rocksdict

from rutile_proto.errors import DataDirMismatch, EngineClosed, EngineCorrupt, InvalidRequest, StorageError


def translated(error: Exception, path: Path | None = None) -> Exception:
    """The error of our tree for what rocksdict raised."""
    text = str(error)
    if isinstance(error, (StorageError, InvalidRequest)):
        return error
    if isinstance(error, rocksdict.DbClosedError):
        return EngineClosed("the engine is closed")
    if "LOCK" in text and "lock" in text:
        return DataDirMismatch(f"{path} is in use by another process (or another engine of this one)")
    if "strict ascending order" in text:
        return InvalidRequest("ingest wants keys in strictly ascending order")
    if text.startswith("Corruption") or "block checksum mismatch" in text:
        return EngineCorrupt(f"RocksDB reports: {text}")
    return StorageError(f"RocksDB reports: {text}")
