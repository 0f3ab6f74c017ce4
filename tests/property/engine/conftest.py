"""A busy machine is no reason to fail: no deadlines, and the same examples every time."""

from hypothesis import settings

settings.register_profile("engine", deadline=None, derandomize=True)
settings.load_profile("engine")
