"""What the failure of one node or one account group alone would cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from contagion.errors import instance, refuse, texts
from contagion.frames import Parts
from contagion.kernels import Inputs, Outcome, State, settle
from contagion.kernels.rounds import start
from contagion.scenario import Scenario
from contagion.solve import solve
from contagion.stress.candidates import Candidate, Candidates, table
from contagion.stress.order import keeps_order
from contagion.stress.runs import Book
from contagion.system import System

__all__ = ["impact_if_failed"]

_TYPES = ("node", "group")
_COLUMNS = ("impact_if_failed", "direct", "share_of_equity")


def impact_if_failed(
    system: System, scenario: Scenario | None = None, names: Sequence[str] | None = None, progress: bool = False
) -> pd.DataFrame:
    """Return what the failure of one node or one account group would cost the system.

    Who is systemically important, whether or not a scenario hits it? *Node*: it loses its buffer and all that it owes,
    so that claims on it and tokens that it issued are worth nothing; accounts that it holds are not touched. *Group*:
    all its accounts are closed in full and its quotes withdrawn at once, through the markets as they stand. Markets do
    not fail and are left out. It does not say how likely a failure is.

    Parameters
    ----------
    system : System
        Tables; checked first.
    scenario : Scenario, optional
        Background, such as thin markets or a shock: what it does alone is taken off. By default nothing.
    names : sequence of str, optional
        Nodes and account groups ("whale @ Aave"); by default all.
    progress : bool
        Whether to show progress on stderr.

    Returns
    -------
    DataFrame
        Index: name. Largest first, ties by name.

        - type: node or group
        - impact_if_failed: USD, the loss of the system less the loss of the background alone
        - direct: USD, what the failed one loses, or fails to pay, before anybody reacts. *Node*: buffer and
          liabilities. *Group*: its equity and the debts left unpaid, at the prices that its own sale makes
        - share_of_equity: impact over all equity of accounts and buffers of nodes at the opening

        Impact is NaN where the rounds find no fixed point. What the background has taken already is not lost again. The
        impact falls short of the direct loss where losses stay hidden, in accounts under water that no oracle triggers,
        and is negative where an account that fails early sells above the price that others would have left it with.

    Raises
    ------
    InputError
        If system, scenario or names are not valid; the message lists every problem.
    NotConverged
        If the background has no fixed point within 20,000 rounds.

    Notes
    -----
    The failure of a node is that of a scenario with ``losses`` of its buffer and liabilities, less what the background
    has cost it. A failure and the background set in together. The order of losses is that of DebtRank's single
    defaults (Battiston, Puliga, Kaushik, Tasca and Caldarelli 2012), in dollars and at the solver's fixed point.

    Examples
    --------
    A bank owes a fund 100 and others 20, on a buffer of 10; the fund owes 90 on a buffer of 30:

    >>> import pandas as pd
    >>> import contagion as ct
    >>> system = ct.System(
    ...     nodes=pd.DataFrame({"node": ["bank", "fund"], "buffer": [10.0, 30.0], "liabilities": [120.0, 90.0]}),
    ...     claims=pd.DataFrame({"creditor": ["fund"], "debtor": ["bank"], "amount": [100.0]}),
    ... )
    >>> impact_if_failed(system)[["impact_if_failed", "direct"]]
          impact_if_failed  direct
    name
    bank             130.0   130.0
    fund             120.0   120.0
    """
    problems = instance("system", system, System, "a System")
    problems += instance("scenario", scenario, (Scenario, type(None)), "a Scenario, or None for no background")
    refuse(problems + ([] if names is None else texts("names", names)), "impact_if_failed")
    parts = solve(system, scenario).parts
    candidates, book = Candidates.of(parts), Book.of(parts)
    listed = candidates.all(_TYPES) if names is None else candidates.named(names, _TYPES, "impact_if_failed")
    background = _Background(parts, book.totals(parts.inputs, parts.run.state)["loss"], keeps_order(parts.inputs))
    wealth = float(np.maximum(parts.outcome.opening_equity, 0.0).sum() + parts.inputs.nodes.buffer.sum())
    found: dict[Candidate, tuple[float, float, float]] = {}
    for candidate in tqdm(listed, desc="failed", unit="", disable=not progress):
        failure = (_node if candidate.type == "node" else _group)(background, candidates, candidate)
        impact = 0.0
        if failure.struck:
            impact = book.run(failure.inputs, begin=failure.begin).figure - background.loss
        found[candidate] = (impact, failure.direct, impact / wealth if wealth > 0.0 else np.nan)
    return table(found, _COLUMNS)


class _Background(NamedTuple):
    """What happens anyway."""

    parts: Parts
    loss: float  # USD
    ordered: bool  # whether rounds may set out from where it ends

    def begin(self) -> State:
        return self.parts.run.state if self.ordered else start(self.parts.inputs)


class _Failure(NamedTuple):
    """Arrays and state in which one has failed, what it loses itself, and whether anything differs at all."""

    inputs: Inputs
    begin: State
    direct: float  # USD
    struck: bool


def _node(background: _Background, _: Candidates, candidate: Candidate) -> _Failure:
    inputs, number = background.parts.inputs, candidate.number
    given, lost = inputs.nodes, background.parts.outcome.losses.loss
    left = max(0.0, float(given.buffer[number] + given.liabilities[number] - lost[number]))
    loss = given.loss.copy()
    loss[number] += left
    failed = inputs._replace(nodes=given._replace(loss=loss))
    return _Failure(failed, background.begin(), left, left > 0.0)


def _group(background: _Background, candidates: Candidates, candidate: Candidate) -> _Failure:
    inputs, begin = background.parts.inputs, background.begin()
    accounts = candidates.accounts(candidate)
    quotes = accounts[inputs.quotes.account]

    def closed(state: State) -> State:
        return state._replace(
            liquidated=np.where(accounts, 1.0, state.liquidated), withdrawn=np.where(quotes, 1.0, state.withdrawn)
        )

    def shortfall(outcome: Outcome) -> float:
        return float((outcome.losses.lost + outcome.losses.deficit)[accounts].sum())

    at_once = settle(inputs, closed(background.parts.run.state))
    return _Failure(inputs, closed(begin), shortfall(at_once) - shortfall(background.parts.outcome), True)
