"""For all tests: Hypothesis judges results, not speed, because the machine may be busy with other things."""

from hypothesis import settings

settings.register_profile("rutile", deadline=None)
settings.load_profile("rutile")
