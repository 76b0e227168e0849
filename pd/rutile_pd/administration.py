"""What people may change: stores, schedulers, placement rules, settings. All of it is kept, and counts from now on.

Refusals are UnknownStore for a store that is none, and InvalidRequest, with what would be right, for all else.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from rutile_pd.cluster import Cluster
from rutile_pd.config import Scalar
from rutile_pd.placement.rule_book import RuleBook
from rutile_pd.placement.rules import Rule, RuleGroup
from rutile_pd.stores.store_settings import StoreSettings
from rutile_proto import pdadminpb_pb2 as pdadminpb
from rutile_proto.errors import InvalidRequest


class Administration:
    """Changes to a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._conductor = cluster.conductor

    # --- stores ---------------------------------------------------------------------------------------------------

    def set_store(self, request: pdadminpb.SetStoreRequest) -> None:
        """Set labels, weights and limits; what the request does not have stays."""
        old = self._cluster.stores.get(request.store_id).settings
        labels = {} if request.reset_labels else dict(old.labels)
        labels |= {label.key: label.value for label in request.labels}
        changed: dict[str, Any] = dataclasses.asdict(old) | {"labels": labels} | _numbers(request)
        new = StoreSettings(**changed).checked()
        self._cluster.stores.set_settings(request.store_id, new)
        self._cluster.settings.save_store(request.store_id, new)

    # --- schedulers -----------------------------------------------------------------------------------------------

    def change_scheduler(self, request: pdadminpb.ChangeSchedulerRequest, now_ms: int) -> None:
        """Add, remove, pause or resume a scheduler."""
        book, store_ids = self._conductor.schedulers, list(request.store_ids)
        for store_id in store_ids:
            self._cluster.stores.get(store_id)
        match request.change:
            case pdadminpb.ChangeSchedulerRequest.ADD:
                book.add(request.name, store_ids)
            case pdadminpb.ChangeSchedulerRequest.REMOVE:
                book.remove(request.name, store_ids)
            case pdadminpb.ChangeSchedulerRequest.PAUSE:
                book.pause(request.name, request.pause_seconds, now_ms)
            case _:
                book.pause(request.name, 0, now_ms)
        self._cluster.settings.save_schedulers(book.running)

    # --- placement rules ------------------------------------------------------------------------------------------

    def change_rules(self, request: pdadminpb.ChangeRulesRequest) -> None:
        """Delete and set rules and groups: all of it, or nothing if what is left would make no sense."""
        old = self._conductor.rules
        set_ = [Rule.from_object(given) for given in _list(request.set_rules_json)]
        groups = [RuleGroup.from_json(json.dumps(given)) for given in _list(request.set_groups_json)]
        deleted = [(name.group_id, name.id) for name in request.delete_rules]
        self._go_by(old.changed(deleted, list(request.delete_groups), groups, set_))

    def _go_by(self, rules: RuleBook) -> None:
        self._cluster.settings.save_rules(self._conductor.rules, rules)
        self._conductor.set_config(self._cluster.config, rules)

    # --- settings -------------------------------------------------------------------------------------------------

    def set_setting(self, name: str, value_json: str) -> None:
        """Change one setting of the cluster; `config.changeable()` are their names."""
        try:
            value: Scalar = json.loads(value_json)
        except ValueError as error:
            raise InvalidRequest(f"the value of {name} must be JSON: {error}") from error
        config = self._cluster.config.changed(name, value)
        rules = self._conductor.rules.with_config(config)
        self._cluster.settings.save_config(name, value)
        self._conductor.set_config(config, rules)


def _numbers(request: pdadminpb.SetStoreRequest) -> dict[str, float | None]:
    """The weights and limits that the request has, by their names in StoreSettings."""
    found: dict[str, float | None] = {}
    if request.HasField("leader_weight"):
        found["leader_weight"] = request.leader_weight
    if request.HasField("region_weight"):
        found["region_weight"] = request.region_weight
    if request.HasField("add_limit"):
        found["add_limit_per_minute"] = request.add_limit if request.add_limit >= 0 else None
    if request.HasField("remove_limit"):
        found["remove_limit_per_minute"] = request.remove_limit if request.remove_limit >= 0 else None
    return found


def _list(text: str) -> Sequence[dict[str, object]]:
    """A JSON list of objects; nothing for an empty text."""
    try:
        given = json.loads(text or "[]")
    except ValueError as error:
        raise InvalidRequest(f"not JSON: {error}") from error
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise InvalidRequest("a JSON list of objects is wanted")
    return given
