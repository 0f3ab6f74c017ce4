"""A busy machine is no reason to fail, nor is chance: no deadlines, and the same examples every time."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "pyctr", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("pyctr")
