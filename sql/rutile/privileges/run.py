"""Runs the statements about users: each one change of the catalogue, in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from rutile.privileges import grants, session_roles, show, users
from rutile.privileges.statements import (
    AlterUsers,
    CreateUsers,
    DropUsers,
    GrantPrivileges,
    GrantRoles,
    RenameUsers,
    RevokeEverything,
    SetDefaultRole,
    SetRole,
    ShowCreateUser,
    ShowGrants,
    UserAction,
)
from rutile.session.result import Result

if TYPE_CHECKING:
    from rutile.session.session import Session


async def run_user_statement(session: Session, action: UserAction) -> Result:
    """Run one. Raises 1044, 1141, 1142, 1227, 1235, 1396, 1524, 3523, 3530."""
    run = _RUNNERS[type(action)]
    return await run(session, action)


_RUNNERS: dict[type[UserAction], Callable[..., Awaitable[Result]]] = {
    CreateUsers: users.create,
    AlterUsers: users.alter,
    DropUsers: users.drop,
    RenameUsers: users.rename,
    GrantPrivileges: grants.grant,
    GrantRoles: grants.grant_roles,
    RevokeEverything: grants.revoke_everything,
    SetRole: session_roles.set_role,
    SetDefaultRole: session_roles.set_default_role,
    ShowGrants: show.show_grants,
    ShowCreateUser: show.show_create,
}
