"""Charts: what happened when, where a system tips, how much would be sold, and who stands on how little equity.

They come as figures of matplotlib, an extra: ``pip install "contagion[charts]"``. All have one look, name their lines
beside them instead of in a legend, and leave the caller's settings and pyplot alone.
"""

from contagion.charts.collateral import draw_collateral_curve
from contagion.charts.files import save
from contagion.charts.leverage import draw_leverage
from contagion.charts.timeline import draw_timeline
from contagion.charts.tipping import draw_tipping

__all__ = ["draw_collateral_curve", "draw_leverage", "draw_timeline", "draw_tipping", "save"]
