"""Requests under way together travel together, and each keeps its own fate."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from rutile_kv.client.backoff import NOT_READY, Backoff, Pace
from rutile_kv.client.groups import IN_FLIGHT, MAX_GROUP, MAX_GROUP_BYTES, Groups, Verb
from rutile_kv.client.sender import Missed
from rutile_proto.errors import InvalidRequest, RegionNotFound

REGION: Any = SimpleNamespace(id=1)


def many(region: Any, requests: Sequence[str]) -> list[str]:
    return list(requests)


def answers(requests: Sequence[str], answer: Any) -> list[str]:
    if isinstance(answer, str):
        raise InvalidRequest(answer)
    return [f"{request}!" for request in requests]


def check_one(answer: str) -> str:
    if answer.startswith("refused"):
        raise InvalidRequest(answer)
    return f"{answer}!"


VERB: Verb[str, str] = Verb(lambda request: "One", "Many", lambda region, request: request, many, check_one, answers)


class Store:
    """Takes what is sent; answers when told to, or at once."""

    def __init__(self, answer: Callable[[Any], Any] = lambda message: message) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self._answer = answer

    async def send(self, region: Any, method: str, message: Any, backoff: Backoff) -> Any:
        self.sent.append((method, message))
        await self.open.wait()
        answer = self._answer(message)
        if isinstance(answer, Exception):
            raise answer
        return answer


def groups_on(store: Any) -> Groups[str, str]:
    return Groups(VERB, store)


def budget() -> Backoff:
    return Backoff("test", 10.0, Pace())


async def ask(groups: Groups[str, str], *requests: str, size_bytes: int = 1, region: Any = REGION) -> list[Any]:
    work = (groups.send(region, request, size_bytes, budget()) for request in requests)
    return await asyncio.gather(*work, return_exceptions=True)


def test_one_alone_goes_alone_and_those_together_go_together() -> None:
    async def main() -> None:
        store = Store()
        groups = groups_on(store)
        assert await ask(groups, "a") == ["a!"]
        assert await ask(groups, "b", "c", "d") == ["b!", "c!", "d!"]
        assert store.sent == [("One", "a"), ("Many", ["b", "c", "d"])]
        await asyncio.sleep(0)
        assert not groups._lanes, "an idle lane is forgotten"

    asyncio.run(main())


def test_while_groups_are_under_way_the_next_one_gathers() -> None:
    async def main() -> None:
        store = Store()
        groups = groups_on(store)
        store.open.clear()
        tasks = []
        for number in range(IN_FLIGHT + 5):
            tasks.append(asyncio.ensure_future(ask(groups, f"{number}")))
            for _ in range(5):
                await asyncio.sleep(0)
        assert [message for _, message in store.sent] == [f"{number}" for number in range(IN_FLIGHT)]
        store.open.set()
        assert await asyncio.gather(*tasks) == [[f"{number}!"] for number in range(IN_FLIGHT + 5)]
        assert store.sent[IN_FLIGHT:] == [("Many", [f"{IN_FLIGHT + more}" for more in range(5)])]

    asyncio.run(main())


def test_regions_do_not_wait_for_each_other() -> None:
    async def main() -> None:
        store = Store()
        groups = groups_on(store)
        elsewhere = SimpleNamespace(id=1)  # the same region as somebody else knows it: another lane
        await asyncio.gather(ask(groups, "a", "b"), ask(groups, "c", "d", region=elsewhere))
        assert store.sent == [("Many", ["a", "b"]), ("Many", ["c", "d"])]

    asyncio.run(main())


def test_groups_are_bounded() -> None:
    async def main() -> None:
        store = Store()
        groups = groups_on(store)
        requests = [f"{number}" for number in range(MAX_GROUP + 7)]
        assert await ask(groups, *requests) == [f"{request}!" for request in requests]
        assert [len(message) for _, message in store.sent] == [MAX_GROUP, 7]
        store.sent.clear()
        await ask(groups, "a", "b", "c", "d", size_bytes=MAX_GROUP_BYTES // 2)
        assert store.sent == [("Many", ["a", "b"]), ("Many", ["c", "d"])]
        store.sent.clear()
        await ask(groups, "a", "b", size_bytes=MAX_GROUP_BYTES * 2)
        assert store.sent == [("One", "a"), ("One", "b")]

    asyncio.run(main())


@pytest.mark.parametrize("refuse", [lambda message: "no", lambda message: InvalidRequest("no")])
def test_a_refused_group_is_sent_again_one_by_one(refuse: Callable[[Any], Any]) -> None:
    async def main() -> None:
        def answer(message: Any) -> Any:
            if isinstance(message, list):
                return refuse(message)
            return "refused: too long" if message == "bad" else message

        store = Store(answer)
        found = await ask(groups_on(store), "a", "bad", "c")
        assert (found[0], found[2]) == ("a!", "c!")
        assert isinstance(found[1], InvalidRequest) and "too long" in str(found[1])

    asyncio.run(main())


def test_all_of_a_group_hear_that_it_missed() -> None:
    missed = Missed(RegionNotFound(1), False, NOT_READY)

    async def main() -> None:
        store = Store(lambda message: missed)
        assert await ask(groups_on(store), "a", "b") == [missed, missed]
        assert len(store.sent) == 1, "whether and where to try again is up to each of them"

    asyncio.run(main())


def test_who_is_cancelled_leaves_and_the_others_go_on() -> None:
    async def main() -> None:
        store = Store()
        groups = groups_on(store)
        gone = asyncio.ensure_future(ask(groups, "gone"))
        stays = asyncio.ensure_future(ask(groups, "stays"))
        for _ in range(1):
            await asyncio.sleep(0)
        gone.cancel()
        assert await stays == ["stays!"]
        store.open.clear()
        late = asyncio.ensure_future(ask(groups, "late"))
        with_it = asyncio.ensure_future(ask(groups, "with it"))
        while len(store.sent) < 2:
            await asyncio.sleep(0)
        late.cancel()
        store.open.set()
        assert await with_it == ["with it!"]
        await asyncio.gather(gone, late, return_exceptions=True)
        assert gone.cancelled() and late.cancelled()

    asyncio.run(main())


def test_a_fault_of_our_own_reaches_the_callers() -> None:
    async def main() -> None:
        found = await ask(groups_on(Store(lambda message: KeyError("bug"))), "a", "b")
        assert [type(each) for each in found] == [KeyError, KeyError]

    asyncio.run(main())
