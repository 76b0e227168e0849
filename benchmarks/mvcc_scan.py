"""How long a bulk MVCC scan takes per row: `python benchmarks/mvcc_scan.py [rows]`.

Loads rows with short values, long values and old versions into a RocksDB engine, and reads them with
`mvcc.bulk.read_visible` from a snapshot; beside it, the bare pull of the same records from the engine.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np

from rutile_kv.engine.api import CF_DEFAULT, CF_WRITE, Cf, Snapshot
from rutile_kv.engine.rocks import RocksEngine
from rutile_kv.mvcc.bulk import read_visible
from rutile_kv.mvcc.records import Write, WriteKind
from rutile_proto.codec import encode_bytes_fixed
from rutile_proto.keys import record_keys, versioned_key
from rutile_proto.timestamps import compose

START, COMMIT, READ = (compose(1_700_000_000_000, logical) for logical in (1, 2, 1000))
ROUNDS = 3


def storage_keys(table_id: int, rows: int) -> list[bytes]:
    return [row.tobytes() for row in encode_bytes_fixed(record_keys(table_id, np.arange(rows, dtype=np.int64)))]


def records(table_id: int, rows: int, value: bytes | None, versions: int) -> Iterator[tuple[bytes, bytes]]:
    for key in storage_keys(table_id, rows):
        for version in reversed(range(versions)):
            write = Write(WriteKind.PUT, START + 2 * version, value)
            yield versioned_key(key, COMMIT + 2 * version), write.to_bytes()


def load(engine: RocksEngine, rows: int) -> None:
    engine.ingest(CF_WRITE, records(1, rows, b"x" * 120, 1))
    engine.ingest(CF_WRITE, records(2, rows // 4, b"x" * 120, 4))
    engine.ingest(CF_WRITE, records(3, rows, None, 1))
    engine.ingest(CF_DEFAULT, ((versioned_key(key, START), b"x" * 400) for key in storage_keys(3, rows)))


def best(action: Callable[[], object], count: int) -> float:
    """Microseconds per row, the best of ROUNDS."""
    times = []
    for _ in range(ROUNDS):
        began = perf_counter()
        action()
        times.append(perf_counter() - began)
    return min(times) / count * 1e6


def pull(snapshot: Snapshot, cf: Cf, start: bytes, end: bytes) -> int:
    return len(list(snapshot.scan(cf, start, end)))


def report(snapshot: Snapshot, table_id: int, name: str, count: int) -> None:
    keys = storage_keys(table_id, count)
    low, high = keys[0], keys[-1] + b"\xff" * 9
    pulled = best(lambda: pull(snapshot, CF_WRITE, low, high), count)
    read = best(lambda: read_visible(snapshot, low, high, READ), count)
    print(f"{name:22} {count:8} rows   pull {pulled:5.2f} us/row   read_visible {read:5.2f} us/row")


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as directory:
        engine = RocksEngine.open(directory)
        load(engine, rows)
        cases = ((1, "short, one version", rows), (2, "short, four versions", rows // 4), (3, "long values", rows))
        with engine.snapshot() as snapshot:
            for case in cases:
                report(snapshot, *case)
        engine.close()


if __name__ == "__main__":
    main()
