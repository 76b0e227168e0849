"""Rutile under test: a whole cluster in one process, on disks that forget, a network that loses and clocks that drift.

What Rutile is tested with, for those who build on it. The shells and the client are those that run in production; they
are given other things to stand on:

    StoreNode, PdMember, Client
      engine   ForgetfulDisk      loses what was not synced when the power goes; may fail
      network  SimulatedNetwork   delays, loses, repeats, cuts; fails as gRPC does
      clock    SkewedClock        set wrong, runs too fast
      loop     ClusterLoop        can let one machine stand still, as SIGSTOP does
               VirtualLoop        the same in simulated time: the same seed gives the same run

* fixture.py: `RutileCluster` with SQL connections, and the pytest fixture `rutile_cluster` (docs/testing.md).
* cluster.py: `InProcessCluster`, and the faults one can ask it for. places.py: where its stores and placement drivers
  run, and how they start. placement.py: how placement drivers meet, and are found.
* network.py: who reaches whom. calls.py, stubs.py, transport.py: what travels: calls, streams, Raft messages.
* disk.py, clocks.py, loops.py: the other parts above. trace.py: what happened, and a hash of it.

Left out on purpose: processes and sockets (an in-process cluster has one of the former and none of the latter) and
torn writes inside a batch (an engine's batch is atomic by its contract).
"""
