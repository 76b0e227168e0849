"""What was set by hand, and must outlive the process: names and forms in which PdStorage keeps it.

    config                       {"leader_schedule_limit": 8, ...}: what differs from the command line
    store/<id>                   labels, weights and limits of a store
    rule/<group>/<id>            a placement rule; rule_group/<id>: a group of them
    schedulers                   the schedulers that are to run, with their arguments

All of it is small, written rarely, and read once, when a placement driver takes over.
"""

import json

from rutile_pd.config import PdConfig, Scalar
from rutile_pd.consensus.storage import PdStorage
from rutile_pd.placement.rule_book import RuleBook
from rutile_pd.placement.rules import Rule, RuleGroup
from rutile_pd.stores.store_settings import StoreSettings

_CONFIG = "config"
_SCHEDULERS = "schedulers"
_STORE = "store/"
_RULE = "rule/"
_RULE_GROUP = "rule_group/"


class Settings:
    """Typed access to the table above."""

    def __init__(self, storage: PdStorage) -> None:
        self._storage = storage
        saved = dict(storage.settings(_CONFIG)).get("")
        self._changes: dict[str, Scalar] = {} if saved is None else json.loads(saved)

    def config(self, started_with: PdConfig) -> PdConfig:
        """The configuration a process was started with, as it was changed since."""
        config = started_with
        for name, value in self._changes.items():
            config = config.changed(name, value)
        return config

    def save_config(self, name: str, value: Scalar) -> None:
        """Keep one changed setting."""
        self._changes[name] = value
        self._storage.save_setting(_CONFIG, json.dumps(self._changes).encode())

    def stores(self) -> dict[int, StoreSettings]:
        """Settings of stores, by store."""
        return {int(name): StoreSettings.from_json(value) for name, value in self._storage.settings(_STORE)}

    def save_store(self, store_id: int, settings: StoreSettings) -> None:
        self._storage.save_setting(f"{_STORE}{store_id}", settings.to_json())

    def rules(self, config: PdConfig) -> RuleBook:
        """The placement rules; the default one is made from the configuration unless it was set."""
        rules = [Rule.from_json(value) for _, value in self._storage.settings(_RULE)]
        groups = [RuleGroup.from_json(value) for _, value in self._storage.settings(_RULE_GROUP)]
        return RuleBook(config, rules, groups)

    def save_rules(self, old: RuleBook, new: RuleBook) -> None:
        """Keep what differs."""
        for rule in old.set_rules():
            if new.rule(rule.group_id, rule.id) != rule:
                self._storage.save_setting(f"{_RULE}{rule.group_id}/{rule.id}", None)
        for rule in new.set_rules():
            self._storage.save_setting(f"{_RULE}{rule.group_id}/{rule.id}", rule.to_json())
        for group in old.set_groups():
            self._storage.save_setting(_RULE_GROUP + group.id, None)
        for group in new.set_groups():
            self._storage.save_setting(_RULE_GROUP + group.id, group.to_json())

    def schedulers(self) -> dict[str, list[str]] | None:
        """Scheduler names with their arguments; None if they were never changed."""
        saved = dict(self._storage.settings(_SCHEDULERS)).get("")
        return None if saved is None else dict(json.loads(saved))

    def save_schedulers(self, running: dict[str, list[str]]) -> None:
        self._storage.save_setting(_SCHEDULERS, json.dumps(running).encode())
