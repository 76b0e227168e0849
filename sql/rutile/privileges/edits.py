"""What the statements about users share: their one transaction on the catalogue, and finding whom they name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rutile.catalog import meta
from rutile.catalog.model import CatalogSnapshot
from rutile.privileges import problems
from rutile.privileges.accounts import Users, all_users
from rutile.privileges.model import User, UserKey
from rutile.privileges.names import Privilege
from rutile.privileges.needs import Need
from rutile.privileges.statements import (
    CURRENT_USER,
)
from rutile.session.storage import KvTransaction

if TYPE_CHECKING:
    from rutile.session.session import Session


Edit = Callable[[dict[UserKey, User]], None]


async def demand(session: Session, *any_of: Privilege) -> None:
    """Raises 1227 unless the session has one of these, globally."""
    await session.privileges.demand(Need(any_of))


async def edit_users(session: Session, edit: Edit) -> None:
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


def own_key(session: Session, key: UserKey) -> UserKey:
    """The account a name means: CURRENT_USER is the session's."""
    return session.privileges.identity.account if key == CURRENT_USER else key


def known_users(users: Users, keys: Iterable[UserKey], operation: str) -> list[User]:
    """The users of these keys. Raises 1396 naming those there are not."""
    found = [(key, users.get(key)) for key in keys]
    missing = [key for key, user in found if user is None]
    if missing:
        raise problems.cannot(operation, missing)
    return [user for _, user in found if user is not None]
