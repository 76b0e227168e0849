"""CREATE, ALTER, DROP and RENAME USER; CREATE and DROP ROLE."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rutile.errors import not_supported
from rutile.privileges import problems
from rutile.privileges.accounts import Users
from rutile.privileges.model import ROOT, User, UserKey
from rutile.privileges.names import Privilege
from rutile.privileges.passwords import CACHING_SHA2, NATIVE, PLUGINS, Passwords
from rutile.privileges.statements import (
    AlterUsers,
    CreateUsers,
    Credentials,
    DropUsers,
    RenameUsers,
    UserChange,
)
from rutile.session.result import Result, SqlWarning

if TYPE_CHECKING:
    from rutile.session.session import Session

from rutile.privileges.edits import demand, edit_users, known_users, own_key


async def create(session: Session, action: CreateUsers) -> Result:
    """CREATE USER and CREATE ROLE. Raises 1227, 1396, 1524."""
    operation, wanted = (
        ("CREATE ROLE", Privilege.CREATE_ROLE) if action.are_roles else ("CREATE USER", Privilege.CREATE_USER)
    )
    await demand(session, *dict.fromkeys((Privilege.CREATE_USER, wanted)))
    there: list[UserKey] = []

    def edit(users: dict[UserKey, User]) -> None:
        there[:] = [each.key for each in action.users if each.key in users]
        unnamed = [each.key for each in action.users if not each.key[0]]
        if unnamed or (there and not action.if_not_exists):
            raise problems.cannot(operation, unnamed or there)
        for each in action.users:
            if each.key not in users:
                users[each.key] = _changed(User(*each.key, is_locked=action.are_roles), each, users, operation)

    await edit_users(session, edit)
    notes = [SqlWarning("Note", 3163, f"Authorization ID {problems.shown(key)} already exists.") for key in there]
    return Result(warnings=notes)


async def alter(session: Session, action: AlterUsers) -> Result:
    """ALTER USER. Raises 1227, 1396, 1524."""
    changes = [replace(each, key=own_key(session, each.key)) for each in action.users]
    own = session.privileges.identity.account
    if any(each.key != own or each != UserChange(own, each.credentials) for each in changes):
        await demand(session, Privilege.CREATE_USER)

    def edit(users: dict[UserKey, User]) -> None:
        present = [each for each in changes if each.key in users or not action.if_exists]
        for each, user in zip(present, known_users(users, [each.key for each in present], "ALTER USER"), strict=True):
            users[each.key] = _changed(user, each, users, "ALTER USER")

    await edit_users(session, edit)
    return Result()


def _changed(user: User, change: UserChange, users: Users, operation: str) -> User:
    """`user` as the statement wants it."""
    user = _identified(user, change.credentials)
    if change.locked is not None:
        user = replace(user, is_locked=change.locked)
    if change.requires_tls is not None:
        user = replace(user, requires_tls=change.requires_tls)
    if change.default_roles is not None:
        roles = frozenset(change.default_roles)
        known_users(users, sorted(roles), operation)
        user = replace(
            user, default_roles=roles, roles=user.roles | roles if operation == "CREATE USER" else user.roles
        )
    return user


def _identified(user: User, said: Credentials) -> User:
    if said == Credentials():
        return user
    plugin = said.plugin or user.plugin
    if plugin not in PLUGINS:
        raise problems.plugin_not_loaded(plugin)
    if said.stored is not None:
        return replace(user, plugin=plugin, passwords=_stored(plugin, said.stored))
    return replace(user, plugin=plugin, passwords=Passwords.of(said.password or ""))


def _stored(plugin: str, text: str) -> Passwords:
    """The hash that SHOW CREATE USER printed."""
    try:
        digest = bytes.fromhex(text.removeprefix("*"))
    except ValueError:
        digest = b""
    if not text:
        return Passwords()
    if plugin == NATIVE and len(digest) == 20:
        return Passwords(native=digest)
    if plugin == CACHING_SHA2 and len(digest) == 32:
        return Passwords(caching_sha2=digest)
    raise not_supported(f"a hash of this form for {plugin}; Rutile's own are printed by SHOW CREATE USER")


async def drop(session: Session, action: DropUsers) -> Result:
    """DROP USER and DROP ROLE. Raises 1227, 1396."""
    operation = "DROP ROLE" if action.are_roles else "DROP USER"
    wanted = (Privilege.CREATE_USER, Privilege.DROP_ROLE) if action.are_roles else (Privilege.CREATE_USER,)
    await demand(session, *wanted)
    missing: list[UserKey] = []

    def edit(users: dict[UserKey, User]) -> None:
        missing[:] = [key for key in action.keys if key not in users]
        refused = [key for key in action.keys if key == ROOT] or (missing if not action.if_exists else [])
        if refused:
            raise problems.cannot(operation, refused)
        gone = frozenset(action.keys)
        for key in gone & users.keys():
            del users[key]
        for key, user in users.items():
            users[key] = replace(user, roles=user.roles - gone, default_roles=user.default_roles - gone)

    await edit_users(session, edit)
    notes = [SqlWarning("Note", 3162, f"Authorization ID {problems.shown(key)} does not exist.") for key in missing]
    return Result(warnings=notes)


async def rename(session: Session, action: RenameUsers) -> Result:
    """RENAME USER. Raises 1227, 1396."""
    await demand(session, Privilege.CREATE_USER)

    def edit(users: dict[UserKey, User]) -> None:
        for old, new in action.pairs:
            if old == ROOT or new in users or old not in users:
                raise problems.cannot("RENAME USER", [old])
            users[new] = replace(users.pop(old), name=new[0], host=new[1])
            for key, user in users.items():
                users[key] = replace(
                    user,
                    roles=_renamed(user.roles, old, new),
                    default_roles=_renamed(user.default_roles, old, new),
                )

    await edit_users(session, edit)
    return Result()


def _renamed(keys: frozenset[UserKey], old: UserKey, new: UserKey) -> frozenset[UserKey]:
    return keys - {old} | {new} if old in keys else keys
