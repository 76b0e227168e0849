"""A user as the catalogue keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from rutile.privileges.names import EVERYWHERE, Privilege, Scope
from rutile.privileges.passwords import CACHING_SHA2, Passwords

UserKey = tuple[str, str]
"""(name, host pattern); names are compared exactly, hosts in lower case."""
ROOT: UserKey = ("root", "%")


@dataclass(frozen=True, slots=True)
class User:
    """An account or a role."""

    name: str
    host: str
    passwords: Passwords = field(default_factory=Passwords)
    plugin: str = CACHING_SHA2
    is_locked: bool = False
    """Cannot connect. Roles are born so."""
    requires_tls: bool = False
    grants: Mapping[Scope, frozenset[Privilege]] = field(default_factory=dict)
    roles: frozenset[UserKey] = frozenset()
    default_roles: frozenset[UserKey] = frozenset()

    @property
    def key(self) -> UserKey:
        return self.name, self.host

    def to_bytes(self) -> bytes:
        hashes = (self.passwords.native, self.passwords.caching_sha2)
        body = {
            "name": self.name, "host": self.host, "plugin": self.plugin, "locked": self.is_locked,
            "tls": self.requires_tls, "passwords": [each.hex() if each is not None else None for each in hashes],
            "grants": [[*scope, sorted(names)] for scope, names in sorted(self.grants.items())],
            "roles": sorted(self.roles), "default_roles": sorted(self.default_roles),
        }  # fmt: skip
        return json.dumps(body, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> User:
        """What `to_bytes` wrote."""
        body = json.loads(data)
        hashes = [None if each is None else bytes.fromhex(each) for each in body["passwords"]]
        return User(
            body["name"], body["host"], Passwords(*hashes), body["plugin"], body["locked"], body["tls"],
            {(database, table): frozenset(map(Privilege, names)) for database, table, names in body["grants"]},
            _keys(body["roles"]), _keys(body["default_roles"]),
        )  # fmt: skip


def _keys(pairs: list[list[str]]) -> frozenset[UserKey]:
    return frozenset((name, host) for name, host in pairs)


FIRST_ROOT = User(*ROOT, grants={EVERYWHERE: frozenset(Privilege)})
"""root of a new cluster; it stays so until a statement changes it, which writes its record."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a session is: the name and host it came with, and the account that matched."""

    name: str
    host: str
    account: UserKey
    is_checked: bool = True
    """False for sessions of the process itself."""

    def __str__(self) -> str:
        return f"'{self.name}'@'{self.host}'"


INTERNAL = Identity("root", "%", ROOT, is_checked=False)
"""The process itself."""
