"""Repeatable choices: schedulers look at a few regions of a store, drawn by a generator that a number starts.

A core may not ask the system for randomness, and a simulation must be able to run twice with the same choices. The
generator is Steele, Lea and Flood's SplitMix64 (OOPSLA 2014): one addition and a mixing of bits.
"""

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


class Dice:
    """A stream of numbers that depends on `seed` alone."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def below(self, bound: int) -> int:
        """A number in [0, bound); `bound` is at least 1 and far below 2^64, so that all are about equally likely."""
        self._state = (self._state + _STEP) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) % bound
