"""Rutile under test: disks that forget, networks that lose, clocks that drift, all in one process.

What Rutile is tested with, for those who build on it.

* disk.py: an engine that loses what was not synced when its power goes.
* trace.py: what happened, and a hash of it.
"""
