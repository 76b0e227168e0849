"""What a session holds: its account's grants and those of its active roles, in one table."""

from __future__ import annotations

from collections.abc import Iterable

from rutile.privileges.accounts import Users, user_of
from rutile.privileges.model import UserKey
from rutile.privileges.names import EVERYWHERE, GLOBAL_LEVEL, Privilege, Scope
from rutile.show.like import like_matcher

_IMPLIED = {
    Privilege.CONNECTION_ADMIN: Privilege.SUPER, Privilege.ROLE_ADMIN: Privilege.SUPER,
    Privilege.SYSTEM_VARIABLES_ADMIN: Privilege.SUPER, Privilege.CREATE_ROLE: Privilege.CREATE_USER,
    Privilege.DROP_ROLE: Privilege.CREATE_USER,
}  # fmt: skip
"""The narrower privilege, and the wider that includes it."""
OPEN_DATABASES = ("information_schema",)
"""Everybody may read them; their rows show what one may see."""


class Held:
    """Privileges by level. Immutable: made again when the catalogue or the active roles change."""

    def __init__(self, grants: Iterable[tuple[Scope, frozenset[Privilege]]]) -> None:
        self._everywhere: frozenset[Privilege] = frozenset()
        self._databases: list[tuple[str, frozenset[Privilege]]] = []
        self._tables: dict[Scope, frozenset[Privilege]] = {}
        for scope, names in grants:
            if scope == EVERYWHERE:
                self._everywhere |= names
            elif scope[1] == "*":
                self._databases.append((scope[0], names))
            else:
                self._tables[scope] = self._tables.get(scope, frozenset()) | names

    @property
    def is_everything(self) -> bool:
        """Whether nothing can be refused."""
        return self._everywhere >= GLOBAL_LEVEL

    def has_global(self, *any_of: Privilege) -> bool:
        return any(each in self._everywhere or _IMPLIED.get(each) in self._everywhere for each in any_of)

    def on_database(self, database: str) -> frozenset[Privilege]:
        """What holds for all of a database."""
        found = self._everywhere
        for pattern, names in self._databases:
            if like_matcher(pattern).match(database.lower()):
                found |= names
        return found

    def on_table(self, database: str, table: str) -> frozenset[Privilege]:
        """What holds for a table."""
        return self.on_database(database) | self._tables.get((database.lower(), table.lower()), frozenset())

    def sees_database(self, database: str) -> bool:
        """Whether its existence may be told: with any privilege in it, or SHOW DATABASES."""
        lower = database.lower()
        if lower in OPEN_DATABASES or self.has_global(Privilege.SHOW_DATABASES):
            return True
        return bool(self.on_database(lower) & _IN_DATABASES) or any(owner == lower for owner, _ in self._tables)

    def sees_table(self, database: str, table: str) -> bool:
        """Whether its existence may be told: with any privilege on it."""
        return database.lower() in OPEN_DATABASES or bool(self.on_table(database, table) & _IN_DATABASES)


_IN_DATABASES = frozenset({
    Privilege.SELECT, Privilege.INSERT, Privilege.UPDATE, Privilege.DELETE, Privilege.CREATE, Privilege.DROP,
    Privilege.REFERENCES, Privilege.INDEX, Privilege.ALTER, Privilege.CREATE_VIEW, Privilege.SHOW_VIEW,
    Privilege.TRIGGER, Privilege.LOCK_TABLES, Privilege.CREATE_TEMPORARY_TABLES,
})  # fmt: skip


def held_by(users: Users, account: UserKey, active_roles: Iterable[UserKey]) -> Held:
    """What an account holds with these roles active, and the roles of those roles. Nothing once it is dropped."""
    own = user_of(users, account)
    if own is None:
        return Held(())
    grants = list(own.grants.items())
    seen: dict[UserKey, None] = {}
    waiting = [role for role in active_roles if role in own.roles]
    while waiting:
        key = waiting.pop()
        role = user_of(users, key)
        if key in seen or role is None:
            continue
        seen[key] = None
        grants += role.grants.items()
        waiting += sorted(role.roles)
    return Held(grants)
