"""Who may come in: the account of a name and host, and the check of its password."""

from __future__ import annotations

import secrets
from dataclasses import replace

from rutile.errors import SqlError
from rutile.privileges.accounts import find_account
from rutile.privileges.check import CatalogOfUsers
from rutile.privileges.model import ROOT, Identity, User
from rutile.privileges.passwords import Passwords

ER_ACCESS_DENIED = 1045
ER_ACCOUNT_LOCKED = 3118
ANYWHERE = "%"
"""The host of clients whose address is not looked at: accounts for any host match it."""


def access_denied(name: str, host: str, *, with_password: bool) -> SqlError:
    """1045; that the user is unknown looks the same."""
    used = "YES" if with_password else "NO"
    message = f"Access denied for user '{name}'@'{host}' (using password: {used})"
    return SqlError(ER_ACCESS_DENIED, message, sqlstate="28000")


def account_locked(name: str, host: str) -> SqlError:
    """3118; told only to who knows the password."""
    return SqlError(ER_ACCOUNT_LOCKED, f"Access denied for user '{name}'@'{host}'. Account is locked.")


class Logins:
    """The door of one front end. `root_password`, where it is given, is root's here whatever the catalogue says."""

    def __init__(self, catalog: CatalogOfUsers, root_password: str = "") -> None:
        self._catalog = catalog
        self._root = Passwords.of(root_password) if root_password else None
        self._nobody = User("", "", Passwords.of(secrets.token_hex(16)))

    async def account(self, name: str, host: str) -> User | None:
        """The account that a client of this name and address would come in as, as of now."""
        users = (await self._catalog.refresh()).users
        found = find_account(users, name, host)
        if found is not None and found.key == ROOT and self._root is not None:
            return replace(found, passwords=self._root)
        return found

    async def account_or_nobody(self, name: str, host: str) -> User:
        """The same; for unknown names one whose password nobody has, so that they cost the same work."""
        return await self.account(name, host) or self._nobody

    def is_nobody(self, user: User) -> bool:
        return user is self._nobody

    async def by_password(self, name: str, password: str, host: str = ANYWHERE) -> Identity:
        """The identity of a client that brings its password in clear. Raises 1045, 3118."""
        user = await self.account_or_nobody(name, host)
        if not user.passwords.matches(password) or self.is_nobody(user):
            raise access_denied(name, host, with_password=bool(password))
        if user.is_locked:
            raise account_locked(name, host)
        return Identity(name, host, user.key)

    async def identity(self, name: str) -> Identity:
        """The identity of a client that has shown who it is before. Raises 1045 once its account is gone or locked."""
        user = await self.account(name, ANYWHERE)
        if user is None or user.is_locked:
            raise access_denied(name, ANYWHERE, with_password=True)
        return Identity(name, ANYWHERE, user.key)

    async def is_open(self) -> bool:
        """Whether root needs no password."""
        root = await self.account(ROOT[0], ANYWHERE)
        return root is not None and root.passwords.is_empty and not root.is_locked
