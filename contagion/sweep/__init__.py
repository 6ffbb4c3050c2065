"""Many scenarios of one system: grids, lists and draws in one table, and the smallest shock that breaks something."""

from contagion.sweep.draws import Draws, gaussian_draws, historical_draws
from contagion.sweep.reverse import ReverseStress, reverse
from contagion.sweep.scenarios import Grid, grid
from contagion.sweep.sweep import sweep
from contagion.sweep.within import reverse_within

__all__ = [
    "Draws",
    "Grid",
    "ReverseStress",
    "gaussian_draws",
    "grid",
    "historical_draws",
    "reverse",
    "reverse_within",
    "sweep",
]
