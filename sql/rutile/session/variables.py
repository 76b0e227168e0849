"""The system variables of a session, and those of the cluster that it begins with.

`variable_table` says which there are. What SET GLOBAL (`global_variables`) gave is kept in the catalogue, so that every
front end has it within the catalogue's lease; a session takes the values of the moment it begins, as in MySQL, and goes
its own way from there. SET x = DEFAULT makes a session's value the cluster's of now.
"""

from __future__ import annotations

from collections.abc import Mapping

from rutile.errors import ER_INCORRECT_GLOBAL_LOCAL, ER_UNKNOWN_SYSTEM_VARIABLE, SqlError
from rutile.rows.sql_modes import modes_of
from rutile.session.charsets import Charset, charset_named
from rutile.session.variable_kinds import Scope, Value, Variable
from rutile.session.variable_table import DEFAULTS, SAME, SERVER_VERSION, VARIABLES

__all__ = ["SERVER_VERSION", "GlobalValues", "SessionVariables", "Value", "variable_named", "zone_name"]
ER_LOCAL_VARIABLE = 1228
ER_GLOBAL_VARIABLE = 1229
DEFAULT = "default"
"""SET x = DEFAULT."""
GlobalValues = Mapping[str, Value]
"""What SET GLOBAL gave, by name; the others have their defaults."""
UNCHANGED: GlobalValues = {}
_READ_AHEAD = ("sql_mode", "character_set_client", "character_set_results")
"""What is asked so often that its meaning is kept."""


def zone_name(value: str) -> str:
    """A time_zone as closures and queries know it: "UTC" for all ways to say so."""
    return "UTC" if value.upper() in ("SYSTEM", "UTC", "+00:00", "+0:00", "-00:00", "-0:00") else value


def variable_named(name: str) -> tuple[str, Variable]:
    """The variable, and the name its value is kept under. Raises 1193."""
    known = VARIABLES.get(name)
    if known is None:
        raise SqlError(ER_UNKNOWN_SYSTEM_VARIABLE, f"Unknown system variable '{name}'")
    return SAME.get(name, name), known


class SessionVariables:
    """One session's values."""

    def __init__(self, cluster: GlobalValues = UNCHANGED) -> None:
        self.cluster = cluster
        """The cluster's values, as the session last looked at them."""
        self._values: dict[str, Value] = {**DEFAULTS, **{name: cluster[name] for name in cluster if name in DEFAULTS}}
        self._read_anew()

    def _read_anew(self) -> None:
        self.modes = modes_of(str(self.get("sql_mode")))
        """What sql_mode asks for."""
        self.client_charset = charset_named(str(self.get("character_set_client")))
        """What the client writes in."""
        self.results_charset = charset_named(str(self.get("character_set_results")))
        """What it reads."""

    def get(self, name: str) -> Value:
        """The value of @@name. Raises 1193."""
        value = self._values.get(name)
        if value is not None:
            return value
        kept_as, known = variable_named(name)
        return self.get_global(name) if known.scope is Scope.GLOBAL else self._values[kept_as]

    def get_global(self, name: str) -> Value:
        """The value of @@global.name. Raises 1193, 1238."""
        kept_as, known = variable_named(name)
        if known.scope is Scope.SESSION:
            raise SqlError(ER_INCORRECT_GLOBAL_LOCAL, f"Variable '{name}' is a SESSION variable")
        return self.cluster.get(kept_as, known.default)

    def set(self, name: str, value: object) -> None:
        """Set @@name; the text "default" (SET x = DEFAULT) makes it the cluster's. Raises 1193, 1229, 1231, 1235,
        1238."""
        kept_as, known = variable_named(name)
        if known.scope is Scope.GLOBAL:
            raise SqlError(
                ER_GLOBAL_VARIABLE, f"Variable '{name}' is a GLOBAL variable and should be set with SET GLOBAL"
            )
        if str(value).lower() == DEFAULT and not known.is_read_only:
            self._values[kept_as] = self.cluster.get(kept_as, known.default)
        else:
            self._values[kept_as] = known.read(name, value)
        if name in _READ_AHEAD:
            self._read_anew()

    def speak(self, charset: Charset) -> None:
        """The client writes and reads in this set: SET NAMES."""
        for name in ("character_set_client", "character_set_connection", "character_set_results"):
            self.set(name, charset.name)
        self.set("collation_connection", charset.collation)

    def shown(self, name: str) -> str:
        """The value as SHOW VARIABLES writes it."""
        return variable_named(name)[1].shown(self.get(name))

    def number(self, name: str) -> int:
        return int(self.get(name))

    def items(self) -> list[tuple[str, str]]:
        """Every variable as SHOW VARIABLES writes it, by name."""
        return [(name, known.shown(self.get(name))) for name, known in sorted(VARIABLES.items())]

    def global_items(self) -> list[tuple[str, str]]:
        """The same of SHOW GLOBAL VARIABLES."""
        return [
            (name, known.shown(self.get_global(name)))
            for name, known in sorted(VARIABLES.items())
            if known.scope is not Scope.SESSION
        ]


def checked_global(name: str, value: object) -> tuple[str, Value | None]:
    """What SET GLOBAL of this is to keep, and under which name; None: nothing, the default again. Raises 1193, 1228,
    1231, 1235, 1238."""
    kept_as, known = variable_named(name)
    if known.scope is Scope.SESSION:
        raise SqlError(ER_LOCAL_VARIABLE, f"Variable '{name}' is a SESSION variable and can't be used with SET GLOBAL")
    if str(value).lower() == DEFAULT and not known.is_read_only:
        return kept_as, None
    return kept_as, known.read(name, value)
