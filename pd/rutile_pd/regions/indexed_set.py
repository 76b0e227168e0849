"""A set of numbers from which one can be drawn by position: everything about it takes constant time."""

from collections.abc import Iterator


class IndexedSet:
    """Numbers in a list, and where in the list each is. The last one takes the place of one that is removed."""

    __slots__ = ("_items", "_places")

    def __init__(self) -> None:
        self._items: list[int] = []
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item: int) -> bool:
        return item in self._places

    def __iter__(self) -> Iterator[int]:
        return iter(self._items)

    def __getitem__(self, place: int) -> int:
        """The number at a position below the length."""
        return self._items[place]

    def add(self, item: int) -> None:
        """Put a number in; nothing happens if it is there."""
        if item not in self._places:
            self._places[item] = len(self._items)
            self._items.append(item)

    def discard(self, item: int) -> None:
        """Take a number out; nothing happens if it is not there."""
        place = self._places.pop(item, None)
        if place is None:
            return
        last = self._items.pop()
        if last != item:
            self._items[place] = last
            self._places[last] = place
