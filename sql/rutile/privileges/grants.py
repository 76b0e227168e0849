"""GRANT and REVOKE, of privileges and of roles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rutile.errors import no_database_selected, not_supported
from rutile.privileges import problems
from rutile.privileges.model import ROOT, User, UserKey
from rutile.privileges.names import EVERYWHERE, Privilege, Scope, all_of, grantable
from rutile.privileges.needs import Need
from rutile.privileges.statements import (
    GrantPrivileges,
    GrantRoles,
    RevokeEverything,
)
from rutile.session.result import Result

if TYPE_CHECKING:
    from rutile.session.session import Session

from rutile.privileges.edits import demand, edit_users, known_users, own_key


async def grant(session: Session, action: GrantPrivileges) -> Result:
    """GRANT and REVOKE of privileges. Raises 1044, 1046, 1141, 1142, 1235, 1396."""
    scope = _full_scope(session, action.scope)
    names = all_of(scope) if action.privileges is None else action.privileges
    if not names <= grantable(scope):
        raise not_supported(f"{', '.join(sorted(names - grantable(scope)))} below the global level")
    await _may_grant(session, scope, names)
    given = names | {Privilege.GRANT_OPTION} if action.with_grant_option else names

    def edit(users: dict[UserKey, User]) -> None:
        keys = [own_key(session, key) for key in action.keys]
        for user in known_users(users, keys, "REVOKE" if action.is_revoke else "GRANT"):
            users[user.key] = _revoked(user, scope, given) if action.is_revoke else _granted(user, scope, given)

    await edit_users(session, edit)
    return Result()


def _full_scope(session: Session, scope: Scope) -> Scope:
    if scope[0]:
        return scope
    if session.database is None:
        raise no_database_selected()
    return session.database.lower(), scope[1]


async def _may_grant(session: Session, scope: Scope, names: frozenset[Privilege]) -> None:
    """One grants what one has, and has with GRANT OPTION."""
    wanted = [Privilege.GRANT_OPTION, *sorted(names)]
    database, table = ("", "") if scope == EVERYWHERE else (scope[0], scope[1].replace("*", ""))
    for each in wanted:
        await session.privileges.demand(Need((each,), database, table, "GRANT"))


def _granted(user: User, scope: Scope, names: frozenset[Privilege]) -> User:
    held = user.grants.get(scope, frozenset()) | names
    return replace(user, grants={**user.grants, scope: held} if held else user.grants)


def _revoked(user: User, scope: Scope, names: frozenset[Privilege]) -> User:
    held = user.grants.get(scope)
    if held is None:
        if scope == EVERYWHERE:
            return user
        raise problems.no_such_grant(user.key)
    left = {**user.grants, scope: held - names}
    return replace(user, grants={scope: names for scope, names in left.items() if names})


async def grant_roles(session: Session, action: GrantRoles) -> Result:
    """GRANT and REVOKE of roles. Raises 1227, 1396, 3523."""
    await demand(session, Privilege.SUPER, Privilege.ROLE_ADMIN)

    def edit(users: dict[UserKey, User]) -> None:
        roles = frozenset(action.roles)
        for role in action.roles:
            if role not in users:
                raise problems.unknown_role(role)
        keys = [own_key(session, key) for key in action.keys]
        for user in known_users(users, keys, "REVOKE ROLE" if action.is_revoke else "GRANT ROLE"):
            if action.is_revoke:
                left = user.roles - roles, user.default_roles - roles
                users[user.key] = replace(user, roles=left[0], default_roles=left[1])
            else:
                users[user.key] = replace(user, roles=user.roles | roles)

    await edit_users(session, edit)
    return Result()


async def revoke_everything(session: Session, action: RevokeEverything) -> Result:
    """REVOKE ALL PRIVILEGES, GRANT OPTION. Raises 1227, 1396."""
    await demand(session, Privilege.CREATE_USER)
    if ROOT in (own_key(session, key) for key in action.keys):
        raise problems.cannot("REVOKE", [ROOT])

    def edit(users: dict[UserKey, User]) -> None:
        for user in known_users(users, [own_key(session, key) for key in action.keys], "REVOKE"):
            users[user.key] = replace(user, grants={})

    await edit_users(session, edit)
    return Result()
