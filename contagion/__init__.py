"""Systemic risk on exposure graphs: who takes down whom, through what, and what would have stopped it.

Load a system and its scenarios, solve one to its fixed point, rank whom its loss passed, ask where it came from:

>>> import contagion as ct
>>> system, scenarios = ct.datasets.load("loop_lending")
>>> solution = ct.solve(system, scenarios["fall_25"])
>>> solution.converged
True
>>> ranking = ct.rank(solution)
>>> ranking.columns[0]
'rank'
>>> ct.attribute(solution).sources.index[0]
'shock:USDe'

Charts (``draw_timeline``, ``draw_tipping``, ``draw_collateral_curve``, ``draw_leverage``) need the extra ``charts`` and
load matplotlib when they are first asked for.
"""

from importlib import import_module as _import_module

from contagion import clearing, datasets, generate, reconstruct
from contagion import notebook as notebook  # loaded so that systems and solutions show themselves in notebooks
from contagion.attribution import Attribution, attribute, paths, provenance, walks
from contagion.compare import Comparison, compare
from contagion.diagram import draw, draw_paths, render
from contagion.errors import ContagionError, InputError, NotConverged, WorkersLost
from contagion.io import read_system, write_system
from contagion.measures import debt_at_risk, headroom, leverage_distribution, run_coverage, value_locked
from contagion.override import Override
from contagion.parts import Partitioned, PartitionedSolution, open_partitioned, partition
from contagion.ranking import rank
from contagion.review import review
from contagion.scenario import Scenario, read_scenario
from contagion.solution import Solution
from contagion.solve import solve
from contagion.stress import TippingPoint, avoided_if_immune, collateral_curve, impact_if_failed, tipping_point
from contagion.sweep import (
    Draws,
    Grid,
    ReverseStress,
    gaussian_draws,
    grid,
    historical_draws,
    reverse,
    reverse_within,
    sweep,
)
from contagion.system import System
from contagion.timeline import Timeline, timeline
from contagion.validate import validate

__all__ = [
    "Attribution",
    "Comparison",
    "ContagionError",
    "Draws",
    "Grid",
    "InputError",
    "NotConverged",
    "Override",
    "Partitioned",
    "PartitionedSolution",
    "ReverseStress",
    "Scenario",
    "Solution",
    "System",
    "Timeline",
    "TippingPoint",
    "WorkersLost",
    "attribute",
    "avoided_if_immune",
    "clearing",
    "collateral_curve",
    "compare",
    "datasets",
    "debt_at_risk",
    "draw",
    "draw_paths",
    "gaussian_draws",
    "generate",
    "grid",
    "headroom",
    "historical_draws",
    "impact_if_failed",
    "leverage_distribution",
    "open_partitioned",
    "partition",
    "paths",
    "provenance",
    "rank",
    "read_scenario",
    "read_system",
    "reconstruct",
    "render",
    "reverse",
    "reverse_within",
    "review",
    "run_coverage",
    "solve",
    "sweep",
    "timeline",
    "tipping_point",
    "validate",
    "value_locked",
    "walks",
    "write_system",
]

_LATE = {
    "Streaming": "contagion.parts.local",
    "draw_collateral_curve": "contagion.charts",
    "draw_leverage": "contagion.charts",
    "draw_timeline": "contagion.charts",
    "draw_tipping": "contagion.charts",
}


def __getattr__(name: str) -> object:
    """Load charts with matplotlib, and what streams parts with the compiler, when they are first asked for."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(_LATE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATE])
