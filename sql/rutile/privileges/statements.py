"""The statements about users and privileges, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from rutile.privileges.model import UserKey
from rutile.privileges.names import Privilege, Scope


@dataclass(frozen=True, slots=True)
class Credentials:
    """What IDENTIFIED says. `password` None and `stored` None: nothing was said."""

    plugin: str | None = None
    password: str | None = None
    stored: str | None = None
    """IDENTIFIED WITH plugin AS 'this': what SHOW CREATE USER prints."""


@dataclass(frozen=True, slots=True)
class UserChange:
    """One user of CREATE or ALTER USER, with its options. None leaves an option as it is."""

    key: UserKey
    credentials: Credentials
    locked: bool | None = None
    requires_tls: bool | None = None
    default_roles: tuple[UserKey, ...] | None = None


@dataclass(frozen=True, slots=True)
class CreateUsers:
    users: tuple[UserChange, ...]
    if_not_exists: bool = False
    are_roles: bool = False


@dataclass(frozen=True, slots=True)
class AlterUsers:
    """ALTER USER, SET PASSWORD. A key of ("", "") is the session's own account."""

    users: tuple[UserChange, ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropUsers:
    keys: tuple[UserKey, ...]
    if_exists: bool = False
    are_roles: bool = False


@dataclass(frozen=True, slots=True)
class RenameUsers:
    pairs: tuple[tuple[UserKey, UserKey], ...]


@dataclass(frozen=True, slots=True)
class GrantPrivileges:
    """GRANT and REVOKE of privileges. `privileges` None is ALL."""

    privileges: frozenset[Privilege] | None
    scope: Scope
    """The database is "" for a table named without one."""
    keys: tuple[UserKey, ...]
    is_revoke: bool = False
    with_grant_option: bool = False


@dataclass(frozen=True, slots=True)
class GrantRoles:
    """GRANT and REVOKE of roles."""

    roles: tuple[UserKey, ...]
    keys: tuple[UserKey, ...]
    is_revoke: bool = False


@dataclass(frozen=True, slots=True)
class RevokeEverything:
    """REVOKE ALL PRIVILEGES, GRANT OPTION FROM users."""

    keys: tuple[UserKey, ...]


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """Which roles: "all", "none", "default", or "these"; `roles` are named, or excepted from all."""

    what: str
    roles: tuple[UserKey, ...] = ()


@dataclass(frozen=True, slots=True)
class SetRole:
    choice: RoleChoice


@dataclass(frozen=True, slots=True)
class SetDefaultRole:
    choice: RoleChoice
    keys: tuple[UserKey, ...]


@dataclass(frozen=True, slots=True)
class ShowGrants:
    """SHOW GRANTS [FOR user [USING roles]]; `key` None: of the session."""

    key: UserKey | None = None
    using: tuple[UserKey, ...] = ()


@dataclass(frozen=True, slots=True)
class ShowCreateUser:
    key: UserKey


UserAction: TypeAlias = (
    CreateUsers | AlterUsers | DropUsers | RenameUsers | GrantPrivileges | GrantRoles | RevokeEverything | SetRole
    | SetDefaultRole | ShowGrants | ShowCreateUser
)  # fmt: skip
CURRENT_USER: UserKey = ("", "")
"""CURRENT_USER() in place of a name."""
