"""Clear the claims between countries, and let distress run along them: Eisenberg and Noe beside linear DebtRank.

Question: the largest debtor loses its equity and a fifth of its debts; how much do the others lose?
Answer: a table of what each model takes from the largest losers, and the clearing as a diagram, if a folder is given.

Without arguments, on a small made-up network. Bank claims between 217 countries (BIS, locational banking statistics)
are published at github.com/lastch1ld/debtrank-globe, folder data-pipeline/out/by_year:
``python examples/country_claims.py 2008.json FOLDER``. Assumptions: equity is 5 % of GDP (the least there is, where GDP
is missing); equity and what is owed abroad are invested at home; what is lent abroad is owed at home.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import contagion as ct
from contagion import clearing


def read(path: str | None) -> tuple[pd.DataFrame, pd.Series[float]]:
    """Return what countries (rows) owe each other (columns) and their equity, USD."""
    if path is None:
        rng, names = np.random.default_rng(5), [f"country {number}" for number in range(1, 9)]
        amounts = 1e9 * rng.lognormal(3.0, 1.5, (8, 8)) * (rng.random((8, 8)) < 0.4) * (1.0 - np.eye(8))
        return pd.DataFrame(amounts, names, names), pd.Series(5e9 + 0.05 * amounts.sum(axis=1), names)
    raw = json.loads(Path(path).read_text("utf-8"))
    edges, nodes = pd.DataFrame(raw["edges"]), pd.DataFrame(raw["nodes"]).set_index("id")
    debts = edges.pivot_table("amount", "debtor", "creditor", "sum", 0.0).reindex(index=nodes.index, fill_value=0.0)
    return debts.reindex(columns=nodes.index, fill_value=0.0), 0.05 * nodes["gdp_usd"].fillna(nodes["gdp_usd"].min())


def main(path: str | None = None, folder: str | None = None) -> None:
    debts, equity = read(path)
    owed, outside = debts.sum(axis=1), debts.sum(axis=0)
    first, assets = str(owed.idxmax()), equity + owed
    loss = float(min(equity[first] + 0.2 * (owed[first] + outside[first]), assets[first]))
    cleared = clearing.eisenberg_noe(debts, assets.where(assets.index != first, assets - loss), outside)
    distress = clearing.debtrank(debts, equity, {first: 1.0})
    table = pd.DataFrame({"equity": equity, "clearing": equity - cleared.equity, "debtrank": distress.capped_loss})
    others, total = table.drop(first) / 1e9, float(equity.drop(first).sum()) / 1e9
    print(f"{len(debts)} countries, USD bn; {first} loses {loss / 1e9:,.0f}, pays {cleared.recovery_rate[first]:.1%}.")
    print(others.nlargest(8, "debtrank").round(1).add(0.0).to_string(), "\n")
    for name, down in (("clearing", cleared.defaulted), ("debtrank", distress.defaulted)):
        lost = others[name].sum()
        print(f"{name}: the others lose {lost:,.0f}, {lost / total:.1%} of their equity; {down.sum() - 1} of them fail")
    system = ct.System.from_liabilities(debts, assets, outside)
    solution = ct.solve(system, ct.Scenario(name=f"{first} fails", losses={first: loss}))
    gaps = (solution.nodes["haircut"] + cleared.recovery_rate - 1.0).abs()
    print(f"The joint solver's recovery rates differ from those of clearing by {gaps.max():.0e} at most.")
    if folder:
        ct.render(ct.draw_paths(solution, k=12), Path(folder) / "country-claims", formats=("svg", "png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
