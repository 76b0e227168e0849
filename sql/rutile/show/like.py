"""LIKE patterns outside of queries: SHOW ... LIKE."""

from __future__ import annotations

import re


def like_matcher(pattern: str | None) -> re.Pattern[str]:
    """A matcher of whole names, without case as SHOW has it; None matches everything."""
    if pattern is None:
        return re.compile("", re.IGNORECASE)
    parts, escaped = [], False
    for character in pattern:
        if escaped:
            parts.append(re.escape(character))
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return re.compile("".join(parts) + r"\Z", re.IGNORECASE | re.DOTALL)
