"""Questions that take more than one solve: one is immune, one fails alone, the shock grows until it tips."""

from contagion.stress.collateral import collateral_curve
from contagion.stress.failed import impact_if_failed
from contagion.stress.immune import avoided_if_immune
from contagion.stress.tipping import TippingPoint, tipping_point

__all__ = ["TippingPoint", "avoided_if_immune", "collateral_curve", "impact_if_failed", "tipping_point"]
