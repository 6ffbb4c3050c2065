"""Many scenarios of one system in one table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from contagion import cluster
from contagion.arrays import lower
from contagion.errors import InputError, instance, refuse, whole
from contagion.override import Override
from contagion.scenario import Scenario
from contagion.sweep.engine import Engine, Row
from contagion.sweep.fingerprint import Read, fingerprint
from contagion.sweep.measures import check_everywhere, members
from contagion.sweep.scenarios import Listed, Plan, listed
from contagion.sweep.store import Store, check_out
from contagion.sweep.tasks import Task, cut, solved
from contagion.system import System
from contagion.validate import applied
from contagion.validate.scenarios import check_scenario

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["checked_system", "sweep"]

_SHOWN = 5


def sweep(
    system: System,
    scenarios: Sequence[Scenario] | Mapping[str, Scenario],
    measures: Sequence[str] = ("loss",),
    out: str | Path | None = None,
    workers: int | None = None,
    progress: bool = False,
    engine: Client | None = None,
) -> pd.DataFrame:
    """Return the measures of many scenarios of one system, one row each.

    Tables are checked and lowered once, accounts prepared once; each scenario then costs its rounds. Every row is what
    `solve` would find.

    Parameters
    ----------
    system : System
        Tables; checked first.
    scenarios : sequence or mapping of Scenario
        A list, names and their scenarios, a `grid`, or `gaussian_draws` and `historical_draws`. Those with the same
        overrides share what is prepared.
    measures : sequence of str
        Names in ``Solution.totals``; "price:…" (USD) and "drop:…" (share) of a market; "haircut:…" (share), "loss:…",
        "buffer_left:…", "liquidated:…" and "deficit:…" (USD) of a node; "equity:…" (USD lost) of an account, a group,
        or a group on a platform ("whale @ Aave").
    out : path, optional
        Parquet file for the table, with the extra ``contagion[parquet]``. What is done is kept in ``out`` + ".parts"
        until all is; a sweep that was killed goes on from there, and one that is done is read.
    workers : int, optional
        Scenarios that are solved side by side: on threads in systems of 100,000 positions and more, else in processes,
        which import the calling script (keep its work under ``if __name__ == "__main__"``). By default as many as
        there are processors in large systems, one in others. The numbers are the same for any.
    progress : bool
        Whether to show progress on stderr.
    engine : distributed.Client, optional
        Dask workers that solve the scenarios instead, on this machine or on others, with the extra
        ``contagion[distributed]``. What is prepared goes to each once. Work of one that dies is done by the others.

    Returns
    -------
    DataFrame
        Index: scenario, numbered from 0 in the order given.

        - name; then what varies in a grid or draws ("shocks:BTC", "depth:Binance", "losses:fund", "arbitrage")
        - converged, rounds, residual: as in a solution
        - one column a measure; NaN where no fixed point was found in 20,000 rounds

    Raises
    ------
    InputError
        If system, scenarios, measures or another argument are not valid (the message lists every problem; measures must
        be known under the overrides of every scenario), ``out`` or ``out`` + ".parts" holds something else, cannot be
        read or not be written, a worker process ends before its work is done, or workers of the engine run another
        version.
    WorkersLost
        If no worker of the engine is left and none comes; what ``out`` holds is kept.

    Notes
    -----
    Cuts between tasks depend on system and scenarios alone, so the table has the same bits for any number of workers
    (on machines of one kind: another kind of processor may round exponentials and logarithms otherwise).
    Stress tests over many scenarios rather than one: Breuer, Jandačka, Rheinberger and Summer 2009.
    In systems that keep their order (long-only; ``docs/decisions/0008``) scenarios along the last axis of a grid set
    out from the solution of the one before if nothing is milder; rounds then count from there.

    Examples
    --------
    >>> import contagion as ct
    >>> system, _ = ct.datasets.load("loop_lending")
    >>> table = sweep(system, ct.grid(shocks={"USDe": [0.1, 0.14, 0.15]}), ["liquidated"])
    >>> table[["shocks:USDe", "liquidated"]].round()
              shocks:USDe  liquidated
    scenario
    0                 0.0         0.0
    1                 0.0         0.0
    2                 0.0     18647.0
    """
    plan, jobs, chosen = _checked(system, scenarios, measures, out, workers, engine)
    first = Engine.of(jobs[0].system, chosen, len(plan))
    read = _read(first, jobs, chosen)
    store = None if out is None else Store.open(out, chosen, fingerprint(read, plan, chosen))
    with nullcontext() if store is None else closing(store):
        finished = None if store is None else store.finished()
        if finished is not None:
            return finished
        with tqdm(total=len(plan), desc="scenarios", unit="", disable=not progress) as bar:
            rows = _rows(first, plan, jobs, chosen, store, _Side(workers, engine, bar))
        frame = _table(plan, chosen, [rows[each] for each in range(len(plan))])
        if store is not None:
            store.finish(frame)
        return frame


class _Job(NamedTuple):
    """Scenarios with the same overrides, and the system that these make."""

    system: System
    scenarios: tuple[int, ...]


def _read(first: Engine, jobs: Sequence[_Job], measures: tuple[str, ...]) -> Iterator[Read]:
    """Return the arrays of every job, for a cell may matter under some overrides alone."""
    yield first.overlay.inputs, first.overlay.labels, first.tally.members
    for job in jobs[1:]:
        inputs, labels = lower(job.system, Scenario())
        yield inputs, labels, members(measures, job.system, inputs, labels)


class _Side(NamedTuple):
    """How tasks are run, and where they are counted."""

    workers: int | None
    client: Client | None
    bar: tqdm  # type: ignore[type-arg]

    def solved(self, engine: Engine, plan: Plan, tasks: list[Task]) -> Iterator[tuple[Task, list[Row]]]:
        """Return tasks and their rows as they are done."""
        if self.client is None or not tasks:
            return solved(engine, plan, tasks, self.workers)
        from contagion.sweep import over_cluster  # loads Dask

        return over_cluster.solved(engine, plan, tasks, self.client)


def _rows(
    first: Engine, plan: Plan, jobs: Sequence[_Job], measures: tuple[str, ...], store: Store | None, side: _Side
) -> dict[int, Row]:
    """Return the rows of all scenarios, job by job."""
    rows: dict[int, Row] = {}
    number = 0
    for job in jobs:
        made = first if job is jobs[0] else Engine.of(job.system, measures, len(job.scenarios))
        tasks = cut(job.scenarios, made.positions, plan.line if made.keeps_order else 1, number)
        number += len(tasks)
        rows |= _run(made, plan, tasks, store, side)
    return rows


def _run(engine: Engine, plan: Plan, tasks: list[Task], store: Store | None, side: _Side) -> dict[int, Row]:
    """Return the rows of some tasks: those that are stored, and the others once they are solved."""
    rows = {} if store is None else store.done(tasks)
    side.bar.update(len(rows))
    left = [task for task in tasks if task.scenarios[0] not in rows]
    with closing(side.solved(engine, plan, left)) as made:  # type: ignore[type-var]  # generators close
        for task, found in made:
            if store is not None:
                store.write(task, found)
            rows |= dict(zip(task.scenarios, found, strict=True))
            side.bar.update(len(found))
    return rows


def _table(plan: Plan, measures: tuple[str, ...], rows: list[Row]) -> pd.DataFrame:
    names = pd.Series([plan.name(number) for number in range(len(plan))], dtype="str")
    found = {
        "converged": [row.converged for row in rows],
        "rounds": [row.rounds for row in rows],
        "residual": [row.residual for row in rows],
    }
    values = np.array([row.values for row in rows], dtype=np.float64).reshape(len(rows), len(measures))
    measured = pd.DataFrame(values, columns=list(measures))
    frame = pd.concat([names.to_frame("name"), plan.parameters, pd.DataFrame(found), measured], axis=1)
    return frame.rename_axis("scenario")


def _checked(
    system: object, scenarios: object, measures: object, out: object, workers: object, engine: object
) -> tuple[Plan, list[_Job], tuple[str, ...]]:
    """Return the plan, its jobs and the measures; raise what is wrong with any of them, all together."""
    problems = instance("system", system, System, "a System (read_system reads one from a folder)")
    plan, wrong = listed(scenarios)
    problems += wrong + check_out(out) + ([] if workers is None else whole("workers", workers, 1))
    problems += cluster.check_engine(engine)
    if workers is not None and engine is not None:
        problems.append("workers and engine are both given; give one of them (an engine has its own workers)")
    jobs: list[_Job] = []
    if isinstance(system, System):
        jobs, found = ([], []) if plan is None else _jobs(system, plan)
        problems += check_everywhere(measures, system, _named(plan, jobs)) + found
    refuse(problems, "sweep")
    assert plan is not None
    return plan, jobs, tuple(dict.fromkeys(measures))  # type: ignore[call-overload]  # checked above


def _jobs(system: System, plan: Plan) -> tuple[list[_Job], list[str]]:
    """Return scenarios by their overrides, in order of appearance, and what is wrong with system and scenarios.

    Scenarios whose overrides cannot be applied are left out.
    """
    by_overrides: dict[str, tuple[tuple[Override, ...], list[int]]] = {}
    if isinstance(plan, Listed):
        for number, scenario in enumerate(plan):
            by_overrides.setdefault(repr(scenario.overrides), (scenario.overrides, []))[1].append(number)
    else:
        base = plan.scenario(0)
        by_overrides[""] = (base.overrides, list(range(len(plan))))
    jobs, problems = [], list[str]()
    for overrides, numbers in by_overrides.values():
        changed, found = checked_system(system, overrides)
        problems += found
        if not found:
            jobs.append(_Job(changed, tuple(numbers)))
        problems += _check_scenarios(changed, plan, numbers)
    return jobs, list(dict.fromkeys(problems))


def _named(plan: Plan | None, jobs: Sequence[_Job]) -> list[tuple[str, System]]:
    """Return the systems of some jobs, each with the first of its scenarios."""
    return [] if plan is None else [(_where(plan, job.scenarios[0]), job.system) for job in jobs]


def _where(plan: Plan, number: int) -> str:
    name = plan.name(number)
    return f"scenario {number}{f' ({name!r})' if name else ''}"


def checked_system(system: System, overrides: tuple[Override, ...]) -> tuple[System, list[str]]:
    """Return the system with overrides applied, and what is wrong with either."""
    try:
        return applied(system, Scenario(overrides=overrides)), []
    except InputError as error:
        return system, list(error.problems)


def _check_scenarios(system: System, plan: Plan, numbers: Sequence[int]) -> list[str]:
    """Return what is wrong with scenarios; a quick look first, for there may be many."""
    known = _Known.of(system)
    wrong = [number for number in numbers if not known.fits(plan.scenario(number))]
    problems: list[str] = []
    for number in wrong[:_SHOWN]:
        found = check_scenario(system, plan.scenario(number))
        problems += [problem.replace("scenario", _where(plan, number), 1) for problem in found]
    more = len(wrong) - _SHOWN
    return [*problems, f"scenarios: {more} more are not valid either"] if more > 0 else problems


class _Known(NamedTuple):
    """Names that scenarios may use."""

    shocked: frozenset[str]
    thinned: frozenset[str]
    nodes: frozenset[str]

    @classmethod
    def of(cls, system: System) -> _Known:
        traded = {*system.markets["market"], *system.assets["asset"]}
        nodes = frozenset(system.nodes["node"])
        return cls(frozenset(traded), frozenset(traded | nodes), nodes)

    def fits(self, scenario: Scenario) -> bool:
        return (
            self.shocked.issuperset(scenario.shocks)
            and self.thinned.issuperset(scenario.depth)
            and self.nodes.issuperset(scenario.losses)
            and all(0.0 <= drop < 1.0 for drop in scenario.shocks.values())
            and all(0.0 <= factor < math.inf for factor in (*scenario.depth.values(), scenario.arbitrage))
            and all(0.0 <= loss < math.inf for loss in scenario.losses.values())
        )
