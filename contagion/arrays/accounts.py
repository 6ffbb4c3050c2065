"""Balance sheets: margin accounts with the rules of their platforms, and nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from contagion.arrays.encode import Names, by_cell_and_value, choice, floats, matrix
from contagion.kernels import Accounts, Nodes
from contagion.kernels.chunks import column_sums
from contagion.kernels.inputs import Bools, Floats, Ints, sum_by
from contagion.lookup import code
from contagion.scenario import Scenario
from contagion.system import System

if TYPE_CHECKING:
    from scipy import sparse


class Claims(NamedTuple):
    """The table of claims in numbers, as matrices of creditor by debtor in USD and row by row."""

    of_nodes: sparse.csr_array  # (n, n)
    of_accounts: sparse.csr_array  # (a, n)
    debtor: Ints  # (c,) node
    creditor: Ints  # (c,) node, or -1 where an account is owed
    amount: Floats  # (c,) USD


def accounts_of(
    system: System, rows: Ints, nodes: pd.DataFrame, entry: Floats, owed: sparse.csr_array, names: Names
) -> Accounts:
    """Return margin accounts, each with the rules of its platform, and what they are ``owed`` (a, n).

    ``rows`` (a,) are their rows in ``system.accounts``; numbers are put in order, for names take longer.
    """
    accounts = system.accounts
    platform = code(accounts["platform"], names.nodes)[rows]
    level = floats(nodes["liquidation_level"])
    call = floats(nodes["call_level"].fillna(nodes["liquidation_level"]))
    target = floats(nodes["target_level"].fillna(nodes["liquidation_level"]))
    funding = system.funding.sort_values("priority", kind="stable")
    return Accounts(
        platform=platform,
        owner=code(accounts["owner"], names.nodes)[rows],
        cash=floats(accounts["cash"])[rows],
        entry=entry,
        claims=owed,
        margin_rule=choice(nodes["margin_rule"], ("ltv", "maintenance"))[platform],
        liquidation_level=level[platform],
        target_level=np.maximum(target, level)[platform],
        close_rule=choice(nodes["close_rule"], ("restore", "full", "close_factor"))[platform],
        close_factor=floats(nodes["close_factor"])[platform],
        full_close_level=floats(nodes["full_close_level"])[platform],
        call_policy=choice(accounts["call_policy"], ("none", "delever", "fund"))[rows],
        call_level=call[platform],
        call_target=np.maximum(target, call)[platform],
        stop_loss=floats(accounts["stop_loss"])[rows],
        funded=code(funding["account"], names.accounts),
        source=code(funding["source"], names.accounts),
    )


def claims_of(system: System, names: Names) -> Claims:
    """Return who owes whom how much; each name is looked up once, for a creditor is a node or an account."""
    table = system.claims
    debtor, node, amount = (
        code(table["debtor"], names.nodes),
        code(table["creditor"], names.nodes),
        floats(table["amount"]),
    )
    rest = np.flatnonzero(node < 0)
    account = code(table["creditor"].iloc[rest], names.accounts)
    held = np.flatnonzero(node >= 0)
    size = len(names.nodes)
    return Claims(
        of_nodes=matrix(amount[held], node[held], debtor[held], (size, size)),
        of_accounts=matrix(amount[rest], account, debtor[rest], (len(names.accounts), size)),
        debtor=debtor,
        creditor=node,
        amount=amount,
    )


def nodes_of(
    claims: Claims, nodes: pd.DataFrame, scenario: Scenario, names: Names, held_by_accounts: Floats | None = None
) -> Nodes:
    """Return the balance sheets of nodes; liabilities that are not given are the claims listed.

    ``held_by_accounts`` (n,) are claims of accounts that stand elsewhere; by default they are among those listed.
    """
    given = floats(nodes["liabilities"])
    if held_by_accounts is None:
        held_by_accounts = _of_accounts(claims)
    return Nodes(
        buffer=floats(nodes["buffer"]),
        liabilities=np.where(np.isnan(given), _listed(claims, np.isnan(given)) + held_by_accounts, given),
        recovery_rate=floats(nodes["recovery_rate"]),
        loss=losses_of(scenario, names),
        claims=claims.of_nodes,
    )


def losses_of(scenario: Scenario, names: Names) -> Floats:
    """Return the external loss (n,) of each node, USD."""
    return floats(pd.Series(dict(scenario.losses), dtype=np.float64).reindex(names.nodes).fillna(0.0))


def _listed(claims: Claims, wanted: Bools) -> Floats:
    """Return the claims of nodes on each of the nodes that are ``wanted`` (n,), added in canonical order."""
    rows = np.flatnonzero(wanted[claims.debtor] & (claims.creditor >= 0))
    debtor, amount = claims.debtor[rows], claims.amount[rows]
    order = by_cell_and_value(debtor * wanted.size + claims.creditor[rows], amount)
    return sum_by(debtor[order], amount[order], wanted.size)


def _of_accounts(claims: Claims) -> Floats:
    """Return what nodes owe to accounts (n,), added up account by account, as parts of them would be."""
    owed = claims.of_accounts
    return column_sums(owed, np.ones(owed.shape[0])) if owed.nnz else np.zeros(owed.shape[1])
