"""Cut and join single edges of October 2025: which price each lender's oracle reads.

Question: what if the on-chain lenders had read the market price of the synthetic dollar instead of a fixed peg?
Answer: a table: liquidations at the lenders and the price of USDe, with the edges of the record, with each one joined,
and with all of them (the narrative of the week after). Each edge is one override of three lines.
"""

from dataclasses import replace

import pandas as pd

import contagion as ct


def read_market(platform: str, asset: str, market: str) -> ct.Override:
    """Return the change that makes a platform read a market where it read a fixed price."""
    return ct.Override(
        "oracles", where={"platform": platform, "asset": asset}, set={"market": market, "value": "", "weight": 1.0}
    )


def main() -> None:
    system, scenarios = ct.datasets.load("october_2025")
    edges = {
        "Aave reads Binance:USDe": read_market("Aave", "USDe", "Binance:USDe"),
        "Aave reads Curve:sUSDe": read_market("Aave", "sUSDe", "Curve:sUSDe"),
        "Morpho reads Binance:USDe": read_market("Morpho", "USDe", "Binance:USDe"),
    }
    chosen = {"record": ()} | {name: (edge,) for name, edge in edges.items()} | {"all three": tuple(edges.values())}
    rows = {}
    for name, overrides in chosen.items():
        solution = ct.solve(system, replace(scenarios["record"], overrides=overrides))
        rows[name] = {
            "Aave sells, $m": solution.nodes["liquidated"]["Aave"] / 1e6,
            "Morpho sells, $m": solution.nodes["liquidated"]["Morpho"] / 1e6,
            "USDe at Curve": solution.markets["price"]["Curve:USDe"],
            "USDe at Binance": solution.markets["price"]["Binance:USDe"],
            "loss, $bn": solution.totals["loss"] / 1e9,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    print(table.round(3).to_string())
    added = table["loss, $bn"] - table["loss, $bn"]["record"]
    single = str(added[list(edges)].idxmax())
    print(
        f"\nThe edge that adds most by itself is '{single}': {added[single]:.2f} billion dollars;"
        f" all three\nadd {added['all three']:.2f} to the record."
    )


if __name__ == "__main__":
    main()
