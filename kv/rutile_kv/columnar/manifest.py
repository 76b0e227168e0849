"""`Manifest`: what is to be known of a base's file without opening it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rutile_coprocessor.schema import TableSchema
from rutile_kv.columnar import zones
from rutile_kv.columnar.base import Place
from rutile_kv.columnar.keys import BaseKey
from rutile_kv.columnar.zones import Zone

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which rows a file has, how they are laid out, and what the file is if it is whole."""

    key: BaseKey
    index: int
    max_commit_ts: int
    schema: TableSchema
    size_bytes: int
    checksum: int
    zones: Mapping[Place, Zone]

    @property
    def stem(self) -> str:
        key = self.key
        return f"{key.region_id}-{key.epoch_version}-{key.table_id}-{key.layout_version}-{self.index}"

    def to_json(self) -> str:
        key = self.key
        body = {
            "format": FORMAT, "key": [key.region_id, key.epoch_version, key.table_id, key.layout_version],
            "index": self.index, "max_commit_ts": self.max_commit_ts, "schema": self.schema.to_bytes().decode(),
            "size_bytes": self.size_bytes, "checksum": self.checksum,
            "zones": [[*place, *zones.to_json(zone)] for place, zone in self.zones.items()],
        }  # fmt: skip
        return json.dumps(body)

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Raises ValueError, KeyError, TypeError or InvalidRequest for what is not one of this format."""
        body = json.loads(text)
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']} is not {FORMAT}")
        schema = TableSchema.from_bytes(body["schema"].encode())
        numbers = body["index"], body["max_commit_ts"]
        found = {(each, number): zones.from_json(zone) for each, number, *zone in body["zones"]}
        return Manifest(BaseKey(*body["key"]), *numbers, schema, body["size_bytes"], body["checksum"], found)
