"""The SQL modes that change what a statement means, read from the text of @@sql_mode."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class SqlModes:
    """What @@sql_mode asks for; the defaults are those of DEFAULT_SQL_MODE."""

    strict: bool = True
    """STRICT_TRANS_TABLES or STRICT_ALL_TABLES: a value that does not fit is an error, not a warning."""
    division_by_zero: bool = True
    """ERROR_FOR_DIVISION_BY_ZERO: in a data change it is 1365 (a warning if not strict), not just NULL."""
    full_group_by: bool = True
    """ONLY_FULL_GROUP_BY: a column that is neither grouped by nor determined by what is grouped by is 1055."""
    zero_is_an_id: bool = False
    """NO_AUTO_VALUE_ON_ZERO: 0 in an AUTO_INCREMENT column is 0, as dumps have it."""
    ansi_quotes: bool = False
    """ANSI_QUOTES: "x" is a name."""
    backslash_escapes: bool = True
    """Off under NO_BACKSLASH_ESCAPES: a backslash in a string is a backslash."""

    @property
    def plain_text(self) -> bool:
        """Whether statements are written as the parser expects."""
        return self.backslash_escapes and not self.ansi_quotes


STRICT = SqlModes()


@lru_cache(maxsize=64)
def modes_of(text: str) -> SqlModes:
    """The modes in a comma-separated list of names in upper case."""
    names = frozenset(text.split(","))
    return SqlModes(
        strict=bool(names & {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES"}),
        division_by_zero="ERROR_FOR_DIVISION_BY_ZERO" in names,
        full_group_by="ONLY_FULL_GROUP_BY" in names,
        zero_is_an_id="NO_AUTO_VALUE_ON_ZERO" in names,
        ansi_quotes="ANSI_QUOTES" in names,
        backslash_escapes="NO_BACKSLASH_ESCAPES" not in names,
    )
