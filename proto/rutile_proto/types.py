"""Names for the integers that travel everywhere, so that a store id never stands where a peer id should."""

from typing import NewType

ClusterId = NewType("ClusterId", int)
StoreId = NewType("StoreId", int)
RegionId = NewType("RegionId", int)
PeerId = NewType("PeerId", int)
Term = NewType("Term", int)
LogIndex = NewType("LogIndex", int)
Timestamp = NewType("Timestamp", int)
TableId = NewType("TableId", int)
ColumnId = NewType("ColumnId", int)
IndexId = NewType("IndexId", int)
