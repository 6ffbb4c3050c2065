"""Measures of a system, or of where a scenario has left it, that need no further solve; one idea a module."""

from contagion.measures.distance import debt_at_risk
from contagion.measures.headroom import headroom
from contagion.measures.leverage import leverage_distribution
from contagion.measures.run import run_coverage
from contagion.measures.value import value_locked

__all__ = ["debt_at_risk", "headroom", "leverage_distribution", "run_coverage", "value_locked"]
