"""SET ROLE and SET DEFAULT ROLE."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rutile.privileges import problems
from rutile.privileges.accounts import user_of
from rutile.privileges.model import User, UserKey
from rutile.privileges.names import Privilege
from rutile.privileges.statements import (
    RoleChoice,
    SetDefaultRole,
    SetRole,
)
from rutile.session.result import Result

if TYPE_CHECKING:
    from rutile.session.session import Session

from rutile.privileges.edits import demand, edit_users, known_users, own_key


async def set_role(session: Session, action: SetRole) -> Result:
    """SET ROLE. Raises 3530."""
    key = session.privileges.identity.account
    user = user_of((await session.shared.catalog.refresh()).users, key)
    session.privileges.activate(_chosen(user, action.choice) if user is not None else ())
    return Result()


def _chosen(user: User, choice: RoleChoice) -> tuple[UserKey, ...]:
    """The roles that are meant. Raises 3530 for one that is not granted."""
    if choice.what == "none":
        return ()
    if choice.what == "default":
        return tuple(sorted(user.default_roles))
    for role in choice.roles:
        if role not in user.roles:
            raise problems.role_not_granted(role, user.key)
    return tuple(sorted(user.roles - frozenset(choice.roles))) if choice.what == "all" else choice.roles


async def set_default_role(session: Session, action: SetDefaultRole) -> Result:
    """SET DEFAULT ROLE. Raises 1227, 1396, 3530."""
    keys = [own_key(session, key) for key in action.keys]
    if keys != [session.privileges.identity.account]:
        await demand(session, Privilege.CREATE_USER, Privilege.ROLE_ADMIN)

    def edit(users: dict[UserKey, User]) -> None:
        for user in known_users(users, keys, "SET DEFAULT ROLE"):
            users[user.key] = replace(user, default_roles=frozenset(_chosen(user, action.choice)))

    await edit_users(session, edit)
    return Result()
