"""Exact attribution: which source caused how much, through which channel, along which path, and who passed it on."""

from contagion.attribution.attribute import attribute
from contagion.attribution.paths import feedback, paths, walks
from contagion.attribution.result import Attribution

__all__ = ["Attribution", "attribute", "feedback", "paths", "walks"]
