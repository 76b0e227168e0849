"""The first two packets: the server's greeting, and the client's answer to it."""

from __future__ import annotations

from dataclasses import dataclass

from rutile.mysql.constants import NONCE_BYTES, OFFERED, UTF8MB4_BIN, Capability, Status
from rutile.mysql.problems import bad_handshake
from rutile.mysql.wire import FieldReader
from rutile.privileges.passwords import CACHING_SHA2, NATIVE

PROTOCOL_VERSION = 10
_FIRST_NONCE_BYTES = 8
_CLIENT_RESERVED_BYTES = 23
_CHARSET_BYTES = 2
_NEEDED = Capability.PROTOCOL_41 | Capability.SECURE_CONNECTION


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a client said of itself. Its connection attributes are not read."""

    capabilities: Capability
    """What both sides have."""
    user: str
    proof: bytes
    method: str
    database: str | None
    collation_id: int = UTF8MB4_BIN
    """Its character set, by the number of a collation."""


SSL_REQUEST_BYTES = 32
"""An SSLRequest is the first part of a HandshakeResponse41: TLS begins after it."""


def is_ssl_request(payload: bytes) -> bool:
    """Whether the client wants to go on in TLS."""
    return len(payload) == SSL_REQUEST_BYTES and bool(int.from_bytes(payload[:4], "little") & Capability.SSL)


def greeting(version: str, thread_id: int, nonce: bytes, *, with_tls: bool = False) -> bytes:
    """HandshakeV10."""
    offered = int(OFFERED | Capability.SSL if with_tls else OFFERED)
    return b"".join((
        bytes((PROTOCOL_VERSION,)), version.encode(), b"\0",
        thread_id.to_bytes(4, "little"),
        nonce[:_FIRST_NONCE_BYTES], b"\0",
        (offered & 0xFFFF).to_bytes(2, "little"),
        bytes((UTF8MB4_BIN,)),
        int(Status.AUTOCOMMIT).to_bytes(2, "little"),
        (offered >> 16).to_bytes(2, "little"),
        bytes((NONCE_BYTES + 1,)),
        bytes(10),
        nonce[_FIRST_NONCE_BYTES:], b"\0",
        CACHING_SHA2.encode(), b"\0",
    ))  # fmt: skip


def read_hello(payload: bytes) -> ClientHello:
    """HandshakeResponse41. Raises 1043 for other protocols, 1835 for a packet that is cut short."""
    reader = FieldReader(payload)
    wanted = reader.number(4)
    if wanted & _NEEDED != _NEEDED:
        raise bad_handshake("the client must speak protocol 4.1 with secure authentication")
    capabilities = Capability(wanted & OFFERED)
    reader.take(4)  # the largest packet it takes
    collation_id = reader.number(1)
    reader.take(_CLIENT_RESERVED_BYTES)
    user = _text(reader.until_zero())
    proof = _proof(reader, capabilities)
    database = _text(reader.until_zero()) if Capability.CONNECT_WITH_DB in capabilities and reader.left else None
    method = _text(reader.until_zero()) if Capability.PLUGIN_AUTH in capabilities and reader.left else NATIVE
    return ClientHello(capabilities, user, proof, method, database or None, collation_id)


def read_change_user(payload: bytes, capabilities: Capability) -> ClientHello:
    """COM_CHANGE_USER without its first byte. Raises 1043, 1835."""
    reader = FieldReader(payload)
    user = _text(reader.until_zero())
    proof = reader.take(reader.number(1))
    database = _text(reader.until_zero())
    collation_id = reader.number(_CHARSET_BYTES) if reader.left >= _CHARSET_BYTES else UTF8MB4_BIN
    method = _text(reader.until_zero()) if Capability.PLUGIN_AUTH in capabilities and reader.left else NATIVE
    return ClientHello(capabilities, user, proof, method, database or None, collation_id)


def _proof(reader: FieldReader, capabilities: Capability) -> bytes:
    if Capability.PLUGIN_AUTH_LENENC_DATA in capabilities:
        return reader.lenenc_bytes()
    return reader.take(reader.number(1))


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise bad_handshake("a name is not UTF-8") from None


def auth_switch(method: str, nonce: bytes) -> bytes:
    """AuthSwitchRequest: prove it by this method instead."""
    return b"\xfe" + method.encode() + b"\0" + nonce + b"\0"


def auth_more_data(data: bytes) -> bytes:
    """AuthMoreData: what the method itself says to the client."""
    return b"\x01" + data
