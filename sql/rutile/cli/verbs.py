"""How a verb is added, and the addresses everybody starts from."""

from __future__ import annotations

import argparse
from typing import TypeAlias

DEFAULT_PD = "127.0.0.1:2379"
DEFAULT_KV = "127.0.0.1:20160"
DEFAULT_SQL = "127.0.0.1:4001"
DEFAULT_MYSQL = "127.0.0.1:4000"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]", "::1")

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_verb(verbs: Verbs, name: str, text: str) -> argparse.ArgumentParser:
    """A parser for `rutile NAME`; the first line of `text` is what `rutile --help` says of it."""
    first, _, rest = text.partition("\n")
    formatter = argparse.RawDescriptionHelpFormatter
    return verbs.add_parser(name, help=first, description=first + "\n" + rest, formatter_class=formatter)


def check_address(options: argparse.Namespace, option: str = "--addr") -> None:
    """Refuse to serve strangers unencrypted by accident: InvalidRequest beyond loopback without --insecure."""
    from rutile_proto.errors import InvalidRequest

    address = getattr(options, option.removeprefix("--").replace("-", "_"))
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise InvalidRequest(f"{option} {address}: want host:port")
    if host not in LOOPBACK_HOSTS and not options.insecure:
        raise InvalidRequest(
            f"{option} {address} is reachable from other machines and nothing is encrypted or checked yet:"
            " use 127.0.0.1, or add --insecure if that is what you want"
        )
