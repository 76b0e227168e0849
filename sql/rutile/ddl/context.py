"""What a definition needs to know of the session that asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DefinitionContext:
    """Of one statement."""

    now: datetime
    """In UTC: what CURRENT_TIMESTAMP gives the rows there are."""
    checked: bool = True
    """The session's foreign_key_checks."""
    zone: str = "UTC"
    """In which TIMESTAMPs become other types."""
    strict: bool = True
    """Whether the SQL mode refuses values that do not fit."""
