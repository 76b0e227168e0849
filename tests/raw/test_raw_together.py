"""Single raw operations under way together, against real stores."""

import asyncio

import pytest
from raw_world import WIRES, World, world

from rutile_kv.client.client import Client
from rutile_kv.env.rpc import LocalStub
from rutile_kv.server.validation import MAX_KEY_BYTES
from rutile_proto.errors import InvalidRequest

KEYS = [b"%03d" % number for number in range(120)]


def value_of(key: bytes) -> bytes:
    return b"" if key.endswith(b"0") else b"v" + key


async def put_all(place: World) -> list[BaseException | None]:
    raw = place.client.raw
    puts = [raw.put(key, value_of(key), ttl_s=int(key) % 3 * 50) for key in KEYS]
    return await asyncio.gather(*puts, raw.put(b"x" * (MAX_KEY_BYTES + 1), b""), return_exceptions=True)


@pytest.mark.parametrize("wire", WIRES)
def test_each_gets_its_own_answer(wire: str) -> None:
    async def main() -> None:
        async with world(wire) as place:
            raw = place.client.raw
            *fine, refused = await put_all(place)
            assert fine == [None] * len(KEYS)
            assert isinstance(refused, InvalidRequest) and "max key size exceeded" in str(refused)
            found = await asyncio.gather(*(raw.get(key) for key in [*KEYS, b"missing", KEYS[1]]))
            assert found == [*map(value_of, KEYS), None, value_of(KEYS[1])]
            assert [await raw.get_key_ttl(key) for key in KEYS[:4]] == [0, 50, 100, 0]
            too_long = b"x" * (MAX_KEY_BYTES + 1)
            gets = await asyncio.gather(raw.get(KEYS[1]), raw.get(too_long), return_exceptions=True)
            assert gets[0] == value_of(KEYS[1]) and isinstance(gets[1], InvalidRequest)
            await asyncio.gather(*(raw.delete(key) for key in KEYS[::2]))
            assert [key for key, _ in await raw.scan()] == KEYS[1::2]

    asyncio.run(main())


def test_regions_split_under_them() -> None:
    """The client's map is one region; the store has three. Everybody misses together, and arrives."""

    async def main() -> None:
        async with world() as place:
            raw = place.client.raw
            await raw.put(b"warm", b"")
            stubs = {node.store_id: LocalStub(node.servicer) for node in place.nodes}
            async with Client.local(LocalStub(place.pd.servicer), stubs) as other:
                await other.split_regions([b"040", b"080"])
            await asyncio.gather(*(raw.put(key, key) for key in KEYS))
            assert await asyncio.gather(*(raw.get(key) for key in KEYS)) == KEYS

    asyncio.run(main())
