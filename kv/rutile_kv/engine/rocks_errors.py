"""The classes of our error tree for what rocksdict raises: bare exceptions with RocksDB's text."""

from pathlib import Path
from typing import NoReturn

import rocksdict

from rutile_proto.errors import DataDirMismatch, EngineClosed, EngineCorrupt, InvalidRequest, StorageError


def reraise(error: Exception, path: Path | None = None) -> NoReturn:
    """Raise what rocksdict meant; an error that is not rocksdict's goes on as it is."""
    if type(error) is Exception or isinstance(error, rocksdict.DbClosedError):
        raise _translated(error, path) from error
    raise error


def _translated(error: Exception, path: Path | None) -> Exception:
    text = str(error)
    if isinstance(error, rocksdict.DbClosedError):
        return EngineClosed("the engine is closed")
    if "LOCK" in text and "lock" in text:
        return DataDirMismatch(f"{path} is in use by another process (or another engine of this one)")
    if "strict ascending order" in text:
        return InvalidRequest("ingest wants keys in strictly ascending order")
    if text.startswith("Corruption") or "checksum mismatch" in text:
        return EngineCorrupt(f"RocksDB reports: {text}")
    return StorageError(f"RocksDB reports: {text}")
