"""What holds for all tests."""

from hypothesis import settings

settings.register_profile("steady", derandomize=True, database=None)
settings.register_profile("search", derandomize=False)
settings.load_profile("steady")
"""The same examples every time: who changes a thing is not stopped by another. `make properties` looks for new ones."""
