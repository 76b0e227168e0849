"""What is known of the stores: who is a member, how each is doing, and what people have said about it.

    registry         stores by id; from up to tombstone, and which of those steps is seen and which decided
    store_settings   weights, limits and labels set by hand: kept by PD, whatever the store says of itself
    store_limit      how many peers a store may be given or lose in a minute

A store's heartbeat says that it lives and how full it is. Silence is judged when asked, against `now_ms`, so nothing
has to run for a store to be down. What it leads and holds is counted from the regions' reports (`rutile_pd.regions`).
"""
