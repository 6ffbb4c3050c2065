"""Loop a deposit through a lender: pledge a token, borrow dollars, buy more of the token, pledge that too.

Question: how far does a loop carry, and how small a fall ends it?
Answer: a table by number of rounds: collateral, leverage, the price fall that liquidates, the one that wipes the owner
out, and the share of the equity left after a fall of 25 %.
"""

import pandas as pd

import contagion as ct

EQUITY, BORROWED, THRESHOLD = 100_000.0, 0.80, 0.85


def loops(rounds: range) -> ct.System:
    """Return one looped account for each number of rounds."""
    names = [f"{n} rounds" for n in rounds]
    collateral = [EQUITY * (1.0 - BORROWED ** (n + 1)) / (1.0 - BORROWED) for n in rounds]
    return ct.System(
        nodes=pd.DataFrame({"node": ["lender", "exchange"], "kind": ["protocol", "exchange"]}),
        assets=pd.DataFrame({"asset": ["token"]}),
        markets=pd.DataFrame(
            {"market": ["exchange:token"], "venue": "exchange", "asset": "token", "price": 1.0, "depth": float("inf")}
        ),
        terms=pd.DataFrame({"platform": ["lender"], "asset": "token", "weight": THRESHOLD}),
        accounts=pd.DataFrame(
            {"account": names, "platform": "lender", "cash": [EQUITY - pledged for pledged in collateral]}
        ),
        positions=pd.DataFrame({"account": names, "asset": "token", "quantity": collateral}),
    )


def main() -> None:
    system = loops(range(9))
    before = ct.solve(system).accounts
    after = ct.solve(system, ct.Scenario(shocks={"token": 0.25})).accounts
    table = pd.DataFrame(
        {
            "collateral": before["gross_assets"].round(),
            "leverage": before["leverage"].round(3),
            "liquidated_by_fall": (1.0 - before["debt"] / before["weighted_assets"]).round(4),
            "wiped_out_by_fall": (before["equity_after"] / before["gross_assets"]).round(4),
            "equity_left": (after["equity_after"] / before["equity_after"]).round(4),
        }
    )
    print(table.to_string())
    last, limit = table.iloc[-1], 1.0 / (1.0 - BORROWED)
    print(
        f"\nLeverage cannot exceed 1/(1 - {BORROWED}) = {limit:.1f}; after {table.index[-1]} a fall of"
        f" {last['wiped_out_by_fall']:.1%} takes everything,\nand one of {last['liquidated_by_fall']:.1%} is enough to"
        " be liquidated."
    )


if __name__ == "__main__":
    main()
