"""Values: objects that nobody changes once they are made, and that are made by the thousand.

A frozen dataclass of ten fields takes five times as long to make as one that is not, because each field is set by a
call of `object.__setattr__`. Where messages, records and events are made for every key of every transaction, that was a
twelfth of a store's time. So what stands in the way of a change here is the type checker, which takes these classes for
frozen ones; at run time they only behave like them: equal by their fields, and with a hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def valueclass(cls: type[T]) -> type[T]:
    """Makes a slotted dataclass that is not to be changed. Class decorator."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
