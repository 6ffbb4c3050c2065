"""The solver's front door: check, lower, iterate, and say how sure the result is."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal, NoReturn, cast, overload

import numpy as np
from tqdm import tqdm

from contagion import cluster
from contagion.arrays import lower
from contagion.errors import InputError, NotConverged, instance, is_number, refuse, whole
from contagion.frames import Parts
from contagion.kernels import Inputs, Record, Rounds, iterate, settle
from contagion.kernels.ahead import iterate_ahead
from contagion.kernels.chunks import COMPILED_FROM
from contagion.kernels.order import keeps_order
from contagion.kernels.reaction import Firsts
from contagion.kernels.rounds import everything_lost
from contagion.parts import Partitioned, PartitionedSolution
from contagion.scenario import Scenario
from contagion.solution import Solution
from contagion.system import System
from contagion.validate import applied

if TYPE_CHECKING:
    from distributed import Client

    from contagion.parts.engine import Engine

__all__ = ["solve"]


@overload
def solve(
    system: System,
    scenario: Scenario | None = None,
    tol: float = 1e-12,
    max_rounds: int = 20_000,
    on_failure: Literal["raise", "return"] = "raise",
    progress: bool = False,
    greatest: bool = False,
    rounds: Literal["jacobi", "fast"] = "jacobi",
) -> Solution: ...


@overload
def solve(
    system: Partitioned,
    scenario: Scenario | None = None,
    tol: float = 1e-12,
    max_rounds: int = 20_000,
    on_failure: Literal["raise", "return"] = "raise",
    progress: bool = False,
    greatest: bool = False,
    rounds: Literal["jacobi", "fast"] = "jacobi",
    engine: Engine | Client | None = None,
) -> PartitionedSolution: ...


def solve(
    system: System | Partitioned,
    scenario: Scenario | None = None,
    tol: float = 1e-12,
    max_rounds: int = 20_000,
    on_failure: Literal["raise", "return"] = "raise",
    progress: bool = False,
    greatest: bool = False,
    rounds: Literal["jacobi", "fast"] = "jacobi",
    engine: Engine | Client | None = None,
) -> Solution | PartitionedSolution:
    """Return the least fixed point that a scenario forces on a system: prices, liquidations, liquidity and losses.

    Parameters
    ----------
    system : System or Partitioned
        Tables; checked first. Those in parts (`contagion.open_partitioned`) need not fit into memory.
    scenario : Scenario, optional
        Shocks, depth factors, arbitrage, losses and overrides; by default nothing happens.
    tol : float
        Largest move of any unknown (log drop, liquidated share, withdrawn share, haircut) in the last round.
    max_rounds : int
        Cap on the rounds; reaching it is never silent.
    on_failure : {"raise", "return"}
        Whether a result that has not converged raises or comes back with ``converged`` False.
    progress : bool
        Whether to show rounds on stderr.
    greatest : bool
        Whether to return the greatest fixed point instead, in which everybody runs because everybody else does. Rounds
        come down from everything lost; ``solution.self_fulfilling`` is the loss beyond that of the least fixed point,
        which no shock has forced. Not for systems in parts.
    rounds : {"jacobi", "fast"}
        Order of the rounds. Jacobi rounds are the model's own timeline. Fast ones reach the same fixed point, to 1e-9,
        and near a tipping point in dozens of passes over the accounts instead of thousands: where rounds are slow, a
        pass looks ahead along a path and goes as far as is certain not to pass the least fixed point. ``rounds`` and
        round numbers of accounts then count passes, and `timeline` and `provenance` are not to be had. Systems that do
        not keep the order (with hedges, funded calls, or accounts that nodes own) take Jacobi rounds all the same, with
        the same bits, but these evaluate only accounts that can have changed, in the compiled pass whatever the size:
        calls and deficits of accounts that had sold all are not noted in ``rounds`` and ``called_round``. Rounds that
        are fast enough are Jacobi rounds in any system; ``solution.looks`` is then 0. The greatest fixed point is not
        affected. Systems in parts are solved by Jacobi rounds alone.
    engine : Streaming or distributed.Client, optional
        Who holds the parts of a system in parts: by default this machine, which streams them from disk
        (`contagion.Streaming` says where scratch files go and how many processes pack); with the extra
        ``contagion[distributed]``, the workers of a Dask client, which read them from the folder (all of them must see
        it) and keep them in memory. One that dies is replaced, and the rounds go on.

    Returns
    -------
    Solution
        Tables by market, account, node, quote and round, and totals; of a system in parts, the same without accounts
        (`contagion.PartitionedSolution`).

    Raises
    ------
    InputError
        If system, scenario or another argument is not valid (the message lists every problem); of a system in parts,
        also if an override changes a table that stands in parts, or there is no room for scratch files.
    NotConverged
        If ``max_rounds`` are not enough; the error carries the unfinished solution.
    WorkersLost
        If no worker of the engine is left and none comes.

    Notes
    -----
    Rounds in Jacobi order from zero, with a ratchet on liquidated shares, withdrawn quotes and haircuts. For long-only
    systems this is the least fixed point of an isotone map (Tarski 1955; joint clearing of prices and liquidity: Cao
    and Feinstein 2024), but for two links that bend the order (``docs/decisions/0008``); with hedged books it still
    ends, and the outcome may depend on the order.

    Examples
    --------
    >>> import contagion as ct
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> solution = ct.solve(system)
    >>> solution.converged, round(solution.accounts["gross_assets_before"].iloc[0])
    (True, 368928)
    """
    scenario = Scenario() if scenario is None else scenario
    _check_arguments(system, scenario, tol, max_rounds, on_failure, rounds, greatest)
    if isinstance(system, Partitioned):
        _check_parts(greatest, rounds)
        return _in_parts(system, scenario, tol, max_rounds, on_failure, progress, engine)
    if engine is not None:
        raise InputError("engine holds the parts of a system in parts; write one with contagion.partition")
    system = applied(system, scenario)
    inputs, labels = lower(system, scenario)
    with tqdm(desc="rounds", unit="", disable=not progress) as bar:
        show = partial(_show, bar)
        run = iterate(inputs, tol, max_rounds, show) if rounds == "jacobi" else _fast(inputs, tol, max_rounds, show)
        worst = _greatest(inputs, tol, max_rounds, show) if greatest else None
    solution = Solution(system, scenario, tol, Parts(system, inputs, labels, run, settle(inputs, run.state, run.sold)))
    if worst is not None and (run.converged or on_failure == "return"):
        parts = Parts(system, inputs, labels, worst, settle(inputs, worst.state, worst.sold))
        solution = Solution(system, scenario, tol, parts, forced_loss=solution.totals["loss"])
    if not solution.converged and on_failure == "raise":
        faster = rounds == "jacobi" and worst is None and keeps_order(inputs)
        raise NotConverged(_failure(solution, faster), solution)
    return solution


def _greatest(inputs: Inputs, tol: float, max_rounds: int, show: Callable[[Record], object]) -> Rounds:
    """Return where rounds end that come down from everything lost: nobody is the first to act on that way."""
    run = iterate(inputs, tol, max_rounds, show, everything_lost(inputs), ratchet=np.minimum)
    firsts = Firsts.of(inputs.accounts.platform.size)
    return run._replace(called_round=firsts.called, liquidated_round=firsts.liquidated, cause=firsts.cause)


def _fast(inputs: Inputs, tol: float, max_rounds: int, show: Callable[[Record], object]) -> Rounds:
    """Return where rounds end: by looks ahead or, where the order is not kept, by rounds that leave out what can be."""
    if keeps_order(inputs):
        return iterate_ahead(inputs, tol, max_rounds, show)
    from contagion.kernels import compiled  # loads the compiler

    # the index of a large system takes as long as many of its rounds
    screened = inputs.positions.quantity.nnz < COMPILED_FROM
    return iterate(inputs, tol, max_rounds, show, prepared=compiled.prepare(inputs, screened, ends_only=True))


def _in_parts(
    system: Partitioned,
    scenario: Scenario,
    tol: float,
    max_rounds: int,
    on_failure: str,
    progress: bool,
    engine: Engine | Client | None,
) -> PartitionedSolution:
    from contagion.parts.solve import solve_parts  # loads the compiler

    holder = _holder(engine)
    with tqdm(desc="rounds", unit="", disable=not progress) as bar:
        show = partial(_show, bar)
        solution = solve_parts(system, scenario, tol, max_rounds, holder, show, progress)
    if not solution.converged and on_failure == "raise":
        raise NotConverged(_failure(solution, faster=False), solution)
    return solution


def _holder(engine: Engine | Client | None) -> Engine:
    """Return who holds the parts: this machine unless somebody else is given."""
    from contagion.parts.local import Streaming

    if engine is None or isinstance(engine, Streaming):
        return engine or Streaming()
    refuse(cluster.check_engine(engine, "a contagion.Streaming, or None, to work on this machine"), "solve")
    from contagion.parts.over_cluster import OverCluster  # loads Dask

    return OverCluster(cast("Client", engine))


def _check_parts(greatest: bool, rounds: str) -> None:
    problems = []
    if greatest:
        problems.append("greatest=True is not there for systems in parts; leave it out, or read_system the whole")
    if rounds != "jacobi":
        problems.append(f"rounds={rounds!r} is not there for systems in parts; leave it out, or read_system the whole")
    refuse(problems, "solve")


def _check_arguments(
    system: object,
    scenario: object,
    tol: object,
    max_rounds: object,
    on_failure: object,
    rounds: object,
    greatest: object,
) -> None:
    cure = "a System (read_system reads one from a folder) or one in parts (open_partitioned)"
    problems = instance("system", system, (System, Partitioned), cure)
    problems += instance("scenario", scenario, Scenario, "a Scenario (read_scenario reads one from TOML)")
    if not (is_number(tol) and tol > 0.0):
        problems.append(f"tol is {tol!r}; give a positive number")
    problems += whole("max_rounds", max_rounds, 1)
    if on_failure not in ("raise", "return"):
        problems.append(f"on_failure is {on_failure!r}; give 'raise' or 'return'")
    if rounds not in ("jacobi", "fast"):
        problems.append(f"rounds is {rounds!r}; give 'jacobi' or 'fast'")
    problems += instance("greatest", greatest, (bool, np.bool_), "True or False")
    refuse(problems, "solve")


def _show(bar: tqdm[NoReturn], record: Record) -> None:
    bar.set_postfix(step=f"{record.step:.1e}", refresh=False)
    bar.update()


def _failure(solution: Solution | PartitionedSolution, faster: bool) -> str:
    """Return why there is no result, and what to do; ``faster`` rounds may be among it."""
    if math.isnan(solution.residual):
        average = solution.markets["average_price"]
        lost = ", ".join(map(repr, average.index[~np.isfinite(average)][:5]))
        return (
            f"prices left the range of the arithmetic in round {len(solution.rounds)} (markets {lost}): buying back "
            "shorts or debts in a market with too little depth; check depth and quantities"
        )
    rate, error = solution.rate, solution.error_estimate
    known = "" if math.isnan(rate) else f", rate {rate:.6f}, estimated error {error:.1e}"
    return (
        f"no fixed point after {len(solution.rounds)} rounds: last step {solution.residual:.1e} "
        f"(tol {solution.tol:.0e}){known}; the scenario may be close to a tipping point: raise max_rounds, "
        + ('try rounds="fast", ' if faster else "")
        + 'or take the unfinished state with on_failure="return"'
    )
