"""Readers in threads while the loop writes: every answer is that of the reader's own snapshot."""

import threading

from mirror_world import ALL_COLUMNS, WHOLE, MirrorWorld, View, read_view, rows_of

from rutile_kv.columnar.cache import ArrowCache
from rutile_kv.columnar.mirror import MirrorReader

READERS, ROUNDS, ROWS = 3, 60, 200


def test_concurrent_readers_agree_with_their_snapshots() -> None:
    cache = ArrowCache(max_log_entries=600)
    world, reader = MirrorWorld(cache), MirrorReader(cache)
    world.bulk(10, dict.fromkeys(range(ROWS), ("cat", 0)))
    wrong: list[str] = []
    paths: list[str] = []

    def check(view: View, ts: int, columns: tuple[str, ...]) -> None:
        read = read_view(view, reader, ts, columns, WHOLE)
        paths.append(read.path)
        if rows_of(read) != rows_of(read_view(view, MirrorReader(None), ts, columns, WHOLE)):
            wrong.append(f"at {ts}, by {read.path}")

    columns = (ALL_COLUMNS, ("legs",), ("legs", "name"))
    for round_number in range(ROUNDS):
        ts = 100 + 10 * round_number
        threads = []
        for place in range(READERS):
            world.bulk(ts + place, {(ts * 7 + each * 13) % ROWS: ("dog", ts + each) for each in range(5)})
            work = world.view(), ts + place, columns[place]
            threads.append(threading.Thread(target=check, args=work))
            threads[-1].start()
        world.write(round_number % ROWS, ts + 8, None)
        for thread in threads:
            thread.join()
    assert wrong == []
    assert paths.count("mirror+delta") > len(paths) // 2
