"""Solving a system in parts: the rounds of `contagion.kernels.rounds` around parts that somebody else holds."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from contagion.errors import InputError, refuse
from contagion.kernels import Record, iterate
from contagion.parts.engine import Engine, Parts
from contagion.parts.messages import Plan
from contagion.parts.partitioned import Partitioned
from contagion.parts.solution import PartitionedSolution, settled
from contagion.parts.whole import PartsPass, Whole
from contagion.scenario import Scenario
from contagion.system import System
from contagion.validate import problems
from contagion.validate.scenarios import check_scenario

__all__ = ["solve_parts"]


def solve_parts(
    system: Partitioned,
    scenario: Scenario,
    tol: float,
    max_rounds: int,
    engine: Engine,
    show: Callable[[Record], object] | None = None,
    progress: bool = False,
) -> PartitionedSolution:
    """Return the least fixed point of a system in parts, whether the rounds have converged or not.

    Raises
    ------
    InputError
        If tables, rows of any part, or the scenario are not valid; the message lists every problem.
    """
    system, found = _under(system, scenario)
    plan = _plan(system)
    found += [*plan.known, *check_scenario(system.small, scenario)]
    subject = f"{system.folder} and scenario"
    try:
        parts = engine.open(plan, progress)
    except InputError as error:
        raise InputError([*found, *error.problems], subject) from None
    try:
        refuse([*found, *_check_names(plan, parts)], subject)
        whole = Whole.of(system.small, scenario, parts.summaries)
        parts.place(whole.columns)
        run = iterate(whole.inputs, tol, max_rounds, show, react=PartsPass(whole, parts))
        return PartitionedSolution(system, scenario, tol, settled(whole, parts, run), parts)
    except BaseException:
        parts.close()
        raise


def _under(system: Partitioned, scenario: Scenario) -> tuple[Partitioned, list[str]]:
    """Return the system with a scenario's overrides; without them, and what is wrong, where they are at fault."""
    try:
        return system.under(scenario), []
    except InputError as error:
        return system, list(error.problems)


def _plan(system: Partitioned) -> Plan:
    """Return what every part has to know; small tables are checked first, as far as they go without parts."""
    small = system.small
    alone = System(**{name: table for name, table in small.tables() if name not in ("quotes", "funding")})
    return Plan(system.folder, system.names, small, sum(system.accounts), tuple(problems(alone)))


def _check_names(plan: Plan, parts: Parts) -> list[str]:
    """Return what is wrong with quotes and funding, whose accounts may stand in any part, once parts are packed."""
    if plan.known:
        return []
    names = {name for each in parts.summaries for name in (*each.quoting, *each.linked)}
    known = sorted(names)
    nodes = plan.small.nodes["node"]
    accounts = pd.DataFrame({"account": known, "platform": nodes.iloc[0] if len(nodes) else ""})
    return problems(plan.small.with_table("accounts", accounts))
