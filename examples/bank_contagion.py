"""Clear a ring of four banks, each owing the next one: no markets, only claims (Eisenberg and Noe 2001).

Question: how far does one bank's loss travel round the ring, and what do default costs add?
Answer: a table of each bank's loss and the share that its claimants lose, without and with default costs.
"""

import pandas as pd

import contagion as ct

BANKS = ["North", "East", "South", "West"]
EQUITY = [20.0, 30.0, 25.0, 60.0]
OWED_TO_NEXT, OWED_TO_DEPOSITORS, LOSS = 100.0, 100.0, 90.0


def ring(recovery_rate: float) -> ct.System:
    """Return the ring, with what banks owe each other and their depositors."""
    return ct.System(
        nodes=pd.DataFrame(
            {
                "node": BANKS,
                "domain": "tradfi",
                "buffer": EQUITY,
                "liabilities": OWED_TO_NEXT + OWED_TO_DEPOSITORS,
                "recovery_rate": recovery_rate,
            }
        ),
        claims=pd.DataFrame({"creditor": [*BANKS[1:], BANKS[0]], "debtor": BANKS, "amount": OWED_TO_NEXT}),
    )


def main() -> None:
    columns, losses = {}, {}
    for recovery_rate in (1.0, 0.8):
        solution = ct.solve(ring(recovery_rate), ct.Scenario(losses={"North": LOSS}))
        label = f"recovery {recovery_rate:.0%}"
        columns[f"loss, {label}"] = solution.nodes["loss"].round(2)
        columns[f"haircut, {label}"] = solution.nodes["haircut"].round(4)
        losses[label] = solution.totals["loss"]
    print(pd.DataFrame(columns).to_string())
    with_costs, without = losses["recovery 80%"], losses["recovery 100%"]
    print(
        f"\nWithout default costs the loss of {LOSS:.0f} is borne once, {without:.2f} in total."
        f"\nWith them it grows to {with_costs:.2f}: every default destroys value that no creditor receives."
    )


if __name__ == "__main__":
    main()
