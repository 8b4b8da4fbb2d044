from __future__ import annotations

from hypothesis import settings

# Machines that are shared are slow at times; speed is what benchmarks measure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
