"""Exact attribution: which source caused how much, through which channel, along which path, and who passed it on."""

from contagion.attribution.by_round import provenance
from contagion.attribution.of_solution import attribute
from contagion.attribution.path_tables import feedback, paths, walks
from contagion.attribution.result import Attribution

__all__ = ["Attribution", "attribute", "feedback", "paths", "provenance", "walks"]
