"""What becomes of a merge when one of its regions is split before it is done."""

import dataclasses
import json

import pytest
from toy_stores import CONFIG, Toy

from rutile_pd.administration import Administration
from rutile_pd.operators.operator import Kind
from rutile_proto import pdpb_pb2 as pdpb

SOURCE, TARGET = 1, 2
KEYS = {SOURCE: b"0000", TARGET: b"0002"}
MERGEABLE = dataclasses.replace(CONFIG, split_merge_interval_s=20.0, enable_cross_table_merge=True)


@pytest.fixture(params=[SOURCE, TARGET], ids=["source", "target"])
def toy(request):
    """The source or the target was split while they merged, and the new part reported before the rest did: PD
    took it for what replaces its parent."""
    toy = Toy(stores=4, regions=2, config=MERGEABLE)
    toy.merge = lambda source, target: None
    toy.run_until(lambda: toy.pd.operators.count(Kind.MERGE) == 2 and not toy.pending)
    Administration(toy.pd).set_setting("max_merge_region_size_mib", json.dumps(0))
    toy.split(toy.regions[request.param], [KEYS[request.param]])
    return toy


def test_a_split_of_either_region_ends_the_merge_for_both(toy):
    assert not toy.pd.operators.running(), "what is left waits for a merge that will not be"
    ended = [each.status for each in toy.pd.operators.history() if each.operator.kind is Kind.MERGE]
    assert ended == [pdpb.CANCEL, pdpb.CANCEL]


def test_after_it_a_store_being_removed_is_emptied_at_once(toy):
    leaving = toy.stores_of(toy.regions[TARGET])[0]
    toy.pd.remove_store(leaving)
    toy.run_until(lambda: toy.is_buried(leaving) and toy.is_whole(), rounds=60)
