"""Synthetic systems: valid, seeded, alike at any size."""

from typing import Any

import pytest

import contagion as ct
from contagion import generate


def test_same_seed_same_tables() -> None:
    (a, first), (b, second) = generate.system(accounts=300, seed=3), generate.system(accounts=300, seed=3)
    assert a == b
    assert first == second
    assert a != generate.system(accounts=300, seed=4)[0]


@pytest.mark.parametrize("accounts", [1, 2, 17, 1000])
@pytest.mark.parametrize("assets", [1, 12])
def test_every_size_is_valid_and_solves(accounts: int, assets: int) -> None:
    system, scenario = generate.system(accounts=accounts, assets=assets, seed=accounts)
    ct.validate(system, scenario)
    assert len(system.accounts) == accounts
    assert ct.solve(system, scenario).converged


def test_nobody_is_liquidated_before_the_shock() -> None:
    system, _ = generate.system(accounts=3000, seed=1)
    calm = ct.solve(system)
    assert (calm.accounts["liquidated"] == 0).all()
    assert calm.totals["loss"] == 0.0


def test_a_part_is_liquidated_and_sizes_have_heavy_tails() -> None:
    system, scenario = generate.system(accounts=5000, seed=2)
    solution = ct.solve(system, scenario)
    assert 0.05 < (solution.accounts["liquidated"] > 0).mean() < 0.95
    assert 2.2 < len(system.positions) / len(system.accounts) < 2.8
    gross = solution.accounts["gross_assets_before"].sort_values(ascending=False)
    assert gross.head(50).sum() > 0.15 * gross.sum()


def test_long_only_has_no_shorts() -> None:
    system, _ = generate.system(accounts=2000, seed=5, shorts=False)
    assert (system.positions["quantity"] > 0).all()


@pytest.mark.parametrize("size", [{"accounts": 0}, {"assets": 0}])
def test_nothing_to_generate(size: dict[str, Any]) -> None:
    with pytest.raises(ct.InputError, match="at least one of each"):
        generate.system(**size)


def test_a_whole_number_may_be_a_float() -> None:
    assert generate.system(accounts=1e2, assets=5.0, seed=1) == generate.system(accounts=100, assets=5, seed=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [{"accounts": 1.5}, {"assets": float("nan")}, {"accounts": "5"}, {"assets": None}])
def test_a_part_of_an_account(size: dict[str, Any]) -> None:
    with pytest.raises(ct.InputError, match="give a whole number"):
        generate.system(**size)


def test_owners_are_empty_or_nodes() -> None:
    system, _ = generate.system(accounts=3000, seed=1)
    assert set(system.accounts["owner"]) == {"", "prime"}
