"""The table of accounts of one part, made from its rows, its final state and the final prices."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from contagion import frames
from contagion.arrays import lower
from contagion.io.parquet import write_parquet
from contagion.kernels import Outcome, Rounds
from contagion.kernels import State as WholeState
from contagion.kernels.accounts import decide, lines
from contagion.kernels.credit import losses
from contagion.kernels.markets import Clearing
from contagion.kernels.reaction import Funds
from contagion.kernels.rounds import opening_equity
from contagion.parts.book import State
from contagion.parts.messages import Ending, Plan
from contagion.parts.packing import system_of_part
from contagion.parts.seal import rows_as_solved
from contagion.scenario import Scenario

__all__ = ["write_account_table"]


def write_account_table(
    plan: Plan, number: int, folder: Path, ending: Ending, state: State, funds: Funds | None
) -> None:
    """Write the accounts of a part as `contagion.Solution.accounts` has them, to the file of its name.

    Raises
    ------
    InputError
        If a file of the part has changed since it was sealed; see `contagion.parts.seal`.
    """
    frame = _table(plan, number, ending, state, funds)
    write_parquet(frame.rename_axis("account").reset_index(), folder / plan.parts[number])


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def _table(plan: Plan, number: int, ending: Ending, state: State, funds: Funds | None) -> pd.DataFrame:
    system = system_of_part(plan, rows_as_solved(plan, number))
    inputs, labels = lower(system, Scenario())
    opening = opening_equity(inputs)
    at = lines(inputs.positions, inputs.accounts, ending.price, ending.average, 1.0 - ending.haircut)
    made = decide(inputs.accounts, at, opening)
    if funds is not None:
        names = pd.concat([plan.small.funding["account"], plan.small.funding["source"]]).unique()
        linked = np.flatnonzero(labels.accounts.isin(names))
        made.received[linked], made.given[linked] = funds.received, funds.given
    liquidated = np.asarray(state.liquidated)
    lost = losses(inputs.accounts, inputs.nodes, at, made, liquidated, opening, ending.haircut)
    nothing = np.zeros(0)
    whole = WholeState(nothing, liquidated, nothing, ending.haircut, ending.average)
    run = Rounds(whole, [], state.called, state.sold, state.cause, True)
    outcome = Outcome(inputs, opening, at, cast(Clearing, None), made, lost)
    return frames.accounts(frames.Parts(system, inputs, labels, run, outcome))
