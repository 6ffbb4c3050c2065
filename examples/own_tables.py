"""Make a system of your own DataFrames: one lender, one exchange, two borrowers, in twenty lines.

Question: how do you get from tables to a ranked result, and what happens when a name is wrong?
Answer: the ranked table of what a fall of 20 % does, and the message that a misspelt market gets.
"""

import pandas as pd

import contagion as ct


def tables() -> ct.System:
    """Return a system of one lender, one exchange and two borrowers."""
    return ct.System(
        nodes=pd.DataFrame({"node": ["Lender", "Exchange"], "kind": ["protocol", "exchange"], "buffer": [2e6, 0.0]}),
        assets=pd.DataFrame({"asset": ["ETH"], "kind": ["native"]}),
        markets=pd.DataFrame(
            {"market": ["Exchange:ETH"], "venue": ["Exchange"], "asset": ["ETH"], "price": [4000.0], "depth": [5e6]}
        ),
        terms=pd.DataFrame({"platform": ["Lender"], "asset": ["ETH"], "weight": [0.83], "cost": [0.05]}),
        accounts=pd.DataFrame(
            {
                "account": ["careful", "bold"],
                "platform": ["Lender", "Lender"],
                "group": ["careful", "bold"],
                "cash": [-40e6, -62e6],
            }
        ),
        positions=pd.DataFrame({"account": ["careful", "bold"], "asset": ["ETH", "ETH"], "quantity": [2e4, 2e4]}),
    )


def main() -> None:
    system = tables()
    solution = ct.solve(system, ct.Scenario(shocks={"ETH": 0.2}, name="ETH -20 %"))
    print(ct.rank(solution)[["rank", "type", "loss_passed_on", "own_loss"]].round().to_string())
    price = solution.markets.loc["Exchange:ETH"]
    print(f"\nETH falls by {price['drop']:.1%}, of which sales cause {price['drop_sales']:.1%}. {solution}\n")
    try:
        ct.solve(system, ct.Scenario(shocks={"Exchange:ETC": 0.2}))
    except ct.InputError as error:
        print(f"A wrong name is an error that names the cure:\n{error}")


if __name__ == "__main__":
    main()
