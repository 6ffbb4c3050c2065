"""Balance sheets: margin accounts with the rules of their platforms, and nodes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion.arrays.encode import Names, choice, code, floats, matrix
from contagion.kernels import Accounts, Nodes
from contagion.kernels.inputs import Floats, sum_by
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


def nodes_of(system: System, nodes: pd.DataFrame, scenario: Scenario, names: Names) -> Nodes:
    """Return the balance sheets of nodes; liabilities that are not given are the claims listed."""
    size = len(nodes)
    creditor, debtor = (code(system.claims[name], names.nodes) for name in ("creditor", "debtor"))
    amount = floats(system.claims["amount"])
    order = np.lexsort((amount, creditor, debtor))
    listed = sum_by(debtor[order], amount[order], size)
    given = floats(nodes["liabilities"])
    held = creditor >= 0
    losses = pd.Series(dict(scenario.losses), dtype=np.float64).reindex(names.nodes).fillna(0.0)
    return Nodes(
        buffer=floats(nodes["buffer"]),
        liabilities=np.where(np.isnan(given), listed, given),
        recovery_rate=floats(nodes["recovery_rate"]),
        loss=floats(losses),
        claims=matrix(amount[held], creditor[held], debtor[held], (size, size)),
    )
