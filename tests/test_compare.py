"""Two solutions side by side, against the tables that they come from."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion.attribution import attribute, paths
from contagion.compare import Comparison, compare
from tests.seeds import some
from tests.systems import draw, loose

TABLES = ("totals", "markets", "nodes", "groups", "sources", "channels", "paths")


def loop(name: str, **changes: Any) -> ct.Solution:
    system, scenarios = ct.datasets.load("loop_lending")
    for table, frame in changes.items():
        system = system.with_table(table, frame)
    return ct.solve(system, scenarios[name])


@pytest.fixture(scope="module")
def october() -> tuple[ct.Solution, ct.Solution, Comparison]:
    system, scenarios = ct.datasets.load("october_2025")
    a, b = ct.solve(system, scenarios["record"]), ct.solve(system, scenarios["transfers_open"])
    return a, b, compare(a, b, k=20)


def test_a_fall_of_ten_and_of_twenty_five_per_cent_by_hand() -> None:
    found = loose(compare(loop("fall_10"), loop("fall_25")))
    # 368,928 USDe lose 10 and 25 %
    assert found.totals.loc["loss"].tolist() == pytest.approx([36892.8, 92232.0, 55339.2])
    assert found.markets.loc["Lending pool:USDe", ["drop_a", "drop_b", "change"]].tolist() == pytest.approx(
        [0.1, 0.25, 0.15]
    )
    assert found.markets.index[0] == "Lending pool:USDe"
    assert found.sources.loc["shock:USDe"].tolist() == pytest.approx([36892.8, 92232.0, 55339.2])
    assert found.channels.loc["own shock", "change"] == pytest.approx(55339.2)
    assert found.groups.loc["loop @ Lending pool", ["accounts_liquidated_a", "accounts_liquidated_b"]].tolist() == [
        0,
        1,
    ]
    assert found.names == ("fall_10", "fall_25")
    assert repr(found).splitlines()[0] == "fall_10 → fall_25: loss $37k → $92k (+$55k)"


def test_changes_are_those_of_the_tables(october: Any) -> None:
    a, b, found = october
    for table, name, measures in (
        ("markets", "market", ("drop", "price", "sold", "depth")),
        ("nodes", "node", ("loss", "buffer_used", "haircut", "liquidated")),
    ):
        shown = getattr(found, table)
        assert shown.index.name == name
        for measure in measures:
            for suffix, solution in (("a", a), ("b", b)):
                expected = getattr(solution, table)[measure].reindex(shown.index)
                assert shown[f"{measure}_{suffix}"].tolist() == expected.tolist()
        assert shown["change"].tolist() == (shown[f"{measures[0]}_b"] - shown[f"{measures[0]}_a"]).tolist()
    assert found.totals["usd_a"].to_dict() == dict(a.totals)
    assert found.totals["usd_b"].to_dict() == dict(b.totals)


def test_groups_add_up_to_the_table_of_accounts(october: Any) -> None:
    a, _, found = october
    accounts = loose(a.accounts)
    by_group = accounts.groupby(accounts["group"] + " @ " + accounts["platform"])
    for measure, expected in (
        ("loss", by_group["loss"].sum()),
        ("deficit", by_group["deficit"].sum()),
        ("accounts", by_group.size()),
        ("accounts_liquidated", by_group["liquidated"].agg(lambda shares: (shares > 0).sum())),
    ):
        shown = found.groups[f"{measure}_a"].reindex(expected.index)
        assert shown.to_numpy() == pytest.approx(expected.to_numpy(dtype=float), rel=1e-9, abs=1e-6)
    assert found.groups["liquidated_b"].sum() == pytest.approx(found.totals.loc["liquidated", "usd_b"])


def test_sources_and_channels_explain_the_change_of_the_loss(october: Any) -> None:
    _, _, found = october
    for table in (found.sources, found.channels):
        assert table["change"].sum() == pytest.approx(found.totals.loc["loss", "change"], rel=1e-6)


def test_paths_are_matched_by_their_steps(october: Any) -> None:
    a, b, found = october
    listed = [loose(paths(solution, 20)) for solution in (a, b)]
    names = [[" → ".join(path) for path in frame["path"]] for frame in listed]
    assert set(found.paths.index) == {*names[0], *names[1]}
    for suffix, frame, words in zip("ab", listed, names, strict=True):
        shown = found.paths[f"usd_{suffix}"].reindex(words)
        assert shown.to_numpy() == pytest.approx(frame["usd"].to_numpy(), rel=1e-9)
    both = found.paths.index.isin(names[0]) & found.paths.index.isin(names[1])
    assert found.paths["change"].notna().tolist() == both.tolist()


def test_largest_changes_stand_on_top(october: Any) -> None:
    for table in TABLES:
        change = loose(getattr(october[2], table))["change"].abs().dropna()
        assert change.is_monotonic_decreasing
        assert len(change) > 0


@pytest.mark.parametrize("seed", some(12))
def test_comparing_the_other_way_turns_every_sign(seed: int) -> None:
    system, scenario = draw(seed)
    a, b = ct.solve(system), ct.solve(system, scenario)
    forth, back = compare(a, b), compare(b, a)
    for table in TABLES:
        one, other = loose(getattr(forth, table)), loose(getattr(back, table))
        pd.testing.assert_series_equal(one["change"], -other["change"].reindex(one.index), check_exact=True)
        first = [column for column in one if column.endswith("_a")]
        for column in first:
            mirrored = other[column.removesuffix("a") + "b"].reindex(one.index)
            assert one[column].tolist() == pytest.approx(mirrored.tolist(), nan_ok=True)


def test_a_solution_does_not_differ_from_itself() -> None:
    same = loop("fall_25")
    found = compare(same, same)
    for table in TABLES:
        assert (getattr(found, table)["change"] == 0.0).all()
    assert repr(found) == "fall_25 → fall_25: loss $92k → $92k ($0)"


def test_names_that_only_one_of_them_has_count_as_zero() -> None:
    system, _ = ct.datasets.load("loop_lending")
    more = pd.concat([system.nodes, system.nodes.tail(1).assign(node="Newcomer", buffer=10.0)], ignore_index=True)
    joined = system.with_table("nodes", more)
    found = loose(compare(loop("fall_25"), ct.solve(joined, ct.Scenario(losses={"Newcomer": 25.0}))))
    row = found.nodes.loc["Newcomer"]
    assert math.isnan(row["loss_a"])
    assert row[["loss_b", "change"]].tolist() == [25.0, 25.0]
    assert found.names == ("fall_25", "b")
    assert found.sources.loc["loss:Newcomer", "change"] == pytest.approx(25.0)


def test_sources_are_those_of_the_attribution(october: Any) -> None:
    a, _, found = october
    expected = attribute(a).sources["usd"]
    assert found.sources["usd_a"].reindex(expected.index).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("x", "y"), "2 problems"), ((None, None, 0), "3 problems"), ((1, 2, True), "k is True"), ((1, 2, 2.0), "k is 2")],
)
def test_arguments_are_checked_together(arguments: Any, said: str) -> None:
    with pytest.raises(ct.InputError, match=said):
        compare(*arguments)


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    solution = loop("fall_25")
    assert len(compare(solution, solution, np.int64(1)).paths) == 1  # type: ignore[arg-type]


def test_states_that_are_no_results_are_named() -> None:
    system, scenarios = ct.datasets.load("loop_lending")
    unfinished = ct.solve(system, scenarios["fall_25"], max_rounds=1, on_failure="return")
    found = ct.compare(unfinished, ct.solve(system, scenarios["fall_10"]))
    assert found.not_converged == ("fall_25",)
    assert repr(found).startswith("NOT CONVERGED, no results: fall_25\n")
    assert ct.attribute(unfinished).reading.startswith("NOT CONVERGED")
