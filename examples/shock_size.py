"""Scale the shock of October 2025 up and down: a small one stays small, a larger one tips.

Question: from which size on does a shock tip the system?
Answer: a table by multiple of the shock: the loss, what sales and thinned depth add to the median fall of the altcoins,
and the rounds until nothing moves. The step of the loss from one row to the next shows where the system tips.
"""

import pandas as pd

import contagion as ct

MULTIPLES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def main() -> None:
    system, scenarios = ct.datasets.load("october_2025")
    altcoins = set(system.assets.loc[system.assets["kind"] == "altcoin", "asset"])
    rows = {}
    for multiple in MULTIPLES:
        shocks = {name: multiple * drop for name, drop in scenarios["record"].shocks.items()}
        solution = ct.solve(system, ct.Scenario(shocks=shocks))
        markets = solution.markets[solution.markets["asset"].isin(altcoins)]
        rows[multiple] = {
            "shock": markets["asset"].map(shocks).median(),
            "fall": markets["drop"].median(),
            "lost depth": 1.0 - markets["depth"].sum() / markets["depth_before"].sum(),
            "liquidated, $bn": solution.totals["liquidated"] / 1e9,
            "loss, $bn": solution.totals["loss"] / 1e9,
            "rounds": len(solution.rounds),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("multiple")
    table["loss per point"] = table["loss, $bn"].diff() / table["shock"].diff() / 100.0
    print(table.round(3).to_string())
    tips = table["loss per point"].idxmax()
    print(
        f"\nThe loss grows fastest on the way to {tips:.1f} times the shock: {table['loss per point'].max():.1f}"
        " billion dollars for each\nfurther point that altcoins fall by themselves, against"
        f" {table['loss per point'].iloc[1]:.1f} billion at first."
    )


if __name__ == "__main__":
    main()
