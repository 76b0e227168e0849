"""SHOW GRANTS and SHOW CREATE USER."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rutile.privileges import problems
from rutile.privileges.accounts import Users, user_of
from rutile.privileges.listing import create_user_text, grant_lines
from rutile.privileges.model import User, UserKey
from rutile.privileges.names import Privilege
from rutile.privileges.needs import Need
from rutile.privileges.statements import (
    ShowCreateUser,
    ShowGrants,
)
from rutile.session.result import LONGTEXT, Result, ResultColumn

if TYPE_CHECKING:
    from rutile.session.session import Session

from rutile.privileges.edits import own_key


async def _shown_user(session: Session, key: UserKey) -> tuple[User, Users]:
    users = (await session.shared.catalog.refresh()).users
    if key != session.privileges.identity.account:
        await session.privileges.demand(Need((Privilege.SELECT,), "mysql", "user"))
    user = user_of(users, key)
    if user is None:
        raise problems.no_such_grant(key)
    return user, users


async def show_grants(session: Session, action: ShowGrants) -> Result:
    """SHOW GRANTS [FOR account [USING roles]]. Raises 1141, 1142, 3530."""
    own = session.privileges
    key = action.key or own.identity.account
    user, users = await _shown_user(session, key)
    active: Sequence[UserKey] = action.using or (own.active_roles if action.key is None else ())
    for role in action.using:
        if role not in user.roles:
            raise problems.role_not_granted(role, key)
    title = f"Grants for {key[0]}@{key[1]}"
    return Result.of_rows([ResultColumn(title, LONGTEXT)], [(line,) for line in grant_lines(user, users, active)])


async def show_create(session: Session, action: ShowCreateUser) -> Result:
    """SHOW CREATE USER. Raises 1141, 1142."""
    user, _ = await _shown_user(session, own_key(session, action.key))
    title = f"CREATE USER for {user.name}@{user.host}"
    return Result.of_rows([ResultColumn(title, LONGTEXT)], [(create_user_text(user),)])
