"""Runs the statements about users: each one change of the catalogue, in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rutile.catalog import meta
from rutile.catalog.model import CatalogSnapshot
from rutile.errors import no_database_selected, not_supported
from rutile.privileges import problems
from rutile.privileges.accounts import Users, all_users, user_of
from rutile.privileges.listing import create_user_text, grant_lines
from rutile.privileges.model import ROOT, User, UserKey
from rutile.privileges.names import EVERYWHERE, Privilege, Scope, all_of, grantable
from rutile.privileges.needs import Need
from rutile.privileges.passwords import CACHING_SHA2, NATIVE, PLUGINS, Passwords
from rutile.privileges.statements import (
    CURRENT_USER,
    AlterUsers,
    CreateUsers,
    Credentials,
    DropUsers,
    GrantPrivileges,
    GrantRoles,
    RenameUsers,
    RevokeEverything,
    RoleChoice,
    SetDefaultRole,
    SetRole,
    ShowCreateUser,
    ShowGrants,
    UserAction,
    UserChange,
)
from rutile.session.result import LONGTEXT, Result, ResultColumn, SqlWarning
from rutile.session.storage import KvTransaction

if TYPE_CHECKING:
    from rutile.session.session import Session

Edit = Callable[[dict[UserKey, User]], None]


async def run_user_statement(session: Session, action: UserAction) -> Result:
    """Run one. Raises 1044, 1141, 1142, 1227, 1235, 1396, 1524, 3523, 3530."""
    run = _RUNNERS[type(action)]
    return await run(session, action)


async def _demand(session: Session, *any_of: Privilege) -> None:
    await session.privileges.demand(Need(any_of))


async def _edit(session: Session, edit: Edit) -> None:
    """Change the users in one transaction; what `edit` raises leaves them as they were."""

    async def change(txn: KvTransaction, seen: CatalogSnapshot) -> None:
        users = {user.key: user for user in all_users(seen.users)}
        before = dict(users)
        edit(users)
        for key in before.keys() - users.keys():
            txn.delete(meta.user_key(*key))
        for key, user in users.items():
            if before.get(key) != user:
                txn.put(meta.user_key(*key), user.to_bytes())

    await session.transaction.commit()
    await session.shared.catalog.change(change)


def _own(session: Session, key: UserKey) -> UserKey:
    return session.privileges.identity.account if key == CURRENT_USER else key


def _known(users: Users, keys: Iterable[UserKey], operation: str) -> list[User]:
    found = [(key, users.get(key)) for key in keys]
    missing = [key for key, user in found if user is None]
    if missing:
        raise problems.cannot(operation, missing)
    return [user for _, user in found if user is not None]


# --- users ------------------------------------------------------------------------------------------------------------


async def _create(session: Session, action: CreateUsers) -> Result:
    operation, wanted = (
        ("CREATE ROLE", Privilege.CREATE_ROLE) if action.are_roles else ("CREATE USER", Privilege.CREATE_USER)
    )
    await _demand(session, *dict.fromkeys((Privilege.CREATE_USER, wanted)))
    there: list[UserKey] = []

    def edit(users: dict[UserKey, User]) -> None:
        there[:] = [each.key for each in action.users if each.key in users]
        unnamed = [each.key for each in action.users if not each.key[0]]
        if unnamed or (there and not action.if_not_exists):
            raise problems.cannot(operation, unnamed or there)
        for each in action.users:
            if each.key not in users:
                users[each.key] = _changed(User(*each.key, is_locked=action.are_roles), each, users, operation)

    await _edit(session, edit)
    notes = [SqlWarning("Note", 3163, f"Authorization ID {problems.shown(key)} already exists.") for key in there]
    return Result(warnings=notes)


async def _alter(session: Session, action: AlterUsers) -> Result:
    changes = [replace(each, key=_own(session, each.key)) for each in action.users]
    own = session.privileges.identity.account
    if any(each.key != own or each != UserChange(own, each.credentials) for each in changes):
        await _demand(session, Privilege.CREATE_USER)

    def edit(users: dict[UserKey, User]) -> None:
        present = [each for each in changes if each.key in users or not action.if_exists]
        for each, user in zip(present, _known(users, [each.key for each in present], "ALTER USER"), strict=True):
            users[each.key] = _changed(user, each, users, "ALTER USER")

    await _edit(session, edit)
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
        _known(users, sorted(roles), operation)
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


async def _drop(session: Session, action: DropUsers) -> Result:
    operation = "DROP ROLE" if action.are_roles else "DROP USER"
    wanted = (Privilege.CREATE_USER, Privilege.DROP_ROLE) if action.are_roles else (Privilege.CREATE_USER,)
    await _demand(session, *wanted)
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

    await _edit(session, edit)
    notes = [SqlWarning("Note", 3162, f"Authorization ID {problems.shown(key)} does not exist.") for key in missing]
    return Result(warnings=notes)


async def _rename(session: Session, action: RenameUsers) -> Result:
    await _demand(session, Privilege.CREATE_USER)

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

    await _edit(session, edit)
    return Result()


def _renamed(keys: frozenset[UserKey], old: UserKey, new: UserKey) -> frozenset[UserKey]:
    return keys - {old} | {new} if old in keys else keys


# --- grants -----------------------------------------------------------------------------------------------------------


async def _grant(session: Session, action: GrantPrivileges) -> Result:
    scope = _full_scope(session, action.scope)
    names = all_of(scope) if action.privileges is None else action.privileges
    if not names <= grantable(scope):
        raise not_supported(f"{', '.join(sorted(names - grantable(scope)))} below the global level")
    await _may_grant(session, scope, names)
    given = names | {Privilege.GRANT_OPTION} if action.with_grant_option else names

    def edit(users: dict[UserKey, User]) -> None:
        keys = [_own(session, key) for key in action.keys]
        for user in _known(users, keys, "REVOKE" if action.is_revoke else "GRANT"):
            users[user.key] = _revoked(user, scope, given) if action.is_revoke else _granted(user, scope, given)

    await _edit(session, edit)
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


async def _grant_roles(session: Session, action: GrantRoles) -> Result:
    await _demand(session, Privilege.SUPER, Privilege.ROLE_ADMIN)

    def edit(users: dict[UserKey, User]) -> None:
        roles = frozenset(action.roles)
        for role in action.roles:
            if role not in users:
                raise problems.unknown_role(role)
        keys = [_own(session, key) for key in action.keys]
        for user in _known(users, keys, "REVOKE ROLE" if action.is_revoke else "GRANT ROLE"):
            if action.is_revoke:
                left = user.roles - roles, user.default_roles - roles
                users[user.key] = replace(user, roles=left[0], default_roles=left[1])
            else:
                users[user.key] = replace(user, roles=user.roles | roles)

    await _edit(session, edit)
    return Result()


async def _revoke_everything(session: Session, action: RevokeEverything) -> Result:
    await _demand(session, Privilege.CREATE_USER)
    if ROOT in (_own(session, key) for key in action.keys):
        raise problems.cannot("REVOKE", [ROOT])

    def edit(users: dict[UserKey, User]) -> None:
        for user in _known(users, [_own(session, key) for key in action.keys], "REVOKE"):
            users[user.key] = replace(user, grants={})

    await _edit(session, edit)
    return Result()


# --- roles of a session -----------------------------------------------------------------------------------------------


async def _set_role(session: Session, action: SetRole) -> Result:
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


async def _set_default_role(session: Session, action: SetDefaultRole) -> Result:
    keys = [_own(session, key) for key in action.keys]
    if keys != [session.privileges.identity.account]:
        await _demand(session, Privilege.CREATE_USER, Privilege.ROLE_ADMIN)

    def edit(users: dict[UserKey, User]) -> None:
        for user in _known(users, keys, "SET DEFAULT ROLE"):
            users[user.key] = replace(user, default_roles=frozenset(_chosen(user, action.choice)))

    await _edit(session, edit)
    return Result()


# --- SHOW -------------------------------------------------------------------------------------------------------------


async def _shown_user(session: Session, key: UserKey) -> tuple[User, Users]:
    users = (await session.shared.catalog.refresh()).users
    if key != session.privileges.identity.account:
        await session.privileges.demand(Need((Privilege.SELECT,), "mysql", "user"))
    user = user_of(users, key)
    if user is None:
        raise problems.no_such_grant(key)
    return user, users


async def _show_grants(session: Session, action: ShowGrants) -> Result:
    own = session.privileges
    key = action.key or own.identity.account
    user, users = await _shown_user(session, key)
    active: Sequence[UserKey] = action.using or (own.active_roles if action.key is None else ())
    for role in action.using:
        if role not in user.roles:
            raise problems.role_not_granted(role, key)
    title = f"Grants for {key[0]}@{key[1]}"
    return Result.of_rows([ResultColumn(title, LONGTEXT)], [(line,) for line in grant_lines(user, users, active)])


async def _show_create(session: Session, action: ShowCreateUser) -> Result:
    user, _ = await _shown_user(session, _own(session, action.key))
    title = f"CREATE USER for {user.name}@{user.host}"
    return Result.of_rows([ResultColumn(title, LONGTEXT)], [(create_user_text(user),)])


_RUNNERS: dict[type[UserAction], Callable[..., Awaitable[Result]]] = {
    CreateUsers: _create, AlterUsers: _alter, DropUsers: _drop, RenameUsers: _rename, GrantPrivileges: _grant,
    GrantRoles: _grant_roles, RevokeEverything: _revoke_everything, SetRole: _set_role,
    SetDefaultRole: _set_default_role, ShowGrants: _show_grants, ShowCreateUser: _show_create,
}  # fmt: skip
