"""Systemic risk on exposure graphs."""

from contagion.errors import ContagionError, InputError, NotConverged
from contagion.scenario import Override, Scenario, read_scenario
from contagion.solution import Solution
from contagion.solve import solve
from contagion.system import System
