"""Seeded synthetic systems of any size, for tests, benchmarks and first steps."""

from contagion.generate.in_parts import partitioned
from contagion.generate.whole import system

__all__ = ["partitioned", "system"]
