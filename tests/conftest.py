"""Settings that hold for every test."""

from hypothesis import settings

settings.register_profile("contagion", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("contagion")
