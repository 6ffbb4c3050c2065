"""Open and close the transfers between venues in October 2025: arbitrage couples prices like resistors.

Question: how far does one venue's price fall when nobody can bring tokens out or dollars in?
Answer: a table of the price of USDe at three venues and the loss, by the factor on all arbitrage links; 1 is the
record, in which transfers to Binance were impaired.
"""

from dataclasses import replace

import pandas as pd

import contagion as ct

FACTORS = (0.0, 1.0, 5.0, 20.0, 100.0)


def main() -> None:
    system, scenarios = ct.datasets.load("october_2025")
    rows = {}
    for factor in FACTORS:
        solution = ct.solve(system, replace(scenarios["record"], arbitrage=factor))
        prices = solution.markets["price"]
        rows[factor] = {
            "Binance": prices["Binance:USDe"],
            "Bybit": prices["Bybit:USDe"],
            "Uniswap": prices["Uniswap:USDe"],
            "sold at Binance, $m": solution.markets["sold"]["Binance:USDe"] / 1e6,
            "loss, $bn": solution.totals["loss"] / 1e9,
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("arbitrage")
    print(table.round(3).to_string())
    halted, most = table.loc[FACTORS[0]], table.loc[FACTORS[-1]]
    print(
        f"\nWith transfers halted USDe trades at {halted['Binance']:.2f} on Binance and {halted['Uniswap']:.2f} on"
        f" Uniswap;\nwith links {FACTORS[-1]:.0f} times as wide at {most['Binance']:.2f} and {most['Uniswap']:.2f},"
        f" and the loss is {halted['loss, $bn'] - most['loss, $bn']:.1f} billion dollars smaller."
    )


if __name__ == "__main__":
    main()
