"""Raw data: plain keys and values without versions, side by side with transactional data and out of its reach.

    raw key     the user's bytes, as they are, in a family of the raw data         raw      cf "default", or none named
    raw value   the user's value, perhaps an expiry, one byte of flags             raw_lock, raw_write   the other two

A region covers a range of bytes. What it holds of the transactional families are the keys whose memcomparable form
lies in the range; what it holds of the raw families are the keys that lie in it as they are. So one map of regions
serves both, each kind of client asks for regions in its own form, and neither can see, lock or overwrite what the
other has: no family holds both. What follows for the boundaries of regions is told in docs/decisions/raw-keys.md; they
are chosen in `rutile_proto.boundaries`.

The pieces:

    families     the three names clients may give a family                values    what stands in the engine
    reader       get, time to live, scans: what has expired is not there  checksum  CRC-64 of everything in a range
    latches      who may write a key now                                  commands  those who look before they write
    writer       the shell: latches, view, decision, log                  sweep     removing what has expired

Invariants:

1. Puts and deletes do not look. Those on one key may be in the log at the same time; their order there is their order.
2. Whoever looks before it writes (compare-and-swap, the sweep) has its keys to itself from the look until what it
   wrote is applied, against puts and deletes too. So a compare-and-swap needs no consent of other writers (TiKV asks
   all of them to set `for_cas`; here that flag changes nothing).
3. A key has expired when the clock of the region's leader says so; an expired key is as absent as one never written.
   Its bytes go when it is overwritten or swept. Clocks are given as `now_s`, whole Unix seconds.
4. The time to live is a property of a value, not of the cluster: any put may name one.

Left out on purpose: API version 2 (key prefixes and keyspaces; a family of its own already keeps raw from
transactional), causal timestamps on raw writes, and coprocessor plugins.
"""
