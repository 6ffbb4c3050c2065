"""Read real Aave v3 accounts, reproduce their health factors, and solve what their liquidations do to the market.

Question: which of them fall when staked ether falls, and what do their liquidations add?
Answer: two tables. In the first round prices fall and nobody sells (its figures are those of the source); at the fixed
point the liquidations move the market. Tables and a diagram go to the output folder.

The 502 accounts that borrowed against wstETH on Aave v3 (Ethereum) in June 2023 are published in the repository
github.com/lidofinance/aave-liquidation-model (GPL-3.0, folder ``data``); they are not bundled with this package.
Download the folder and name it::

    python examples/aave_accounts.py FOLDER --out aave-accounts

How ``steth_aave_v3.csv`` becomes tables
----------------------------------------
``user`` is the account. The chain reports one dollar figure for all ``collateral`` and one for all ``debt``; token
amounts times the prices of the file say what they consist of:

- collateral is wstETH up to ``collateral_steth_calc``, then rETH, then cbETH, and what is left is "other collateral",
  a basket at one dollar a unit. The file's prices are 0.019 % above those behind ``collateral``, so every part is cut
  where the dollars of the chain are used up; the parts add up to them exactly.
- debt is ETH up to ``ethdebt_calc``; the rest is "other debt" at one dollar a unit (two thirds of it are stablecoins).
- ``threshold`` (in 1e-4) is the chain's own blend of the account's liquidation thresholds. It becomes the weight of
  every collateral position of the account (``positions.weight``), so the account's health factor is W/D, as stored.
  The blend is held fixed when prices change, as in the source.
- ``emode`` 1 is the mode "ETH correlated". Terms supply the liquidation bonus: 1 % there, else that of the reserve
  (wstETH 6 %, rETH and cbETH 7.5 %, ETH 5 %; Aave v3 Ethereum, October 2023); 5 % for the basket is an assumption.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import contagion as ct

FILE = "steth_aave_v3.csv"
SOURCE = "github.com/lidofinance/aave-liquidation-model (GPL-3.0), folder data"

COLLATERAL = ("wstETH", "rETH", "cbETH", "other collateral")

DEPTH = {"ETH": np.inf, "wstETH": 15e6, "rETH": 2e6, "cbETH": 2e6, "other collateral": 40e6, "other debt": np.inf}
"""Dollars whose sale lowers each price by 1 %: assumptions.

Liquidators swap staked ether for ether in pools, so the price that gives way is that of the staked token in ether; ETH
itself is taken as bottomless, as are the dollars that repay other debts.
"""

FIRST_ROUND = {
    "all collateral and ETH debts -30 %": dict.fromkeys(("ETH", "other collateral"), 0.30),
    "all collateral -5 %": dict.fromkeys(COLLATERAL, 0.05),
    "all collateral -10 %": dict.fromkeys(COLLATERAL, 0.10),
    "wstETH -10 %": {"wstETH": 0.10},
}
"""Shocks of the source. The staked tokens are pegged to ETH: where ETH falls, they fall with it."""


def read_accounts(folder: Path) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return the dollars of each collateral and debt (columns named like assets) by account, and prices by asset."""
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; download it from {SOURCE}, and give the folder that holds it")
    raw = pd.read_csv(path, index_col=0)
    kept = raw[["user", "threshold", "healthf", "emode"]].copy()
    left = raw["collateral"].copy()
    for asset, column in (("wstETH", "steth"), ("rETH", "reth"), ("cbETH", "cbeth")):
        kept[asset] = np.minimum(raw[f"collateral_{column}_calc"], left)
        left -= kept[asset]
    kept["other collateral"] = left
    kept["ETH"] = np.minimum(raw["ethdebt_calc"], raw["debt"])
    kept["other debt"] = raw["debt"] - kept["ETH"]
    columns = {"ETH": "eth_price", "wstETH": "steth_price", "rETH": "reth_price", "cbETH": "cbeth_price"}
    prices = {asset: float(raw[column].iloc[0]) for asset, column in columns.items()}
    return kept.reset_index(drop=True), prices | {"other collateral": 1.0, "other debt": 1.0}


def position_table(rows: pd.DataFrame, prices: dict[str, float]) -> pd.DataFrame:
    """Return the positions, with the blended threshold of the account as the weight of its collateral."""
    parts = [
        pd.DataFrame(
            {
                "account": rows["user"],
                "asset": asset,
                "side": "collateral" if asset in COLLATERAL else "debt",
                "quantity": rows[asset] / price,
                "weight": rows["threshold"] / 1e4 if asset in COLLATERAL else np.nan,
            }
        )
        for asset, price in prices.items()
    ]
    positions = pd.concat(parts, ignore_index=True)
    return positions[positions["quantity"] > 0.0]


def build(rows: pd.DataFrame, prices: dict[str, float]) -> ct.System:
    """Return the tables of the accounts."""
    loop = (rows["emode"] == 1) & (rows["ETH"] > rows["other debt"])
    owed = (rows["ETH"] + rows["other debt"]).sum()
    return ct.System(
        nodes=pd.DataFrame(
            {
                "node": ["Aave v3", "pools"],
                "kind": "protocol",
                "domain": "defi",
                "close_rule": ["close_factor", "restore"],
                "liabilities": [owed, 0.0],  # what suppliers have lent to these accounts
            }
        ),
        assets=pd.DataFrame(
            {"asset": list(prices), "kind": ["native", *["liquid_staking"] * 3, "other", "stablecoin"]}
        ),
        markets=pd.DataFrame(
            {
                "market": [f"pools:{asset}" for asset in prices],
                "venue": "pools",
                "asset": list(prices),
                "price": list(prices.values()),
                "depth": [DEPTH[asset] for asset in prices],
                "pegged_to": ["", *["pools:ETH"] * 3, "", ""],
            }
        ),
        terms=pd.DataFrame(
            {
                "platform": "Aave v3",
                "mode": ["", "", "", "", "", *["ETH correlated"] * 5],
                "asset": ["wstETH", "rETH", "cbETH", "ETH", "other collateral"] * 2,
                "cost": [0.06, 0.075, 0.075, 0.05, 0.05, 0.01, 0.01, 0.01, 0.01, 0.05],
            }
        ),
        accounts=pd.DataFrame(
            {
                "account": rows["user"],
                "platform": "Aave v3",
                "group": np.where(loop, "staking loop", "borrower"),
                "mode": np.where(rows["emode"] == 1, "ETH correlated", ""),
            }
        ),
        positions=position_table(rows, prices),
    )


def first_round(system: ct.System) -> pd.DataFrame:
    """Return how many accounts each shock puts below health 1, and their debt then, if sales move no price."""
    bottomless = ct.Override("markets", {"venue": "pools"}, {"depth": np.inf})
    found = {}
    for name, shocks in FIRST_ROUND.items():
        accounts = ct.solve(system, ct.Scenario(shocks=shocks, overrides=(bottomless,), name=name)).accounts
        below = accounts[accounts["health"] < 1.0]
        found[name] = {"accounts": len(below), "debt": below["debt"].sum()}
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("shock")


def feedback(system: ct.System) -> dict[str, ct.Solution]:
    """Return the fixed point after each shock, with the depth of `DEPTH`."""
    return {name: ct.solve(system, ct.Scenario(shocks=shocks, name=name)) for name, shocks in FIRST_ROUND.items()}


def summary(solutions: dict[str, ct.Solution]) -> pd.DataFrame:
    """Return one row a shock: accounts liquidated, dollars sold, the price of wstETH, and who bears the loss."""
    rows = {
        name: {
            "accounts": int((solution.accounts["liquidated"] > 0.0).sum()),
            "liquidated": solution.totals["liquidated"],
            "wstETH_drop": solution.markets["drop"]["pools:wstETH"],
            "wstETH_drop_by_sales": solution.markets.loc["pools:wstETH", ["drop_sales", "drop_depth"]].sum(),
            "borrowers_lose": solution.totals["account_loss"],
            "suppliers_lose": solution.totals["outside_loss"],
        }
        for name, solution in solutions.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("shock")


def write(out: Path, system: ct.System, tables: dict[str, pd.DataFrame], shown: ct.Solution) -> None:
    """Write the system, the tables and the diagram of one solution into a folder."""
    ct.write_system(system, out / "system")
    for name, table in tables.items():
        table.to_csv(out / f"{name}.csv")
    ct.render(ct.draw(shown), out / "contagion", formats=("svg", "png"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help=f"folder with {FILE}, from {SOURCE}")
    parser.add_argument("--out", type=Path, default=Path("aave-accounts"), help="folder for tables and diagram")
    given = parser.parse_args(arguments)
    try:
        rows, prices = read_accounts(given.folder)
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 1
    system = build(rows, prices)
    opening = ct.solve(system).accounts.loc[rows["user"], "health"]
    error = np.abs(opening.to_numpy() / rows["healthf"].to_numpy() - 1.0).max()
    print(f"{len(rows)} accounts; stored health factors are reproduced to {error:.0e}.\n")
    first, solutions = first_round(system), feedback(system)
    print("First round, nobody sells:")
    print(first.assign(debt=(first["debt"] / 1e6).round(2)).rename(columns={"debt": "debt, $m"}).to_string(), "\n")
    fixed = summary(solutions)
    print("Fixed point, with sales that move prices ($m where not a share):")
    dollars = ["liquidated", "borrowers_lose", "suppliers_lose"]
    print(fixed.assign(**(fixed[dollars] / 1e6).round(2)).round(3).to_string(), "\n")
    shown = solutions["wstETH -10 %"]
    tables = {"first_round": first, "fixed_point": fixed, "ranking": ct.rank(shown)}
    tables |= {"accounts": shown.accounts, "markets": shown.markets, "nodes": shown.nodes, "rounds": shown.rounds}
    write(given.out, system, tables, shown)
    print(f"Depth is assumed (DEPTH in this script). Tables and the diagram of 'wstETH -10 %' are in {given.out}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
