"""Balance sheets: margin accounts with the rules of their platforms, and nodes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion.arrays.encode import Names, choice, code, floats, matrix
from contagion.kernels import Accounts, Nodes
from contagion.kernels.chunks import column_sums
from contagion.kernels.inputs import Floats, Ints, sum_by
from contagion.scenario import Scenario
from contagion.system import System


def accounts_of(system: System, accounts: pd.DataFrame, nodes: pd.DataFrame, entry: Floats, names: Names) -> Accounts:
    """Return margin accounts, each with the rules of its platform."""
    platform = code(accounts["platform"], names.nodes)
    level = floats(nodes["liquidation_level"])
    call = floats(nodes["call_level"].fillna(nodes["liquidation_level"]))
    target = floats(nodes["target_level"].fillna(nodes["liquidation_level"]))
    claims = system.claims
    creditor = code(claims["creditor"], names.accounts)
    held = creditor >= 0
    debtor, amount = code(claims["debtor"], names.nodes)[held], floats(claims["amount"])[held]
    funding = system.funding.sort_values("priority", kind="stable")
    return Accounts(
        platform=platform,
        owner=code(accounts["owner"], names.nodes),
        cash=floats(accounts["cash"]),
        entry=entry,
        claims=matrix(amount, creditor[held], debtor, (len(accounts), len(nodes))),
        margin_rule=choice(nodes["margin_rule"], ("ltv", "maintenance"))[platform],
        liquidation_level=level[platform],
        target_level=np.maximum(target, level)[platform],
        close_rule=choice(nodes["close_rule"], ("restore", "full", "close_factor"))[platform],
        close_factor=floats(nodes["close_factor"])[platform],
        full_close_level=floats(nodes["full_close_level"])[platform],
        call_policy=choice(accounts["call_policy"], ("none", "delever", "fund")),
        call_level=call[platform],
        call_target=np.maximum(target, call)[platform],
        stop_loss=floats(accounts["stop_loss"]),
        funded=code(funding["account"], names.accounts),
        source=code(funding["source"], names.accounts),
    )


def nodes_of(
    system: System, nodes: pd.DataFrame, scenario: Scenario, names: Names, held_by_accounts: Floats | None = None
) -> Nodes:
    """Return the balance sheets of nodes; liabilities that are not given are the claims listed.

    ``held_by_accounts`` (n,) are claims of accounts that stand elsewhere; by default they are among those listed.
    """
    size = len(nodes)
    creditor, debtor = (code(system.claims[name], names.nodes) for name in ("creditor", "debtor"))
    amount = floats(system.claims["amount"])
    held = creditor >= 0
    if held_by_accounts is None:
        held_by_accounts = _of_accounts(system.claims[~held], debtor[~held], names)
    order = np.flatnonzero(held)[np.lexsort((amount[held], creditor[held], debtor[held]))]
    listed = sum_by(debtor[order], amount[order], size) + held_by_accounts
    given = floats(nodes["liabilities"])
    losses = pd.Series(dict(scenario.losses), dtype=np.float64).reindex(names.nodes).fillna(0.0)
    return Nodes(
        buffer=floats(nodes["buffer"]),
        liabilities=np.where(np.isnan(given), listed, given),
        recovery_rate=floats(nodes["recovery_rate"]),
        loss=floats(losses),
        claims=matrix(amount[held], creditor[held], debtor[held], (size, size)),
    )


def _of_accounts(claims: pd.DataFrame, debtor: Ints, names: Names) -> Floats:
    """Return what nodes owe to accounts (n,), added up account by account, as parts of them would be."""
    if claims.empty:
        return np.zeros(len(names.nodes))
    creditor = code(claims["creditor"], names.accounts)
    owed = matrix(floats(claims["amount"]), creditor, debtor, (len(names.accounts), len(names.nodes)))
    return column_sums(owed, np.ones(owed.shape[0]))
