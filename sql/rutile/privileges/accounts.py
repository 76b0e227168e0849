"""Finds accounts: the one a client comes in as, by name and host."""

from __future__ import annotations

from collections.abc import Mapping

from rutile.privileges.model import FIRST_ROOT, ROOT, User, UserKey
from rutile.show.like import like_matcher

Users = Mapping[UserKey, User]
_LOOPBACK = ("127.0.0.1", "::1")


def user_of(users: Users, key: UserKey) -> User | None:
    """The user of that key; root is there even before it has a record."""
    found = users.get(key)
    return FIRST_ROOT if found is None and key == ROOT else found


def all_users(users: Users) -> list[User]:
    """Every user, by name and host."""
    return [found for _, found in sorted({ROOT: FIRST_ROOT, **users}.items())]


def find_account(users: Users, name: str, host: str) -> User | None:
    """The account a client of `name` from `host` (an address) comes in as: the most specific host that matches."""
    hosts = (host, "localhost") if host in _LOOPBACK else (host,)
    matching = [user for user in all_users(users) if user.name == name and _matches(user.host, hosts)]
    return max(matching, key=lambda user: _specificity(user.host), default=None)


def _matches(pattern: str, hosts: tuple[str, ...]) -> bool:
    matcher = like_matcher(pattern)
    return any(matcher.match(host) for host in hosts)


def _specificity(pattern: str) -> tuple[bool, int]:
    """Without wildcards first, then by what stands before the first of them."""
    first = min((pattern.find(mark) for mark in "%_" if mark in pattern), default=len(pattern))
    return first == len(pattern), first
