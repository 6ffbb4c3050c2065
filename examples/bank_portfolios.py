"""Let banks sell to keep their leverage, and see whose sales cost most (Greenwood, Landier and Thesmar 2015).

Question: sovereign bonds of some countries lose half of their value; which bank's sales then cost the others most?
Answer: aggregate vulnerability, the most systemic banks, and what less leverage or fewer of the bonds would change.

Without an argument, on a few made-up banks. The stress test of the European Banking Authority of July 2011 (90 banks)
is published in the repository github.com/domenicodigangi/GraphsData, folder
dataArtAssessingSystemicRisk/EBA_stress_test_data/2011: ``python examples/bank_portfolios.py cleaned_data_2011.csv``.
Assumptions: sales of 10 bn lower any price by 0.1 %; leverage counts up to 30; there are no assets but the file's 42.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from contagion.clearing import VulnerableBanks, vulnerable_banks

FALLING = ["GR", "IE", "IT", "PT", "ES"]


def read(path: str | None) -> tuple[pd.DataFrame, pd.Series[float]]:
    """Return what banks (rows) hold of each class of assets, and their equity."""
    if path is None:
        rng, banks = np.random.default_rng(4), [f"bank {number}" for number in range(1, 7)]
        classes = [*FALLING, "DE", "FR", "CORP_LOANS", "RES_MORT"]
        held = 1e9 * rng.lognormal(2.0, 1.0, (6, 9)) * ([1.0] * 7 + [50.0] * 2)
        return pd.DataFrame(held, banks, classes), pd.Series(held.sum(axis=1) * rng.uniform(0.03, 0.06, 6), banks)
    table = pd.read_csv(path, index_col=0).iloc[:, 6:].T.astype(float) * 1e6
    table.columns = table.columns.str.replace("SOV_EXP_DIRECT", "").str.strip(' "')
    return table.drop(columns=["TOT_EXP", "EQUITY", "TIER_1"]), table["EQUITY"]


def run(holdings: pd.DataFrame, equity: pd.Series[float], cap: float = 30.0) -> VulnerableBanks:
    """Return what follows if half of the bonds is written off."""
    return vulnerable_banks(holdings, equity, dict.fromkeys(FALLING, 0.5), 1e-13, leverage_cap=cap)


def main(path: str | None = None) -> None:
    holdings, equity = read(path)
    result = run(holdings, equity)
    print(
        f"{len(equity)} banks with {equity.sum() / 1e9:,.0f} bn of equity: write-offs take {result.direct_effect:.1%},"
    )
    print(f"and the sales that follow {result.aggregate_vulnerability:.1%}, by what they do to prices.\n")
    columns = ["leverage", "direct_vulnerability", "systemicness", "indirect_vulnerability"]
    print(result.frame.nlargest(8, "systemicness")[columns].round(3).to_string(), "\n")
    without = holdings.copy()
    without.loc[result.systemicness.nlargest(3).index, FALLING] = 0.0
    for what, other in (
        ("With leverage of 20 at most", run(holdings, equity, 20.0)),
        ("If the first three had sold these bonds before", run(without, equity)),
    ):
        print(f"{what}, sales would take {other.aggregate_vulnerability:.1%}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
