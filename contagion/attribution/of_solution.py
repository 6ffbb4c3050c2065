"""Attribution of a solution: the loss graph, and its adjoint for a target."""

from __future__ import annotations

from typing import Literal

import numpy as np

from contagion import holdings
from contagion.attribution.adjoint import passed, reduced, throughput
from contagion.attribution.build import loss_graph
from contagion.attribution.result import Attribution
from contagion.attribution.state import terminal
from contagion.attribution.target import check_target, target_of
from contagion.errors import instance, refuse
from contagion.schema import near_misses
from contagion.solution import Solution, unforced

__all__ = ["attribute"]

_RULES = ("binding", "layers")


def attribute(solution: Solution, target: str = "loss", rule: Literal["binding", "layers"] = "binding") -> Attribution:
    """Return where a loss came from: by source, by channel, by transmission, and what passed through whom.

    At the solution every unknown (log drop of a price, liquidated share, withdrawn share, haircut, loss) is written as
    the sum of its causes, u = M·u + c, identically; sources c are the scenario's own keys. The adjoint y = (I − M')⁻¹v
    of a target L = v'u then shares L among sources exactly, c·y, with all feedback, and conserves flows u_j·M_ij·y_i at
    every unknown: Leontief's (1936) inverse, taken of the secants of a non-linear cascade.

    Parameters
    ----------
    solution : Solution
        A solved scenario.
    target : str
        "loss" (gross, ``totals["loss"]``), "equity:<account, group, or group @ platform>" (lost by its owners),
        "deficit:<platform>" (bad debt there), "price:<market>" (its relative drop) or "haircut:<node>".
    rule : {"binding", "layers"}
        Who is the cause of a sale for which several rules ask: the one that binds (docs/model.md, 12), or all of them
        in layers, the Shapley value of a maximum (docs/decisions/0010).

    Returns
    -------
    Attribution
        Tables ``sources``, ``channels``, ``transmission``, ``edges``, ``throughput``, ``opening``, ``mitigated``; how
        they may be read: ``reading``, ``readable``, ``spectral_radius``, ``absolute_shares``, ``residual``.

    Raises
    ------
    InputError
        If there is no such target, prices are not finite, or the solution is a greatest fixed point, of which no shock
        is the cause.

    Notes
    -----
    A source share is an account of what happened, not a forecast of what would have happened without it: for that see
    `contagion.avoided_if_immune`, or solve again with `contagion.Override`.

    Examples
    --------
    >>> import contagion as ct
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> found = ct.attribute(ct.solve(system, scenarios["fall_25"]))
    >>> float(round(found.sources["share"].sum(), 9)), float(round(found.channels["share"].sum(), 9))
    (1.0, 1.0)
    """
    _check_arguments(solution, target, rule)
    t = terminal(solution.parts, solution.scenario)
    made = loss_graph(t, rule == "layers")
    grouped = holdings.groups(t.parts.system, t.parts.inputs, t.parts.labels)
    wanted = target_of(target, t, made.graph, grouped)
    between = reduced(made.graph)
    through = throughput(made.graph, between, wanted.amounts)
    revalued = passed(made.graph, wanted.amounts)
    return Attribution(target, wanted.unit, wanted.total, t, made, between, through, revalued, wanted.amounts)


def _check_arguments(solution: object, target: object, rule: object) -> None:
    problems = instance("solution", solution, Solution, "a Solution (solve returns one)") + unforced(solution)
    if isinstance(solution, Solution):
        if not np.isfinite(solution.parts.outcome.clearing.average(solution.parts.inputs.markets)).all():
            problems.append("prices of the solution are not finite; there is nothing to attribute before it converges")
        problems += check_target(target, solution.system)
    else:
        problems += check_target(target, None)
    if not isinstance(rule, str) or rule not in _RULES:
        near = near_misses(rule, _RULES) if isinstance(rule, str) else ""
        problems.append(f"rule is {rule!r}{near}; give 'binding' or 'layers'")
    refuse(problems, "attribute")
