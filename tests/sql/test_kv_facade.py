"""`rutile.kv`: its examples, and what the thin face adds to the client below it."""

from __future__ import annotations

import asyncio
import doctest
import re
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import rutile
import rutile.kv as kv
from rutile.kv.checks import LONGEST_PAUSE_S, pause_s

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def client() -> Iterator[kv.Client]:
    with kv.connect() as opened:
        yield opened


@pytest.fixture(autouse=True)
def empty(client: kv.Client) -> None:
    """Every test finds nothing."""
    client.raw.delete_range(b"", b"")
    with client.begin() as txn:
        for key, _ in txn.scan(end=b"m"):
            del txn[key]


def test_the_examples_of_the_chapter() -> None:
    found = doctest.testmod(kv)
    assert found.failed == 0 and found.attempted >= 10


def test_the_example_of_the_readme(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    example = next(block for block in blocks if "rutile.kv" in block)
    code = example.replace('"127.0.0.1:2379"', repr(str(tmp_path)))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.splitlines() == re.findall(r"# (\[\(.*|b'.*)", example), run.stderr


def test_the_example_program(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples/kv_client.py"))["main"](None)
    assert "total of all accounts: 1000" in capsys.readouterr().out


# --- transactions -----------------------------------------------------------------------------------------------------


def test_a_transaction_reads_what_it_wrote_and_commits_at_the_end(client: kv.Client) -> None:
    with client.begin() as txn:
        txn[b"a"] = b"1"
        txn.put(b"b", b"2")
        txn.insert(b"c", b"3")
        assert (txn[b"a"], txn.get(b"x"), b"b" in txn, b"x" in txn) == (b"1", None, True, False)
        del txn[b"b"]
        assert txn.scan()[:2] == [(b"a", b"1"), (b"c", b"3")]
        assert list(txn.iterate(b"a", b"d", limit=1)) == [(b"a", b"1")]
        assert client.snapshot().get(b"a") is None
    assert txn.commit_ts is not None and txn.commit_ts > txn.start_ts
    now = client.snapshot()
    assert (now[b"a"], b"c" in now, now.batch_get([b"c", b"x"])) == (b"1", True, {b"c": b"3"})
    assert list(now.iterate(b"a", b"d")) == now.scan(b"a", b"d") == [(b"a", b"1"), (b"c", b"3")]
    assert now.scan(b"a", b"d", reverse=True, limit=1) == [(b"c", b"3")]
    assert client.snapshot(txn.start_ts).get(b"a") is None
    with pytest.raises(KeyError):
        now[b"x"]


def test_an_exception_rolls_back(client: kv.Client) -> None:
    with pytest.raises(ZeroDivisionError), client.begin() as txn:
        txn[b"a"] = b"1"
        raise ZeroDivisionError
    assert client.snapshot().get(b"a") is None
    with pytest.raises(kv.InvalidRequest, match="rolled back"):
        txn[b"a"] = b"2"


def test_a_conflict_is_a_typed_error(client: kv.Client) -> None:
    with pytest.raises(kv.WriteConflict) as raised, client.begin() as txn:
        txn[b"a"] = b"mine"
        with client.begin() as other:
            other[b"a"] = b"theirs"
    assert raised.value.key == b"a"
    with pytest.raises(kv.AlreadyExist), client.begin() as txn:
        txn.insert(b"a", b"")


def test_run_tries_again_until_it_loses_no_conflict(client: kv.Client) -> None:
    seen = []

    def work(txn: kv.Transaction) -> str:
        seen.append(txn.get(b"a"))
        if len(seen) < 3:
            client.run(lambda other: other.put(b"a", b"%d" % len(seen)))
        txn[b"a"] = b"mine"
        return "done"

    assert client.run(work) == "done"
    assert seen == [None, b"1", b"2"]
    seen.clear()
    with pytest.raises(kv.WriteConflict):
        client.run(work, retries=1)
    assert len(seen) == 2


def test_run_does_not_repeat_what_fails_for_good(client: kv.Client) -> None:
    calls = []

    def work(txn: kv.Transaction) -> None:
        calls.append(1)
        txn.insert(b"a", b"")
        txn.insert(b"a", b"")

    with pytest.raises(kv.AlreadyExist):
        client.run(work)
    assert calls == [1]


def test_run_leaves_alone_what_the_work_has_ended(client: kv.Client) -> None:
    def work(txn: kv.Transaction) -> None:
        txn[b"a"] = b"1"
        txn.rollback()

    client.run(work)
    assert client.snapshot().get(b"a") is None


def test_many_threads_count(client: kv.Client) -> None:
    def add_ten() -> None:
        for _ in range(10):
            client.run(lambda txn: txn.put(b"n", b"%d" % (int(txn.get(b"n") or 0) + 1)), retries=1000)

    threads = [threading.Thread(target=add_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.snapshot()[b"n"] == b"40"


def test_pessimistic_transactions_lock(client: kv.Client) -> None:
    with client.begin(pessimistic=True) as txn:
        assert txn.get_for_update(b"a") is None
        with client.begin(pessimistic=True) as other, pytest.raises(kv.LockWaitTimeout):
            other.get_for_update(b"a", wait_s=0)
        txn[b"a"] = b"1"
    with client.begin() as optimistic, pytest.raises(kv.InvalidRequest, match="pessimistic=True"):
        optimistic.get_for_update(b"a")


def test_a_watch_tells_every_commit(client: kv.Client) -> None:
    start = client.snapshot().ts
    for number in range(3):
        client.run(lambda txn, n=number: txn.put(b"k", b"%d" % n))
    client.run(lambda txn: txn.delete(b"k"))
    with client.watch(b"k", b"l", from_ts=start) as changes:
        seen = [next(changes) for _ in range(4)]
    assert [change.value for change in seen] == [b"0", b"1", b"2", None]
    with pytest.raises(TypeError):
        client.watch("k")  # type: ignore[arg-type]


def test_pauses_are_bounded() -> None:
    assert all(0 <= pause_s(tries) <= LONGEST_PAUSE_S for tries in (0, 1, 10, 10_000))


# --- raw --------------------------------------------------------------------------------------------------------------


def test_every_raw_operation(client: kv.Client) -> None:
    raw = client.raw
    raw.put(b"a", b"1", ttl_s=100)
    raw.batch_put({b"b": b"2", b"c": b""})
    raw.batch_put([(b"d", b"old"), (b"d", b"4")])
    assert (raw.get(b"a"), raw.get(b"c"), raw.get(b"x")) == (b"1", b"", None)
    assert (raw.ttl(b"b"), raw.ttl(b"x")) == (0, None)
    assert 0 < (raw.ttl(b"a") or 0) <= 100
    assert raw.batch_get([b"d", b"b", b"x"]) == {b"b": b"2", b"d": b"4"}
    assert raw.compare_and_swap(b"b", b"2", b"3") == (True, b"2")
    assert raw.compare_and_swap(b"b", b"2", None) == (False, b"3")
    assert raw.scan(b"b", limit=2) == [(b"b", b"3"), (b"c", b"")]
    assert list(raw.iterate(b"", b"c", reverse=True, key_only=True)) == [(b"b", b""), (b"a", b"")]
    raw.delete(b"a")
    raw.batch_delete([b"b"])
    raw.delete_range(b"d", b"")
    assert raw.scan() == [(b"c", b"")]
    assert client.snapshot().get(b"c") is None, "transactions see none of it"


# --- what is refused --------------------------------------------------------------------------------------------------


def test_only_bytes_are_taken(client: kv.Client) -> None:
    raw, txn = client.raw, client.begin()
    text: bytes = "k"  # type: ignore[assignment]
    calls = [
        lambda: raw.get(text),
        lambda: raw.put(b"k", text),
        lambda: raw.batch_put({b"k": text}),
        lambda: raw.batch_get(b"k"),  # type: ignore[arg-type]
        lambda: raw.scan(text),
        lambda: raw.compare_and_swap(b"k", text, None),
        lambda: raw.put(bytearray(b"k"), b""),  # type: ignore[arg-type]
        lambda: txn.get(text),
        lambda: txn.put(b"k", text),
        lambda: txn.delete(text),
        lambda: text in txn,
        lambda: client.snapshot().scan(end=text),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"is bytes, not|wanted, not one bytes"):
            call()
    txn.rollback()


def test_a_closed_client_says_so() -> None:
    client = kv.connect()
    client.close()
    client.close()
    for use in (client.begin, client.snapshot, lambda: client.raw):
        with pytest.raises(kv.InvalidRequest, match="closed"):
            use()


# --- where it connects ------------------------------------------------------------------------------------------------


def test_a_directory_is_durable_and_shared_with_sql(tmp_path: Path) -> None:
    with rutile.connect(tmp_path) as sql, kv.connect(str(tmp_path)) as client:
        sql.execute("CREATE TABLE item (id INT PRIMARY KEY)")
        client.raw.put(b"k", b"v")
        client.run(lambda txn: txn.put(b"k", b"w"))
        assert sql.execute("SELECT COUNT(*) FROM item").fetchall() == [(0,)]

    async def look() -> None:
        async with await kv.connect_async(tmp_path) as again:
            assert await again.raw.get(b"k") == b"v"
            assert await (await again.snapshot()).get(b"k") == b"w"
            with pytest.raises(kv.DataDirMismatch):
                kv.connect(tmp_path)

    asyncio.run(look())


def test_every_asynchronous_method() -> None:
    async def main() -> None:
        async with await kv.connect_async() as client:
            async with client.begin() as txn:
                txn[b"a"] = b"1"
                txn[b"b"] = b"2"
            txn = await client.begin()
            txn.lock(b"b")
            del txn[b"a"]
            assert await txn.get(b"a") is None and await txn.batch_get([b"a", b"b"]) == {b"b": b"2"}
            await txn.rollback()

            async def add(txn: kv.AsyncTransaction) -> bytes:
                value = await txn.get_for_update(b"a") or b""
                txn[b"a"] = value + b"!"
                return value

            assert set(await asyncio.gather(*(client.run(add, pessimistic=True) for _ in range(3)))) == {
                b"1",
                b"1!",
                b"1!!",
            }
            now = await client.snapshot()
            assert [page async for page in now.pages(b"a", b"c")] == [[(b"a", b"1!!!"), (b"b", b"2")]]
            assert await now.scan(b"a", b"c", reverse=True, limit=1) == [(b"b", b"2")]
            assert await now.batch_get([b"b"]) == {b"b": b"2"}
            await asyncio.gather(*(client.raw.put(b"%d" % number, b"v") for number in range(50)))
            assert sum([len(page) async for page in client.raw.pages()]) == 50
            with pytest.raises(TypeError):
                await client.raw.get("k")  # type: ignore[arg-type]

    asyncio.run(main())


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from rutile_kv.client import cluster

    monkeypatch.setattr(cluster.ClientOptions.__init__, "__defaults__", _impatient(cluster.ClientOptions))
    for target in ("127.0.0.1:1", "pd://127.0.0.1:1", ["127.0.0.1:1"]):
        with pytest.raises(kv.RetriesExhausted):
            kv.connect(target)


def _impatient(options: type) -> tuple[object, ...]:
    """The options' defaults with a budget of a fifth of a second for the placement driver."""
    given = dict(zip(options.__dataclass_fields__, options.__init__.__defaults__, strict=True))  # type: ignore[attr-defined,misc]
    return tuple((given | {"pd_budget_s": 0.2}).values())


def test_the_face_is_loaded_alone() -> None:
    """`import rutile` does not pay for it, and it does not pay for DuckDB."""
    code = "import sys, rutile; assert 'rutile.kv' not in sys.modules; import rutile.kv; print('duckdb' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.stdout.strip(), run.stderr) == ("False", "")
