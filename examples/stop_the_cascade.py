"""Solve October 2025 again with one thing changed at a time.

Question: what would have stopped it: larger insurance funds, more depth, quotes that stay, open transfers?
Answer: a table of the loss, what liquidated accounts left unpaid, what was liquidated and the fall of the altcoins.
"""

from dataclasses import replace

import pandas as pd

import contagion as ct


def changes(system: ct.System, record: ct.Scenario) -> dict[str, tuple[ct.System, ct.Scenario]]:
    """Return the system and the scenario of each change; a table is exchanged, or the scenario."""
    keeps_accounts = system.nodes["kind"].isin(["exchange", "protocol"])
    funds = system.nodes.assign(buffer=system.nodes["buffer"].mask(keeps_accounts, 10.0 * system.nodes["buffer"]))
    staying = system.quotes.assign(full_at=0.05, withdrawn_at=0.0)
    venues = dict.fromkeys(system.markets["venue"].unique(), 2.0)
    return {
        "as it was": (system, record),
        "insurance funds x 10": (system.with_table("nodes", funds), record),
        "depth x 2": (system, replace(record, depth=venues)),
        "quotes that stay": (system.with_table("quotes", staying), record),
        "transfers x 20": (system, replace(record, arbitrage=20.0)),
        "no stop losses": (system.with_table("accounts", system.accounts.assign(stop_loss=float("nan"))), record),
    }


def main() -> None:
    system, scenarios = ct.datasets.load("october_2025")
    altcoins = set(system.assets.loc[system.assets["kind"] == "altcoin", "asset"])
    rows = {}
    for name, (changed, scenario) in changes(system, scenarios["record"]).items():
        solution = ct.solve(changed, scenario)
        rows[name] = {
            "loss, $bn": solution.totals["loss"] / 1e9,
            "unpaid, $m": solution.totals["deficit"] / 1e6,
            "liquidated, $bn": solution.totals["liquidated"] / 1e9,
            "altcoins fall": solution.markets.loc[solution.markets["asset"].isin(altcoins), "drop"].median(),
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    print(table.round(3).to_string())
    saved = table["loss, $bn"].iloc[0] - table["loss, $bn"].drop("as it was")
    print(
        f"\n'{saved.idxmax()}' saves most, {saved.max():.1f} of {table['loss, $bn'].iloc[0]:.1f} billion dollars;"
        f" larger insurance funds save {saved['insurance funds x 10']:.2f}:\nthey decide who pays, not how far"
        " prices fall."
    )


if __name__ == "__main__":
    main()
