"""What is being done to regions: operators made of steps, at most one a region.

    steps, range_steps   one change each: of a member, of the leader, of the borders
    moves                from the peers there are to those wanted, never below a majority
    operator             steps, with what they are for and how urgent
    controller           those that run, and what became of those that ran
    influence            what they will have changed about the stores when they are done

Nobody tells PD that a step is done: it sees it in a report, whose answer carries the next step. An operator whose
region changed in a way that is not its own doing is over; so is one that a more urgent one replaces, or that takes too
long.
"""
