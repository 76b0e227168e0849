"""Internet addresses and UUIDs."""

from __future__ import annotations

import ipaddress
import re
import uuid

from rutile_coprocessor.scalars.scalar import Scalar, ScalarError

_UUID = re.compile(r"\{?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\}?|[0-9a-fA-F]{32}")
ER_WRONG_VALUE_FOR_TYPE = 1411


def inet6_to_bytes(text: str) -> bytes | None:
    """INET6_ATON: 4 or 16 bytes, NULL for what is no address."""
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        return None


def inet6_to_text(data: bytes) -> str | None:
    """INET6_NTOA."""
    if len(data) not in (4, 16):
        return None
    address = ipaddress.ip_address(data)
    if isinstance(address, ipaddress.IPv6Address) and (data[:12] == b"\0" * 10 + b"\xff\xff"):
        return f"::ffff:{ipaddress.IPv4Address(data[12:])}"
    return str(address)


def _is(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def is_ipv4(text: str | None) -> int:
    """IS_IPV4: 0 for NULL, too."""
    return int(text is not None and _is(ipaddress.IPv4Address, text))


def is_ipv6(text: str | None) -> int:
    """IS_IPV6."""
    return int(text is not None and _is(ipaddress.IPv6Address, text))


def is_ipv4_compatible(data: bytes | None) -> int:
    """IS_IPV4_COMPAT: ::a.b.c.d as 16 bytes."""
    return int(data is not None and len(data) == 16 and data[:12] == b"\0" * 12 and data[12:] > b"\0\0\0\1")


def is_ipv4_mapped(data: bytes | None) -> int:
    """IS_IPV4_MAPPED: ::ffff:a.b.c.d as 16 bytes."""
    return int(data is not None and len(data) == 16 and data[:12] == b"\0" * 10 + b"\xff\xff")


def is_uuid(text: str) -> bool:
    """IS_UUID."""
    return _UUID.fullmatch(text) is not None and text.startswith("{") == text.endswith("}")


def uuid_to_bytes(text: str, swapped: int = 0) -> bytes:
    """UUID_TO_BIN: 16 bytes; swapped, the time's parts come with the slowest first. Raises 1411."""
    if not is_uuid(text):
        raise ScalarError(ER_WRONG_VALUE_FOR_TYPE, f"Incorrect string value: '{text}' for function uuid_to_bin")
    data = uuid.UUID(text).bytes
    return data[6:8] + data[4:6] + data[:4] + data[8:] if swapped else data


def bytes_to_uuid(data: bytes, swapped: int = 0) -> str:
    """BIN_TO_UUID. Raises 1411."""
    if len(data) != 16:
        raise ScalarError(ER_WRONG_VALUE_FOR_TYPE, f"Incorrect string value: '{data.hex()}' for function bin_to_uuid")
    return str(uuid.UUID(bytes=data[4:8] + data[2:4] + data[:2] + data[8:] if swapped else data))


SCALARS = (
    Scalar("mysql_inet6_aton", "VARCHAR", "BLOB", inet6_to_bytes),
    Scalar("mysql_inet6_ntoa", "BLOB", "VARCHAR", inet6_to_text),
    Scalar("mysql_is_ipv4", "VARCHAR", "BIGINT", is_ipv4, sees_nulls=True),
    Scalar("mysql_is_ipv6", "VARCHAR", "BIGINT", is_ipv6, sees_nulls=True),
    Scalar("mysql_is_ipv4_compat", "BLOB", "BIGINT", is_ipv4_compatible, sees_nulls=True),
    Scalar("mysql_is_ipv4_mapped", "BLOB", "BIGINT", is_ipv4_mapped, sees_nulls=True),
    Scalar("mysql_is_uuid", "VARCHAR", "BOOLEAN", is_uuid),
    Scalar("mysql_uuid_to_bin", "*", "BLOB", uuid_to_bytes),
    Scalar("mysql_bin_to_uuid", "*", "VARCHAR", bytes_to_uuid),
)
