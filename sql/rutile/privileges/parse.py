"""CREATE, ALTER, DROP USER and ROLE, GRANT, REVOKE, SET ROLE, SET PASSWORD, SHOW GRANTS."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rutile.errors import not_supported
from rutile.parse import statements as st
from rutile.parse.lexer import unquote_name, unquote_string
from rutile.parse.token_cursor import TokenCursor
from rutile.privileges.model import UserKey
from rutile.privileges.names import EVERYWHERE, Privilege, Scope
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

ANY_HOST = "%"
_PRIVILEGES = sorted(Privilege, key=lambda each: -len(each.split()))
"""Those of more words first: CREATE USER is not CREATE."""
Item = TypeVar("Item")


def _list(cursor: TokenCursor, read: Callable[[TokenCursor], Item]) -> tuple[Item, ...]:
    items = [read(cursor)]
    while cursor.accept(","):
        items.append(read(cursor))
    return tuple(items)


def _done(cursor: TokenCursor, action: UserAction) -> st.Statement:
    cursor.expect_end()
    return st.UserStatement(action)


# --- names ------------------------------------------------------------------------------------------------------------


def account(cursor: TokenCursor) -> UserKey:
    """'name'@'host', with any quotes or none; the host is % where it is not written. Raises 1064."""
    if cursor.accept("current_user"):
        if cursor.accept("("):
            cursor.expect(")")
        return CURRENT_USER
    name = _unquoted(cursor)
    following = cursor.peek()
    if following is None or not following.text.startswith("@"):
        return name, ANY_HOST
    cursor.take()
    if following.text != "@":
        return name, unquote_name(following.text[1:]).lower()
    return name, _unquoted(cursor).lower()


def _unquoted(cursor: TokenCursor) -> str:
    token = cursor.take()
    if token.kind == "string":
        return unquote_string(token.text)
    if token.kind in ("word", "name"):
        return unquote_name(token.text)
    raise cursor.error()


# --- users and roles --------------------------------------------------------------------------------------------------


def parse_create_user(cursor: TokenCursor) -> st.Statement:
    """What follows CREATE USER or CREATE ROLE; the cursor stands before that word."""
    are_roles = cursor.take().word == "role"
    if_not_exists = cursor.accept_words("if", "not", "exists")
    if are_roles:
        keys = _list(cursor, account)
        return _done(
            cursor, CreateUsers(tuple(UserChange(key, Credentials()) for key in keys), if_not_exists, are_roles=True)
        )
    return _done(cursor, CreateUsers(_users_with_options(cursor), if_not_exists))


def parse_alter_user(cursor: TokenCursor) -> st.Statement:
    """What follows ALTER USER."""
    cursor.take()
    if_exists = cursor.accept_words("if", "exists")
    return _done(cursor, AlterUsers(_users_with_options(cursor), if_exists))


def parse_drop_user(cursor: TokenCursor) -> st.Statement:
    """What follows DROP USER or DROP ROLE."""
    are_roles = cursor.take().word == "role"
    if_exists = cursor.accept_words("if", "exists")
    return _done(cursor, DropUsers(_list(cursor, account), if_exists, are_roles))


def parse_rename_user(cursor: TokenCursor) -> st.Statement:
    """What follows RENAME USER."""
    cursor.take()

    def pair(cursor: TokenCursor) -> tuple[UserKey, UserKey]:
        old = account(cursor)
        cursor.expect("to")
        return old, account(cursor)

    return _done(cursor, RenameUsers(_list(cursor, pair)))


def _users_with_options(cursor: TokenCursor) -> tuple[UserChange, ...]:
    named = _list(cursor, lambda cursor: (account(cursor), _credentials(cursor)))
    locked = requires_tls = default_roles = None
    while not cursor.at_end():
        if cursor.accept_words("default", "role"):
            default_roles = () if cursor.accept("none") else _list(cursor, account)
        elif cursor.accept("require"):
            requires_tls = cursor.expect("none", "ssl").word == "ssl"
        elif cursor.accept("account"):
            locked = cursor.expect("lock", "unlock").word == "lock"
        else:
            raise not_supported(f"the user option {cursor.peek_text().upper()}")
    return tuple(UserChange(key, said, locked, requires_tls, default_roles) for key, said in named)


def _credentials(cursor: TokenCursor) -> Credentials:
    if not cursor.accept("identified"):
        return Credentials()
    plugin = _unquoted(cursor).lower() if cursor.accept("with") else None
    if cursor.accept("by"):
        if cursor.at("random"):
            raise not_supported("IDENTIFIED BY RANDOM PASSWORD")
        return Credentials(plugin, cursor.string())
    if cursor.accept("as"):
        return Credentials(plugin, stored=cursor.string())
    if plugin is None:
        raise cursor.error()
    return Credentials(plugin, "")


# --- grants -----------------------------------------------------------------------------------------------------------


def parse_grant(cursor: TokenCursor) -> st.Statement:
    """GRANT privileges ON ... TO users, GRANT roles TO users."""
    cursor.take()
    if not _grants_privileges(cursor):
        roles = _list(cursor, account)
        cursor.expect("to")
        keys = _list(cursor, account)
        if cursor.at("with"):
            raise not_supported("WITH ADMIN OPTION")
        return _done(cursor, GrantRoles(roles, keys))
    privileges, scope = _privileges_on(cursor)
    cursor.expect("to")
    keys = _list(cursor, account)
    if cursor.at("identified"):
        raise not_supported("GRANT ... IDENTIFIED BY: create the user first")
    with_grant_option = cursor.accept_words("with", "grant", "option")
    return _done(cursor, GrantPrivileges(privileges, scope, keys, with_grant_option=with_grant_option))


def parse_revoke(cursor: TokenCursor) -> st.Statement:
    """REVOKE, the other way round."""
    cursor.take()
    if not _grants_privileges(cursor):
        roles = _list(cursor, account) if not cursor.at("all") else ()
        if not roles:
            return _revoke_everything(cursor)
        cursor.expect("from")
        return _done(cursor, GrantRoles(roles, _list(cursor, account), is_revoke=True))
    privileges, scope = _privileges_on(cursor)
    cursor.expect("from")
    return _done(cursor, GrantPrivileges(privileges, scope, _list(cursor, account), is_revoke=True))


def _revoke_everything(cursor: TokenCursor) -> st.Statement:
    cursor.expect("all")
    cursor.accept("privileges")
    cursor.expect(",")
    cursor.expect("grant")
    cursor.expect("option")
    cursor.expect("from")
    return _done(cursor, RevokeEverything(_list(cursor, account)))


def _grants_privileges(cursor: TokenCursor) -> bool:
    """Privileges are granted ON something, roles are not."""
    return any(token.word == "on" for token in cursor.tokens)


def _privileges_on(cursor: TokenCursor) -> tuple[frozenset[Privilege] | None, Scope]:
    if cursor.accept("all"):
        cursor.accept("privileges")
        privileges = None
    else:
        privileges = frozenset(each for each in _list(cursor, _privilege) if each is not None)
    cursor.expect("on")
    cursor.accept("table")
    return privileges, _scope(cursor)


def _privilege(cursor: TokenCursor) -> Privilege | None:
    """A privilege; None for USAGE, which is none."""
    if cursor.accept("usage"):
        return None
    for privilege in _PRIVILEGES:
        if cursor.accept_words(*privilege.lower().split()):
            if cursor.at("("):
                raise not_supported("column privileges")
            return privilege
    raise not_supported(f"the privilege {cursor.peek_text().upper()}")


def _scope(cursor: TokenCursor) -> Scope:
    if cursor.at("function", "procedure"):
        raise not_supported("privileges on routines")
    first = _name_or_star(cursor)
    if not cursor.accept("."):
        return ("", first) if first != "*" else ("", "*")
    second = _name_or_star(cursor)
    return EVERYWHERE if first == "*" else (first, second)


def _name_or_star(cursor: TokenCursor) -> str:
    return "*" if cursor.accept("*") else cursor.name().lower()


# --- roles of a session, passwords, SHOW ------------------------------------------------------------------------------


def parse_set_role(cursor: TokenCursor) -> st.Statement:
    """What follows SET ROLE."""
    cursor.take()
    return _done(cursor, SetRole(_choice(cursor)))


def parse_set_default_role(cursor: TokenCursor) -> st.Statement:
    """What follows SET DEFAULT ROLE."""
    cursor.take()
    cursor.expect("role")
    choice = _choice(cursor)
    cursor.expect("to")
    return _done(cursor, SetDefaultRole(choice, _list(cursor, account)))


def _choice(cursor: TokenCursor) -> RoleChoice:
    for what in ("none", "default", "all"):
        if cursor.accept(what):
            excepted = _list(cursor, account) if what == "all" and cursor.accept("except") else ()
            return RoleChoice(what, excepted)
    return RoleChoice("these", _list(cursor, account))


def parse_set_password(cursor: TokenCursor) -> st.Statement:
    """What follows SET PASSWORD."""
    cursor.take()
    key = account(cursor) if cursor.accept("for") else CURRENT_USER
    cursor.expect("=")
    if cursor.at("password"):
        raise not_supported("PASSWORD(): SET PASSWORD = 'text'")
    return _done(cursor, AlterUsers((UserChange(key, Credentials(None, cursor.string())),)))


def parse_show_grants(cursor: TokenCursor) -> st.Statement:
    """What follows SHOW GRANTS."""
    if not cursor.accept("for"):
        return _done(cursor, ShowGrants())
    key = account(cursor)
    using = _list(cursor, account) if cursor.accept("using") else ()
    return _done(cursor, ShowGrants(None if key == CURRENT_USER else key, using))


def parse_show_create_user(cursor: TokenCursor) -> st.Statement:
    """What follows SHOW CREATE USER."""
    return _done(cursor, ShowCreateUser(account(cursor)))
