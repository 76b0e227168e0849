"""SHOW GRANTS and SHOW CREATE USER, as MySQL words them."""

from __future__ import annotations

from collections.abc import Sequence

from rutile.ddl.show_create import quote_name
from rutile.privileges.accounts import Users
from rutile.privileges.model import User, UserKey
from rutile.privileges.names import EVERYWHERE, Privilege, Scope, all_of, in_order
from rutile.privileges.passwords import NATIVE


def quoted(key: UserKey) -> str:
    """`name`@`host`."""
    return f"{quote_name(key[0])}@{quote_name(key[1])}"


def grant_lines(user: User, users: Users, active_roles: Sequence[UserKey]) -> list[str]:
    """The statements that would give a user what it has; the privileges of `active_roles` are listed as its own."""
    grants = {EVERYWHERE: frozenset[Privilege](), **user.grants}
    for key in active_roles:
        role = users.get(key)
        for scope, names in role.grants.items() if role is not None else ():
            grants[scope] = grants.get(scope, frozenset()) | names
    lines = [_line(scope, names, user.key) for scope, names in sorted(grants.items())]
    if user.roles:
        lines.append(f"GRANT {','.join(map(quoted, sorted(user.roles)))} TO {quoted(user.key)}")
    return lines


def _line(scope: Scope, names: frozenset[Privilege], key: UserKey) -> str:
    option = " WITH GRANT OPTION" if Privilege.GRANT_OPTION in names else ""
    given = names - {Privilege.GRANT_OPTION}
    words = "ALL PRIVILEGES" if given == all_of(scope) else ", ".join(in_order(given)) or "USAGE"
    return f"GRANT {words} ON {_scope(scope)} TO {quoted(key)}{option}"


def _scope(scope: Scope) -> str:
    return ".".join(part if part == "*" else quote_name(part) for part in scope)


def create_user_text(user: User) -> str:
    """The statement that would make the user again, its password as a hash."""
    parts = [f"CREATE USER {quoted(user.key)} IDENTIFIED WITH '{user.plugin}'"]
    digest = user.passwords.native if user.plugin == NATIVE else user.passwords.caching_sha2
    if digest is not None:
        parts.append(f"AS '{'*' if user.plugin == NATIVE else ''}{digest.hex().upper()}'")
    if user.default_roles:
        parts.append(f"DEFAULT ROLE {','.join(map(quoted, sorted(user.default_roles)))}")
    parts.append(f"REQUIRE {'SSL' if user.requires_tls else 'NONE'}")
    parts.append("ACCOUNT LOCK" if user.is_locked else "ACCOUNT UNLOCK")
    return " ".join(parts)
