"""Systemic risk on exposure graphs: who takes down whom, through what, and what would have stopped it.

Load a system and its scenarios, solve one to its fixed point, rank what it hurts:

>>> import contagion as ct
>>> system, scenarios = ct.datasets.load("loop_lending")
>>> solution = ct.solve(system, scenarios["fall_25"])
>>> solution.converged
True
>>> ranking = ct.rank(solution)
>>> ranking.columns[0]
'rank'
"""

from contagion import datasets, generate
from contagion.attribution import Attribution, attribute, paths, walks
from contagion.diagram import draw, render
from contagion.errors import ContagionError, InputError, NotConverged
from contagion.io import read_system, write_system
from contagion.ranking import rank
from contagion.review import review
from contagion.scenario import Override, Scenario, read_scenario
from contagion.solution import Solution
from contagion.solve import solve
from contagion.system import System
from contagion.validate import validate

__all__ = [
    "Attribution",
    "ContagionError",
    "InputError",
    "NotConverged",
    "Override",
    "Scenario",
    "Solution",
    "System",
    "attribute",
    "datasets",
    "draw",
    "generate",
    "paths",
    "rank",
    "read_scenario",
    "read_system",
    "render",
    "review",
    "solve",
    "validate",
    "walks",
    "write_system",
]
