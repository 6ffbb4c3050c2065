"""The rules for accounts and what they hold: levels, quantities, quotes, funding, claims."""

from __future__ import annotations

import numpy as np

from contagion.system import System
from contagion.validate.table import Table

__all__ = ["check_claims", "check_funding", "check_levels", "check_quantities", "check_quotes"]


def check_levels(system: System) -> list[str]:
    """Return call and target levels below the liquidation level of their node."""
    table = Table.of(system, "nodes")
    least = table.numbers("liquidation_level")
    problems = []
    for column in ("call_level", "target_level"):
        bad = table.numbers(column) < least
        problems += table.report(bad, column, "is below liquidation_level", "give at least liquidation_level")
    return problems


def check_quantities(system: System) -> list[str]:
    """Return positions of nothing, and negative ones that are not perps."""
    table = Table.of(system, "positions")
    quantity = table.numbers("quantity")
    owned = (table.frame["side"] != "perp").to_numpy(dtype=np.bool_)
    cure = "owe with side debt, or short with side perp"
    return [
        *table.report(quantity == 0.0, "quantity", "holds nothing", "give a number other than 0, or drop the row"),
        *table.report((quantity < 0.0) & owned, "quantity", "is negative without being a perp", cure),
    ]


def check_quotes(system: System) -> list[str]:
    """Return quotes that would be withdrawn before they begin to shrink."""
    table = Table.of(system, "quotes")
    bad = table.numbers("withdrawn_at") >= table.numbers("full_at")
    return table.report(bad, "withdrawn_at", "is not below full_at", "give a number below full_at")


def check_funding(system: System) -> list[str]:
    """Return accounts that are to fund their own margin call."""
    table = Table.of(system, "funding")
    bad = (table.frame["account"] == table.frame["source"]).to_numpy(dtype=np.bool_) & table.filled("account")
    return table.report(bad, "source", "is the called account itself", "name another account")


def check_claims(system: System) -> list[str]:
    """Return nodes that owe themselves."""
    table = Table.of(system, "claims")
    bad = (table.frame["creditor"] == table.frame["debtor"]).to_numpy(dtype=np.bool_) & table.filled("creditor")
    return table.report(bad, "creditor", "is the debtor itself", "drop the row")
