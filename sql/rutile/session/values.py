"""What expressions may ask of the session: DATABASE(), LAST_INSERT_ID(), @@variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rutile.privileges.listing import quoted
from rutile.session.variables import SERVER_VERSION

if TYPE_CHECKING:
    from rutile.session.session import Session


def session_value(session: Session, name: str) -> object:
    """The value of a session's function (with its parentheses) or variable, "global.name" for @@global.name. Raises
    1193, 1238."""
    match name:
        case "database()" | "schema()":
            return session.database
        case "user()" | "session_user()" | "system_user()":
            return f"{session.privileges.identity.name}@{session.privileges.identity.host}"
        case "current_user()":
            return "@".join(session.privileges.identity.account)
        case "current_role()":
            return ",".join(map(quoted, session.privileges.active_roles)) or "NONE"
        case "version()":
            return SERVER_VERSION
        case "connection_id()" | "pseudo_thread_id":
            return session.connection_id
        case "last_insert_id()" | "last_insert_id" | "identity":
            return session.last_insert_id
        case "last_plan_from_cache" | "last_plan_from_binding":
            return int(session.last_plan_from_cache and name == "last_plan_from_cache")
        case "row_count()":
            return session.row_count
        case "found_rows()":
            return session.found_rows
        case "warning_count":
            return len(session.warnings)
        case "error_count":
            return sum(each.level == "Error" for each in session.warnings)
        case "secure_file_priv" | "global.secure_file_priv":
            return session.shared.files.secure_file_priv
        case "tidb_current_ts":
            return session.transaction.current.start_ts if session.transaction.current else 0
    if name.startswith("global."):
        return session.variables.get_global(name.removeprefix("global."))
    return session.variables.get(name)
