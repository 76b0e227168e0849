"""Packets that are cut, flipped, too long, out of order, or noise: the server answers or closes, and lives on.

Each case is one connection: a conversation as a client would hold it, damaged at one place. Afterwards an undamaged
client must be served, and nobody may be left in the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import resource
from collections.abc import Callable

import pytest
from mysql_world import PROOFS, RawClient, World, hello, world

from rutile.mysql.connection import ServerOptions
from rutile.mysql.constants import Capability
from rutile.mysql.packets import frame

OPTIONS = ServerOptions(max_packet_bytes=1 << 16, handshake_timeout_s=0.5)
AT_ONCE = 20
SHARE_OF_CURSORS = 0.3
MOST_GROWTH_BYTES = 64 << 20
Damage = Callable[[bytes, random.Random], bytes]

CURSOR = b"\x17\x01\0\0\0\x01\x01\0\0\0"
FETCH = b"\x1c\x01\0\0\0\x02\0\0\0"
PREPARE = b"\x16SELECT ?, v FROM t WHERE id = ?"
EXECUTE = b"\x17\x01\0\0\0\0\x01\0\0\0" + b"\0" + b"\x01" + b"\x08\0\xfd\0" + (7).to_bytes(8, "little") + b"\x031\0x"
COMMANDS = (
    b"\x03SELECT * FROM t WHERE id = 1", b"\x03SELECT COUNT(*), 'x' FROM t", b"\x0e", b"\x02test", PREPARE, EXECUTE,
    b"\x18\x01\0\0\0\0\0some long data", b"\x19\x01\0\0\0", b"\x1a\x01\0\0\0", b"\x1f", b"\x09", b"\x1b\0\0",
    b"\x11root\0\0test\0\x2d\0mysql_native_password\0", b"\x0c\xff\xff\xff\x7f", b"\x04t\0", b"\x1c\x01\0\0\0\1\0\0\0",
    b"\x16SELECT * FROM t", CURSOR, FETCH, CURSOR + EXECUTE[10:], b"\x03SET NAMES latin1", b"\x03SET NAMES gbk",
    b"\x03SELECT '\xd6\xd0\xe9', _binary'\xe9\\''", b"\x03SHOW STATUS", b"\x03SHOW GLOBAL STATUS LIKE 'Com%'",
    b"\x03SET @@global.wait_timeout = 28800", b"\x03SET time_zone = '+01:00', session_track_system_variables = '*'",
    b"\x03INSERT INTO t VALUES (NULL, 'y')", b"\x03SET @x = 1; SELECT @x", b"\x03", b"",
)  # fmt: skip


def cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def flipped(data: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def swollen(data: bytes, dice: random.Random) -> bytes:
    """A header that promises up to 16 MiB, of which little comes."""
    return dice.randrange(1 << 24).to_bytes(3, "little") + data[3:] + dice.randbytes(dice.randrange(300))


def spliced(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.randbytes(dice.randrange(1, 40)) + data[at + dice.randrange(10) :]


DAMAGES: tuple[Damage, ...] = (cut, flipped, swollen, spliced)


def conversation(nonce: bytes, dice: random.Random) -> list[bytes]:
    """The packets of one client: its hello, then a few commands."""
    method = dice.choice(list(PROOFS))
    greeting = hello("root", PROOFS[method]("", nonce), method, "test", dice.choice((0, int(Capability.SESSION_TRACK))))
    told = bytearray(greeting)
    told[8] = dice.choice((0x2D, 8, 28, 11))  # the character set
    commands = dice.sample(COMMANDS, dice.randint(1, 4))
    if dice.random() < SHARE_OF_CURSORS:
        commands = [b"\x16SELECT * FROM t", CURSOR, FETCH, *commands, FETCH]
    return [frame(bytes(told), 1)[0], *(frame(command, 0)[0] for command in commands)]


async def one_case(world: World, seed: int) -> None:
    """One damaged conversation, to its end."""
    dice = random.Random(seed)
    client = await RawClient.connect(world)
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        await client.read_greeting()
        packets = conversation(client.nonce, dice)
        place = dice.randrange(len(packets))
        packets[place] = dice.choice(DAMAGES)(packets[place], dice)
        client.writer.write(b"".join(packets))
        client.writer.write_eof()
        while await client.reader.read(65536):
            pass
    await client.close()
    world.clients.remove(client)


async def run_cases(cases: int) -> int:
    """Run them; the growth of this process' memory over the second half, in bytes."""
    async with world(OPTIONS) as found:
        root = await RawClient.login(found)
        await root.query("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(20))")
        halfway = 0
        for first in range(0, cases, AT_ONCE):
            await asyncio.gather(*(one_case(found, seed) for seed in range(first, min(first + AT_ONCE, cases))))
            if not halfway and first >= cases // 2:
                halfway = _peak_bytes()
        await root.close()
        sound = await RawClient.login(found)
        assert (await sound.query("SELECT COUNT(*) FROM t"))[0] == 1
        return _peak_bytes() - halfway


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def errors_in(log: pytest.LogCaptureFixture) -> list[str]:
    """What the server says when it met something it did not expect."""
    return [record.getMessage() for record in log.records if record.levelno >= logging.ERROR]


def test_damaged_conversations(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(run_cases(1_000))
    assert errors_in(caplog) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_damaged_conversations(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    assert asyncio.run(run_cases(100_000)) < MOST_GROWTH_BYTES
    assert errors_in(caplog) == []
