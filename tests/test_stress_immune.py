"""Losses avoided by immunity: by hand, against edited tables, and over random systems."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given

import contagion as ct
from contagion.kernels import iterate
from contagion.stress import avoided_if_immune
from contagion.stress.candidates import Candidates
from contagion.stress.immune import _suppressed
from contagion.stress.runs import Book
from tests.stress_systems import at_one_venue, examples, seeds, shuffled
from tests.systems import draw, loose
from tests.test_properties import isotone

few = examples(6)
TYPES = ("node", "market", "group")


def solved(seed: int, shorts: bool = True) -> ct.Solution:
    solution = ct.solve(*draw(seed, shorts), on_failure="return")
    assume(solution.converged and solution.totals["loss"] > 0.0)
    return solution


def two_holders() -> ct.System:
    """Return a borrower with 10 A against 7.6 dollars, and a holder of 3 A without debt; the depth is 1."""
    system = at_one_venue([10.0, 3.0], [7.6, 0.0], depth=1.0)
    return system.with_table("accounts", system.accounts.assign(group=["borrower", "holder"]))


def test_a_borrower_by_hand() -> None:
    """Sold to somebody outside at 0.9, 10 A bring 0.95·9 and cost 2.4 − 0.95 of equity; the holder loses 0.3."""
    solution = ct.solve(two_holders(), ct.Scenario(shocks={"A": 0.1}))
    found = loose(avoided_if_immune(solution))
    price, average = 0.9 * 0.99**10, 0.9 * (1 - 0.99**10) / (10 * math.log(1 / 0.99))
    before = (2.4 - (0.95 * 10 * average - 7.6)) + 3 * (1 - price)
    without = 1.45 + 0.3
    assert solution.totals["loss"] == pytest.approx(before, rel=1e-12)
    assert found.index.tolist() == ["borrower @ x", "x:A"]
    for name in found.index:  # an infinitely deep market comes to the same
        assert found.loc[name, "loss"] == pytest.approx(without, rel=1e-12)
        assert found.loc[name, "avoided_if_immune"] == pytest.approx(before - without, rel=1e-12)


def test_quotes_that_stay_by_edited_tables() -> None:
    """A market maker that never sells: its quotes stay if they are withdrawn at no equity but zero."""
    system = two_holders()
    quotes = pd.DataFrame({"account": ["a1"], "market": "x:A", "depth": 1.5})
    system = system.with_table("quotes", quotes)
    scenario = ct.Scenario(shocks={"A": 0.1})
    found = loose(avoided_if_immune(ct.solve(system, scenario)))
    staying = quotes.assign(full_at=1e-12, withdrawn_at=0.0)
    want = ct.solve(system.with_table("quotes", staying), scenario).totals["loss"]
    assert found.loc["holder @ x", "loss"] == pytest.approx(want, rel=1e-11)
    assert found.loc["holder @ x", "avoided_if_immune"] > 1e-3


def spelled_out(solution: ct.Solution) -> ct.System:
    """Return the system with the routes and oracles of everything that is held written down, so that depth is free."""
    parts = solution.parts
    columns, labels, positions = parts.labels.columns, parts.labels, parts.inputs.positions
    pairs = columns.assign(pair=positions.pair).drop_duplicates("pair").sort_values("pair")
    tables = {}
    for table, matrix, share in (("routes", positions.route, "share"), ("oracles", positions.oracle, "weight")):
        listed = matrix.tocoo()
        kept = listed.data > 0.0
        row, column, value = listed.row[kept], listed.col[kept], listed.data[kept]
        frame = pd.DataFrame(
            {
                "platform": labels.nodes.take(pairs["platform"].to_numpy()[row]),
                "asset": labels.assets.take(pairs["asset"].to_numpy()[row]),
                "market": labels.markets.take(column),
                share: value,
            }
        )
        old = getattr(parts.system, table)
        if table == "oracles":
            held = pd.MultiIndex.from_frame(old[["platform", "asset"]]).isin(
                pd.MultiIndex.from_arrays(
                    [labels.nodes.take(pairs["platform"].to_numpy()), labels.assets.take(pairs["asset"].to_numpy())]
                )
            )
            frame = pd.concat([frame, old[(old["market"] == "") & held]])
        tables[table] = frame
    return parts.system.with_table("routes", tables["routes"]).with_table("oracles", tables["oracles"])


@few
@given(seeds)
def test_a_market_without_impact_is_one_of_infinite_depth(seed: int) -> None:
    solution = solved(seed)
    found = loose(avoided_if_immune(solution))
    found = found[(found["type"] == "market") & found["loss"].notna()]
    assume(len(found))
    system = spelled_out(solution)
    parts = ("shocks", "depth", "arbitrage", "losses")
    scenario = ct.Scenario(**{part: getattr(solution.scenario, part) for part in parts})
    for name in found.index[:3]:
        depth = system.markets["depth"].mask(system.markets["market"] == name, math.inf)
        edited = system.with_table("markets", system.markets.assign(depth=depth))
        want = ct.solve(edited, scenario, on_failure="return")
        if want.converged:
            scale = solution.totals["loss"]
            assert found.loc[name, "loss"] == pytest.approx(want.totals["loss"], rel=1e-8, abs=1e-8 * scale)


@few
@given(seeds)
def test_a_node_without_haircut_is_one_whose_buffer_somebody_pays(seed: int) -> None:
    """With a buffer beyond all losses nobody is cut; somebody pays what lies between buffer and liabilities."""
    solution = solved(seed)
    found = loose(avoided_if_immune(solution))
    found = found[(found["type"] == "node") & found["loss"].notna()]
    assume(len(found))
    system = solution.system
    for name in found.index:
        buffer = system.nodes["buffer"].mask(system.nodes["node"] == name, 1e12)
        edited = ct.solve(
            system.with_table("nodes", system.nodes.assign(buffer=buffer)),
            ct.Scenario(**{p: getattr(solution.scenario, p) for p in ("shocks", "depth", "arbitrage", "losses")}),
            on_failure="return",
        )
        node = loose(solution.nodes).loc[name]
        paid = min(max(loose(edited.nodes).loc[name, "loss"] - node["buffer"], 0.0), node["liabilities"])
        if edited.converged:
            want = edited.totals["loss"] - paid
            assert found.loc[name, "loss"] == pytest.approx(want, rel=1e-9, abs=1e-9 * edited.totals["loss"])


@few
@given(seeds)
def test_setting_out_late_changes_nothing(seed: int) -> None:
    """Hedged or not: from zero the rounds take the same way, to the last bit for groups and nodes."""
    solution = solved(seed)
    found = loose(avoided_if_immune(solution))
    parts = solution.parts
    book, candidates = Book.of(parts), Candidates.of(parts)
    for candidate in candidates.all(TYPES):
        if candidate.name not in found.index:
            continue
        inputs, immune = _suppressed(parts.inputs, candidates, candidate)
        cold = book.run(inputs, immune=immune)
        got = found.loc[[candidate.name]].query("type == @candidate.type")["loss"].iloc[0]
        if cold.converged:
            assert got == pytest.approx(cold.loss, rel=1e-9, abs=1e-9 * solution.totals["loss"])


@few
@given(seeds)
def test_7_immunity_never_raises_the_loss(seed: int) -> None:
    solution = ct.solve(*isotone(seed))
    found = avoided_if_immune(solution)
    assert (found["avoided_if_immune"] >= -1e-9 * solution.totals["loss"]).all()
    assert found["avoided_if_immune"].is_monotonic_decreasing


@few
@given(seeds)
def test_7_immunity_of_the_untouched_changes_no_bit(seed: int) -> None:
    solution = solved(seed)
    parts = solution.parts
    candidates, touched = Candidates.of(parts), set(avoided_if_immune(solution).index)
    untouched = [candidate for candidate in candidates.all(TYPES) if candidate.name not in touched]
    assume(untouched)
    for candidate in untouched:
        inputs, immune = _suppressed(parts.inputs, candidates, candidate)
        again = iterate(inputs, solution.tol, 20_000, immune=immune)
        for one, two in zip(parts.run.state, again.state, strict=True):
            if candidate.type == "market":
                np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9)
            else:
                assert np.array_equal(one, two)
    found = avoided_if_immune(solution, [candidate.name for candidate in untouched])
    assert (found["avoided_if_immune"] == 0.0).all()
    assert (found["loss"] - solution.totals["loss"]).abs().max() <= 1e-12 * solution.totals["loss"]


@few
@given(seeds)
def test_the_order_of_rows_changes_no_bit(seed: int) -> None:
    system, scenario = draw(seed)
    one, two = (ct.solve(tables, scenario, on_failure="return") for tables in (system, shuffled(system, seed)))
    assume(one.converged)
    pd.testing.assert_frame_equal(avoided_if_immune(one), avoided_if_immune(two), check_exact=True)


def test_names_choose_in_any_order_and_once() -> None:
    solution = ct.solve(two_holders(), ct.Scenario(shocks={"A": 0.1}))
    found = avoided_if_immune(solution, ["x", "x:A", "holder @ x", "x:A"])
    assert found.index.tolist() == ["x:A", "holder @ x", "x"]
    assert found["type"].tolist() == ["market", "group", "node"]
    assert len(avoided_if_immune(solution, [])) == 0


def test_nothing_happens_nothing_is_avoided() -> None:
    found = avoided_if_immune(ct.solve(two_holders()))
    assert found.columns.tolist() == ["type", "avoided_if_immune", "loss"]
    assert found.empty


def test_progress_is_shown_on_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    avoided_if_immune(ct.solve(two_holders(), ct.Scenario(shocks={"A": 0.1})), progress=True)
    shown = capsys.readouterr()
    assert "immune" in shown.err
    assert not shown.out


def test_bad_arguments_are_named() -> None:
    solution = ct.solve(two_holders(), ct.Scenario(shocks={"A": 0.1}))
    with pytest.raises(ct.InputError, match=r"did you mean 'borrower @ x'") as caught:
        avoided_if_immune(solution, ["borower @ x", "nobody"])
    assert len(caught.value.problems) == 2
    with pytest.raises(ct.InputError, match="give a list of names"):
        avoided_if_immune(solution, "x:A")
    with pytest.raises(ct.InputError, match="give names as text"):
        avoided_if_immune(solution, [["x"]])  # type: ignore[list-item]
    with pytest.raises(ct.InputError, match="give a Solution"):
        avoided_if_immune(two_holders())  # type: ignore[arg-type]
    unfinished = ct.solve(two_holders(), ct.Scenario(shocks={"A": 0.1}), max_rounds=1, on_failure="return")
    with pytest.raises(ct.InputError, match="not converged"):
        avoided_if_immune(unfinished)
