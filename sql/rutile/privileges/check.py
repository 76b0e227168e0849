"""The door: what a session may do, asked before every statement."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Protocol

from rutile.catalog.model import CatalogSnapshot
from rutile.parse import statements as st
from rutile.parse.lexer import Shape, is_point_verb
from rutile.parse.parser import parse
from rutile.privileges import problems
from rutile.privileges.accounts import user_of
from rutile.privileges.held import Held, held_by
from rutile.privileges.model import Identity, UserKey
from rutile.privileges.names import Privilege
from rutile.privileges.needs import Need, Needs, needs_of
from rutile.session.plan_cache import PlanCache

NeedsCache = PlanCache[Needs]
ANY_VERSION = 0
"""What a statement needs is told by its text, whatever the catalogue holds."""


class CatalogOfUsers(Protocol):
    """What is asked of the catalogue."""

    def cached(self) -> CatalogSnapshot | None: ...

    async def current(self) -> CatalogSnapshot: ...

    async def refresh(self) -> CatalogSnapshot: ...


class SessionPrivileges:
    """One session's identity, active roles, and what they hold."""

    def __init__(self, identity: Identity, catalog: CatalogOfUsers, known: NeedsCache) -> None:
        self.identity = identity
        self.active_roles: tuple[UserKey, ...] = ()
        self._catalog = catalog
        self._known = known
        self._held = Held(())
        self._made_of: CatalogSnapshot | None = None

    async def become(self, identity: Identity) -> None:
        """Be somebody else from now on, with the default roles of that account."""
        self.identity = identity
        users = (await self._catalog.current()).users
        account = user_of(users, identity.account)
        self.activate(tuple(sorted(account.default_roles)) if account is not None else ())

    def activate(self, roles: tuple[UserKey, ...]) -> None:
        """SET ROLE; that they are granted has been looked at."""
        self.active_roles = roles
        self._made_of = None

    async def held(self) -> Held:
        """What the session holds, as of the catalogue it may use."""
        return self._held_in(self._catalog.cached() or await self._catalog.current())

    def _held_in(self, catalog: CatalogSnapshot) -> Held:
        if self._made_of is not catalog:
            self._held = held_by(catalog.users, self.identity.account, self.active_roles)
            self._made_of = catalog
        return self._held

    @property
    def _is_all_powerful(self) -> bool:
        """Whether nothing need be asked. As in MySQL, what such a session loses it may notice a little late."""
        if not self.identity.is_checked:
            return True
        cached = self._catalog.cached()
        if cached is not None:
            return self._held_in(cached).is_everything
        return self._made_of is not None and self._held.is_everything

    def allows_now(self, shape: str, database: str | None) -> bool:
        """Whether statements of this shape are known to be allowed, without asking anybody."""
        if self._is_all_powerful:
            return True
        catalog, needs = self._catalog.cached(), self._known.get((database, shape), ANY_VERSION)
        return catalog is not None and needs is not None and all(_meets(self._held_in(catalog), need) for need in needs)

    async def check(
        self, sql: str, shape: Shape | None, database: str | None, own: Container[tuple[str, str]] = ()
    ) -> None:
        """Whether the statement may run; with tables that are the session's `own` it may do all. Raises 1044, 1142,
        1227, and what parsing it raises."""
        if not self._is_all_powerful:
            for need in self._needs(sql, shape, database):
                if not need.table or (need.database, need.table) not in own:
                    await self.demand(need)

    async def check_statement(
        self, statement: st.Statement, database: str | None, own: Container[tuple[str, str]] = ()
    ) -> None:
        """The same for a statement that has been parsed."""
        if not self._is_all_powerful:
            for need in needs_of(statement, database):
                if not need.table or (need.database, need.table) not in own:
                    await self.demand(need)

    def _needs(self, sql: str, shape: Shape | None, database: str | None) -> Needs:
        if shape is None or not is_point_verb(shape.text):
            return needs_of(parse(sql).statement, database)
        key = (database, shape.text)
        known = self._known.get(key, ANY_VERSION)
        if known is None:
            known = needs_of(parse(sql).statement, database)
            self._known.put(key, ANY_VERSION, known)
        return known

    async def demand(self, need: Need) -> None:
        """Raises 1044, 1142 or 1227 if it is not met, also by the catalogue as it is this moment."""
        if self._is_all_powerful or _meets(await self.held(), need):
            return
        if not _meets(self._held_in(await self._catalog.refresh()), need):
            raise self._refusal(need)

    async def has_global(self, *any_of: Privilege) -> bool:
        """Whether it holds one of these everywhere."""
        return self._is_all_powerful or (await self.held()).has_global(*any_of)

    def _refusal(self, need: Need) -> Exception:
        if need.table:
            command = need.command or (need.any_of[0] if need.any_of else "SELECT")
            return problems.table_denied(self.identity, command, need.table)
        if need.database:
            return problems.database_denied(self.identity, need.database)
        return problems.privilege_missing(need.any_of)

    async def check_database(self, database: str) -> None:
        """Whether it may be made the session's. Raises 1044."""
        if self._is_all_powerful or (await self.held()).sees_database(database):
            return
        if not self._held_in(await self._catalog.refresh()).sees_database(database):
            raise problems.database_denied(self.identity, database)

    async def visible(self, catalog: CatalogSnapshot) -> CatalogSnapshot:
        """The catalogue without what the session may not know of."""
        if self._is_all_powerful:
            return catalog
        held = self._held_in(catalog)
        return replace(
            catalog,
            databases={key: info for key, info in catalog.databases.items() if held.sees_database(key)},
            tables={key: info for key, info in catalog.tables.items() if held.sees_table(*key)},
            users={key: user for key, user in catalog.users.items() if key == self.identity.account},
            views={key: view for key, view in catalog.views.items() if held.sees_table(*key)},
            sequences={key: info for key, info in catalog.sequences.items() if held.sees_table(*key)},
        )


def _meets(held: Held, need: Need) -> bool:
    if not need.database:
        return held.has_global(*need.any_of)
    if not need.any_of:
        return held.sees_table(need.database, need.table)
    if need.database == "information_schema":
        return need.any_of[0] is Privilege.SELECT
    has = held.on_table(need.database, need.table) if need.table else held.on_database(need.database)
    return not has.isdisjoint(need.any_of)
