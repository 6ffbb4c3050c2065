"""Whether more bad news is always worse, so that rounds may set out from the solution of something milder."""

from __future__ import annotations

from contagion.kernels.order import keeps_order
from contagion.scenario import Scenario

__all__ = ["grows_with_multiple", "keeps_order"]


def grows_with_multiple(scenario: Scenario, links: bool) -> bool:
    """Return whether a larger multiple of the scenario is worse in every respect.

    Not if it deepens a market, or changes the links between venues: those spread pressure as well as relieve it.
    """
    return all(factor <= 1.0 for factor in scenario.depth.values()) and (scenario.arbitrage == 1.0 or not links)
