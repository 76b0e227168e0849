"""The outside world, behind shapes small enough to replace: the clock and the network.

Cores never look here: time comes to them as ticks or `now_ms`, messages as arguments. Shells take a `Clock`, and speak
to other processes through *stubs*; a test hands them a `ManualClock` and a `LocalStub`, and nothing above can tell.

    shell ── stub ──► gRPC channel ─── wire ─── gRPC server ──► servicer       two processes
    shell ── stub ──────────────── LocalStub ─────────────────► servicer       one process: a call, no serialisation

* clock.py: wall and monotonic time, real or advanced by hand.
* rpc.py: servers and channels. local_rpc.py: `LocalStub`, whose behaviour a test compares with gRPC's case by case.
* status_error.py: the error of a call that ended with a gRPC status without gRPC.
* health.py: the health check every server answers. failpoints.py: where tests let a process die.
* interruptible.py: work in a thread that does not outlive the wait for it.
* heap.py: the C library's, for a process that does nothing but move arrays.

Left out on purpose: files (the engine owns its directory) and randomness (a seeded `random.Random` is passed where it
is wanted).
"""
