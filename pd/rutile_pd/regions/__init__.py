"""What is known of the regions: a million of them, so that every question about them costs the same as for ten.

    tree             disjoint ranges, kept disjoint by epochs; what lies on which store
    region_info      one region in few bytes
    load_statistics  who reads and writes how much
    store_figures    what lies on one store, counted
    health, recent   those that are not as they should be, by what is wrong; those that a split has just made
    ordered_map, indexed_set   the containers: by key, and to draw from
    split_request    one request to split, and how far it has come

All of it is a cache of what the stores know. A report replaces what it is newer than (version, then conf_ver, then
term); what is older is refused with `tree.StaleRegion`. Every index is kept up as reports come in: nothing ever walks
over all regions in order to decide something, and nothing here is asked for the time.
"""
