"""What would have been lost without one entity's part in the cascade: exact, by solving again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from contagion.errors import instance, refuse, texts
from contagion.kernels import Inputs, State
from contagion.kernels.inputs import Bools
from contagion.kernels.markets import Clearing
from contagion.kernels.reaction import Immune
from contagion.kernels.rounds import start
from contagion.solution import Solution, unforced
from contagion.stress.candidates import Candidate, Candidates, table
from contagion.stress.runs import Book

__all__ = ["avoided_if_immune"]

_TYPES = ("node", "market", "group")
_COLUMNS = ("avoided_if_immune", "loss")


def avoided_if_immune(solution: Solution, names: Sequence[str] | None = None, progress: bool = False) -> pd.DataFrame:
    """Return how much smaller the loss would have been if one entity had passed nothing on.

    What does each one's part in the cascade cost? The scenario is solved again with that part alone suppressed, as if
    somebody outside the system stood in: *group*: its sales do not reach the markets and its quotes stay, while its
    own shares, losses and deficits follow the rules. *Node*: its claimants, and holders of tokens that it issued, lose
    nothing; what it loses beyond its buffer, up to its liabilities, falls on nobody in the system. *Market*: sales do
    not move its price, as if it were infinitely deep, so that arbitrage carries the sales of linked markets to it too;
    shocks, pegs and its issuer still do, and routes and oracle weights stay as they are (tables that said it to be that
    deep would by default lean on it alone). It does not say what would be lost if the entity did not exist, and figures
    of several entities overlap: never add them up.

    Parameters
    ----------
    solution : Solution
        A solved scenario that has converged.
    names : sequence of str, optional
        Nodes, markets and account groups ("whale @ Aave"), as in `contagion.rank`; by default all that were touched:
        groups that sold or withdrew quotes, nodes with a haircut, markets that bore sales.
    progress : bool
        Whether to show progress on stderr.

    Returns
    -------
    DataFrame
        Index: name. Largest first, ties by name.

        - type: node, market or group
        - avoided_if_immune: USD, loss of the solution less the loss with this one immune
        - loss: USD, with this one immune

        An entity that was not touched avoids nothing, without a solve. Both are NaN where the rounds find no fixed
        point without the entity.

    Raises
    ------
    InputError
        If the solution has not converged, or names are not known.

    Notes
    -----
    Up to the round in which an entity first acts the rounds are the very same, so that each solve sets out from the
    state before that round; the rounds are replayed once. Without shorts, accounts owned by nodes and funded margin
    calls nothing is negative; hedged books may lose more when somebody else does not sell (``docs/decisions/0008``).
    The counterfactual is that of Cont and Schaanning (2017), who compare losses with and without fire sales.

    Examples
    --------
    A fall of 25 % closes the loop; had its sales not moved the price, the rest would not have been lost:

    >>> import contagion as ct
    >>> system, scenarios = ct.datasets.load("loop_lending")
    >>> solution = ct.solve(system, scenarios["thin_exit"])
    >>> avoided = avoided_if_immune(solution)
    >>> bool((avoided["avoided_if_immune"] + avoided["loss"]).round(6).eq(round(solution.totals["loss"], 6)).all())
    True
    """
    _check(solution, names)
    parts = solution.parts
    candidates, book = Candidates.of(parts), Book.of(parts)
    everybody = candidates.all(_TYPES) if names is None else candidates.named(names, _TYPES, "avoided_if_immune")
    loss = book.totals(parts.inputs, parts.run.state)["loss"]
    found: dict[Candidate, tuple[float, float]] = {}
    with tqdm(total=len(everybody), desc="immune", unit="", disable=not progress) as bar:
        for candidate, state in _first_acts(solution, candidates, everybody, book):
            inputs, immune = _suppressed(parts.inputs, candidates, candidate)
            without = book.run(inputs, solution.tol, state, immune).figure
            found[candidate] = (loss - without, without)
            bar.update()
    if names is not None:
        found |= {candidate: (0.0, loss) for candidate in everybody if candidate not in found}
    return table(found, _COLUMNS)


def _check(solution: object, names: object) -> None:
    problems = instance("solution", solution, Solution, "a Solution (solve returns one)") + unforced(solution)
    if isinstance(solution, Solution) and not solution.converged:
        problems.append("the solution has not converged; solve again with more rounds")
    refuse(problems + ([] if names is None else texts("names", names)), "avoided_if_immune")


class _Acting(NamedTuple):
    """Who has acted after a round, by type: shares sold or quotes withdrawn, haircuts, pressure."""

    node: Bools
    market: Bools
    group: Bools


def _first_acts(
    solution: Solution, candidates: Candidates, listed: Sequence[Candidate], book: Book
) -> Iterator[tuple[Candidate, State]]:
    """Yield every candidate that ever acts, with the state before the round in which it first did."""
    inputs = solution.parts.inputs
    waiting = list(listed)
    if solution.looks:  # there are no rounds to replay
        acting = _acting(candidates, inputs, solution.parts.run.state, solution.parts.outcome.clearing)
        begin = start(inputs)
        yield from ((candidate, begin) for candidate in waiting if getattr(acting, candidate.type)[candidate.number])
        return
    for state, new, cleared in book.rounds(inputs, len(solution.parts.run.records)):
        acting = _acting(candidates, inputs, new, cleared)
        begun = [candidate for candidate in waiting if getattr(acting, candidate.type)[candidate.number]]
        yield from ((candidate, state) for candidate in begun)
        if begun:
            waiting = [candidate for candidate in waiting if candidate not in set(begun)]
        if not waiting:
            return


def _acting(candidates: Candidates, inputs: Inputs, state: State, cleared: Clearing) -> _Acting:
    """Return who has acted by a state."""
    group = np.zeros(len(candidates.grouped.names), dtype=np.bool_)
    group[candidates.grouped.member[state.liquidated > 0.0]] = True
    group[candidates.grouped.member[inputs.quotes.account][state.withdrawn > 0.0]] = True
    return _Acting(state.haircut > 0.0, cleared.pressure != 0.0, group)


def _suppressed(inputs: Inputs, candidates: Candidates, candidate: Candidate) -> tuple[Inputs, Immune | None]:
    """Return the arrays and the mask under which one entity passes nothing on."""
    if candidate.type == "market":
        depth = inputs.markets.depth.copy()
        depth[candidate.number] = np.inf
        return inputs._replace(markets=inputs.markets._replace(depth=depth)), None
    accounts = np.zeros(inputs.accounts.platform.size, dtype=np.bool_)
    nodes = np.zeros(inputs.nodes.buffer.size, dtype=np.bool_)
    if candidate.type == "group":
        accounts = candidates.accounts(candidate)
    else:
        nodes[candidate.number] = True
    return inputs, Immune(accounts, accounts[inputs.quotes.account], nodes)
