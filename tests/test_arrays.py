"""The order of accounts and of cells, against plain loops over the tables."""

import math
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion.arrays import lower
from contagion.arrays.encode import matrix
from contagion.arrays.shape import distinct
from tests.systems import draw


def crowded(seed: int) -> tuple[ct.System, ct.Scenario]:
    """Return a system in which many positions share a cell, some with weights of their own, rows in any order."""
    rng = np.random.default_rng(seed)
    system, scenario = draw(seed)
    again = system.positions.sample(frac=2.0, replace=True, random_state=seed)
    own = rng.random(len(again))
    again = again.assign(
        quantity=again["quantity"] * rng.uniform(0.5, 2.0, len(again)),
        weight=np.where(own < 0.2, 0.5, again["weight"]),
        maintenance=np.where(own > 0.8, 0.03, again["maintenance"]),
    )
    rows = pd.concat([system.positions, again]).sample(frac=1.0, random_state=seed)
    return system.with_table("positions", rows.reset_index(drop=True)), scenario


def holdings(system: ct.System) -> dict[str, dict[tuple[object, ...], float]]:
    """Return what each account holds, by asset, side, weight and maintenance."""
    found: dict[str, dict[tuple[object, ...], float]] = {
        name: defaultdict(float) for name in system.accounts["account"]
    }
    for row in sorted(system.positions.to_dict("records"), key=lambda row: abs(row["quantity"])):
        side = "short" if row["side"] == "perp" and row["quantity"] < 0.0 else row["side"]
        own = tuple(None if math.isnan(row[name]) else row[name] for name in ("weight", "maintenance"))
        found[row["account"]][(row["asset"], side, *own)] += abs(row["quantity"])
    return found


@pytest.mark.parametrize("seed", range(5))
def test_accounts_stand_by_platform_duties_holdings_and_name(seed: int) -> None:
    system, scenario = crowded(seed)
    held = holdings(system)
    duties = {
        row["account"]: (row["call_policy"] != "none", not math.isnan(row["stop_loss"]), row["owner"] != "")
        for row in system.accounts.to_dict("records")
    }
    platform = dict(zip(system.accounts["account"], system.accounts["platform"], strict=True))
    expected = sorted(held, key=lambda name: (platform[name], duties[name], len(held[name]), name))
    inputs, labels = lower(system, scenario)
    assert labels.accounts.tolist() == expected
    assert system.accounts["account"].iloc[labels.account_rows].tolist() == expected
    assert np.diff(inputs.positions.quantity.indptr).tolist() == [len(held[name]) for name in expected]
    for number, name in enumerate(expected):
        assert sorted(inputs.positions.quantity[[number]].data) == sorted(held[name].values())


def test_cells_are_added_up_from_the_smallest_entry_on() -> None:
    rng = np.random.default_rng(4)
    rows, columns, values = rng.integers(0, 3, 400), rng.integers(0, 5, 400), rng.lognormal(0.0, 9.0, 400)
    expected: dict[tuple[int, int], float] = defaultdict(float)
    for value, row, column in sorted(zip(values.tolist(), rows.tolist(), columns.tolist(), strict=True)):
        expected[row, column] += value
    built = matrix(values, rows, columns, (3, 5)).toarray()
    assert {cell: value for cell, value in np.ndenumerate(built) if value} == expected


def test_distinct_rows_in_order_with_empty_cells_first() -> None:
    rng = np.random.default_rng(5)
    columns = {
        "near": rng.integers(-2, 3, 300).astype(np.int8),
        "far": rng.choice([-(1 << 40), 0, 1 << 40], 300),
        "word": rng.choice(["b", "a", "ab"], 300),
        "rate": rng.choice([np.nan, 0.0, 0.25], 300),
        "never": np.full(300, np.nan),
    }
    group, found = distinct(pd.DataFrame(columns))
    cells = [tuple(-1.0 if each != each else each for each in row) for row in pd.DataFrame(columns).to_numpy().tolist()]
    ordered = sorted(set(cells))
    assert [tuple(-1.0 if each != each else each for each in row) for row in found.to_numpy().tolist()] == ordered
    assert [ordered[number] for number in group] == cells
