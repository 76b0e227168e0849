"""What a function in Python is to DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class ScalarError(Exception):
    """A MySQL error raised by a function: `[code] text`, the form in which DuckDB passes it on."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"[{code}] {text}")
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Scalar:
    """One function. `parameters` are DuckDB's types, one a word; "*" takes any number of values of any type."""

    name: str
    parameters: str
    result: str
    function: Callable[..., Any]
    sees_nulls: bool = False
