"""Contagion paths and walks of solutions: sums, names and channels; the search itself is tested in test_chain."""

from typing import Any

import numpy as np
import pytest

import contagion as ct
from contagion.attribution import feedback
from tests.seeds import some
from tests.systems import draw, to_system
from tests.test_attribution import worked_example
from tests.test_loss_graph import TABLES


def test_the_worked_example_has_two_paths_by_hand() -> None:
    """One market and one group: each source reaches the group through the market, and nothing else is simple."""
    found = ct.paths(worked_example())
    assert found["path"].tolist() == [("shock:A", "x:A", "account @ x"), ("depth:x", "x:A", "account @ x")]
    assert found["usd"].tolist() == pytest.approx([1.5963878107327891, 0.269224736036972], rel=1e-12)
    assert found["channels"].tolist() == [("own shock", "proceeds"), ("depth", "proceeds")]
    assert found["rank"].tolist() == [1, 2]
    # the market passes T = 2.6732 of which 1.8656 ends in the group at once, so it sees each dollar 1.4329 times
    passed = 0.2058639 * 6.3521306 + 0.1551914 * 8.7995399
    assert found["gain"].iloc[0] == pytest.approx(passed / 1.8656125, rel=1e-6)
    assert found.attrs["unlisted"] == pytest.approx(0.0, abs=1e-12)
    assert found.attrs["proven"] == 2


@pytest.mark.parametrize("shorts", [True, False])
def test_listed_and_unlisted_are_the_target(shorts: bool) -> None:
    for seed in some(30):
        found = ct.attribute(ct.solve(*draw(seed, shorts), on_failure="return"))
        for table in (ct.paths(found, k=7), ct.walks(found, k=7)):
            whole = float(table["usd"].sum()) + table.attrs["unlisted"]
            scale = max(found.total, float(found.edges["usd"].abs().sum()), 1e-9)
            assert whole == pytest.approx(found.total, abs=1e-9 * scale), seed
            assert len(table) <= 7
            if not shorts:
                assert (table["usd"].diff().dropna() <= 1e-12 * found.total).all(), seed
                assert table.attrs["proven"] == len(table), seed


def test_paths_follow_edges_and_are_simple() -> None:
    for seed in some(15):
        found = ct.attribute(ct.solve(*draw(seed, shorts=False)))
        steps = set(zip(found.edges["cause"], found.edges["effect"], found.edges["channel"], strict=True))
        for row in ct.paths(found, k=25).to_dict("records"):
            path, channels = row["path"], row["channels"]
            assert len(set(path)) == len(path)
            assert path[0] in found.sources.index
            assert set(zip(path[:-1], path[1:], channels, strict=True)) <= steps
            assert row["gain"] == pytest.approx(np.prod(row["gains"]), rel=1e-12)
            assert min(row["gains"]) >= 1.0 - 1e-12


def test_paths_to_a_price() -> None:
    for seed in some(10):
        solution = ct.solve(*draw(seed, shorts=False))
        market = str(solution.markets["drop"].idxmax())
        found = ct.paths(solution, k=50, target=f"price:{market}")
        whole = found["drop"].sum() + found.attrs["unlisted"]
        assert whole == pytest.approx(solution.markets["drop"].max(), rel=1e-9)
        assert {path[-1] for path in found["path"]} == ({market} if len(found) else set())
        assert len(found) or solution.markets["drop"].max() == 0.0


def test_groups_are_made_of_any_columns() -> None:
    solution = ct.solve(*draw(3, shorts=False))
    for by, name in ((("account",), "acc0"), (("platform",), "ex0"), (("account", "platform"), "acc0 @ ex0")):
        found = ct.attribute(solution)
        assert name in found.entities(by).names, by
        table = ct.paths(found, k=5, by=by)
        assert table["share"].sum() + table.attrs["unlisted_share"] == pytest.approx(1.0, abs=1e-12)


def test_feedback_is_one_where_nothing_returns() -> None:
    system, scenarios = ct.datasets.load("october_2025")
    table = feedback(ct.attribute(ct.solve(system, scenarios["mild"])))
    holders = table.loc[["spot holder @ Binance", "spot holder @ OKX"], "amplification"]
    assert holders.tolist() == [1.0, 1.0]


def test_nothing_happened_and_there_are_no_paths() -> None:
    system, _ = ct.generate.system(accounts=50)
    for table in (ct.paths(ct.solve(system)), ct.walks(ct.solve(system))):
        assert table.empty
        assert {"rank", "share", "usd", "path", "channels"} <= set(table.columns)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k is 0; give a whole number"),
        ({"by": ("grup",)}, "did you mean 'group'"),
        ({"k": -3}, "k is -3; give a whole number"),
        ({"k": True}, "k is True; give a whole number"),
        ({"k": float("nan")}, "k is nan; give a whole number"),
        ({"k": 2.0}, "k is 2.0; give a whole number"),
        ({"by": ()}, "by is empty"),
        ({"by": None}, "by is None; give a list of columns"),
        ({"by": "group"}, r"by is 'group'; give a list of columns, as \['group'\]"),
        ({"by": [["group"]]}, r"by holds \['group'\]; give columns as text"),
        ({"by": ["group", "group"]}, "by holds 'group' more than once"),
        ({"by": {"group", "mode"}}, "which has no order; give a list of columns"),
        ({"target": ""}, "target '' is not known; give 'loss'"),
        ({"target": 3}, "target is 3; give 'loss'"),
        ({"target": "prise:x:A"}, "did you mean 'price:'"),
        ({"target": "price:x:B"}, "'x:B' is not a market"),
        ({"target": "profit"}, "give 'loss'"),
        ({"solved": 3}, "solved is a int"),
    ],
)
def test_wrong_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ct.InputError, match=message):
        ct.paths(**{"solved": worked_example(), **arguments})


@pytest.mark.parametrize("asked", [ct.paths, ct.walks])
def test_every_wrong_argument_is_named_once(asked: Any) -> None:
    with pytest.raises(ct.InputError) as error:
        asked(worked_example(), k=0, target="deficit:z", by=["grup", "grup", "ownr"])
    assert error.value.subject == asked.__name__
    assert [problem.partition(";")[0] for problem in error.value.problems] == [
        "k is 0",
        "target 'deficit:z': 'z' is not a platform",
        "by holds 'grup' (did you mean 'group'?), 'ownr' (did you mean 'owner'?)",
    ]
    with pytest.raises(ct.InputError, match="3 problems"):
        asked(None, k=None, by=None)


def test_numbers_and_lists_of_any_kind_are_taken() -> None:
    plain = ct.paths(worked_example(), k=2, by=("group", "platform"))
    given: Any = np.array(["group", "platform"])
    for by in (["group", "platform"], given):
        assert ct.paths(worked_example(), k=np.int64(2), by=by).equals(plain)  # type: ignore[arg-type]


def test_feedback_is_of_an_attribution() -> None:
    with pytest.raises(ct.InputError, match="found is a Solution; give an Attribution"):
        feedback(worked_example())  # type: ignore[arg-type]


def test_groups_with_names_in_their_names_are_found() -> None:
    """A group "a @ b" on x and a group "a" on "b @ x" have one name; the second gets a number."""
    nodes = [*TABLES["nodes"], {"node": "b @ x"}]
    accounts = [
        {"account": "a", "platform": "x", "group": "a @ b"},
        {"account": "q", "platform": "b @ x", "group": "a"},
    ]
    solution = ct.solve(to_system({**TABLES, "nodes": nodes, "accounts": accounts}), ct.Scenario(shocks={"A": 0.1}))
    loss = solution.totals["loss"]
    shares = [ct.attribute(solution, f"equity:{name}").total / loss for name in ("a @ b @ x", "a @ b @ x (2)", "a @ b")]
    assert sorted(shares[:2]) == pytest.approx([0.0, 1.0])
    assert shares[2] == pytest.approx(1.0)
    with pytest.raises(ct.InputError, match=r"'a @ b @ x \(3\)' is not an account"):
        ct.attribute(solution, "equity:a @ b @ x (3)")
    with pytest.raises(ct.InputError, match="'b @ x' is not an account"):
        ct.attribute(solution, "equity:b @ x")


def test_an_attribution_shows_itself_in_a_notebook() -> None:
    html = ct.attribute(worked_example())._repr_html_()
    assert html is not None
    for said in ("shock:A", "86%", "own shock", "ρ", "<svg"):
        assert said in html
    price = ct.attribute(worked_example(), "price:x:A")._repr_html_()
    assert price is not None
    assert "drop" in price


def test_groups_by_platform_are_told_from_the_platform() -> None:
    table = ct.paths(worked_example(), by=("platform",))
    assert table["path"].iloc[0] == ("shock:A", "x:A", "accounts of x")


def test_an_attribution_has_its_own_target() -> None:
    found = ct.attribute(worked_example())
    assert len(ct.paths(found, target="loss")) == 2
    with pytest.raises(ct.InputError, match="the attribution given is of 'loss'"):
        ct.walks(found, target="price:x:A")


def test_a_name_that_is_an_account_and_a_group_is_ambiguous() -> None:
    accounts = [{"account": "a", "platform": "x", "group": "b"}, {"account": "b", "platform": "x", "group": "c"}]
    solution = ct.solve(to_system({**TABLES, "accounts": accounts}), ct.Scenario(shocks={"A": 0.1}))
    with pytest.raises(ct.InputError, match="'b' is an account"):
        ct.attribute(solution, "equity:b")
    assert ct.attribute(solution, "equity:c @ x").total == 0.0
