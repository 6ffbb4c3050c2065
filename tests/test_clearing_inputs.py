"""Every model with every form of input, every kind of mistake, and the smallest systems: one table for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray

import contagion as ct
from contagion import clearing
from contagion.clearing import valuations
from contagion.errors import InputError, NotConverged

Floats = NDArray[np.float64]

NAMES = ["ann", "bob", "cy", "dan", "eve"]
DEBTS = np.array(
    [
        [0.0, 4.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 5.0, 0.0, 0.0],
        [2.0, 0.5, 0.0, 0.25, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)
"""Dan owes nothing, and eve is alone."""

SHARES = np.array([[0, 0.2, 0, 0.1, 0], [0.3, 0, 0, 0, 0], [0, 0, 0, 0.4, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])

VECTORS = {
    "assets": np.array([1.0, 0.5, 2.0, 0.0, 0.0]),
    "outside": np.array([0.5, 0.0, 1.0, 0.75, 0.0]),
    "equity": np.array([2.0, 3.0, 1.5, 4.0, 1.0]),
    "shock": np.array([0.5, 0.0, 0.0, 0.25, 0.0]),
    "rate": np.array([0.4, 0.5, 0.6, 0.7, 0.8]),
    "illiquid": np.array([3.0, 2.0, 1.0, 0.5, 0.0]),
}

ASSETS = ["bond", "share", "gold"]
HOLDINGS = np.array([[30.0, 0, 5], [0, 20, 0], [10, 10, 10], [0, 0, 0], [1, 0, 0]])
BY_ASSET = {"depth": np.array([200.0, 100.0, 300.0]), "drop": np.array([0.05, 0.1, 0.0])}

Pick = Callable[[str], Any]
"""A vector by name, in the form that is tried."""


class Model(NamedTuple):
    """How a model is called, with what it reads by node."""

    call: Callable[..., Any]
    reads: tuple[str, ...]


def of_nodes(function: Callable[..., Any], *reads: str, **options: Any) -> Model:
    return Model(lambda matrix, *vectors: function(matrix, *vectors, **options), reads)


def classes(matrix: Any, assets: Any, outside: Any) -> Any:
    """Return clearing with two equal classes; holdings are the debts in a small share."""
    return clearing.elsinger([matrix, matrix], matrix * 0.01, assets, [outside, outside])


def shared(matrix: Any, assets: Any, nominal: Any) -> Any:
    return clearing.suzuki(matrix * 0.1, matrix * 0.05, assets, nominal)


def fire_sale(matrix: Any, liquid: Any, illiquid: Any, outside: Any, **options: Any) -> Any:
    return clearing.cifuentes_ferrucci_shin(matrix, liquid, illiquid, 0.02, 0.1, outside, **options)


NODES = {
    "eisenberg_noe": of_nodes(clearing.eisenberg_noe, "assets", "outside"),
    "eisenberg_noe, senior": of_nodes(clearing.eisenberg_noe, "assets", "outside", external="senior"),
    "rogers_veraart": of_nodes(clearing.rogers_veraart, "assets", "rate", "rate", "outside"),
    "rogers_veraart, least": of_nodes(clearing.rogers_veraart, "assets", "rate", "rate", "outside", solution="least"),
    "elsinger": Model(classes, ("assets", "outside")),
    "suzuki": Model(shared, ("assets", "equity")),
    "furfine": of_nodes(clearing.furfine, "assets", "outside", "rate"),
    "threshold_cascade": of_nodes(clearing.threshold_cascade, "equity", "shock", "rate"),
    "debtrank": of_nodes(clearing.debtrank, "equity", "shock", "equity"),
    "debtrank, single_hit": of_nodes(clearing.debtrank, "equity", "shock", variant="single_hit"),
    "debtrank, nonlinear": of_nodes(clearing.debtrank, "equity", "shock", variant="nonlinear"),
    "debtrank_all": of_nodes(clearing.debtrank_all, "equity", "equity"),
    "network_valuation": Model(
        lambda matrix, assets, outside: clearing.network_valuation(matrix, assets, outside, valuations.merton(0.3)),
        ("illiquid", "outside"),
    ),
    "jacobian": Model(
        lambda matrix, assets, outside: clearing.jacobian(matrix, assets, outside, valuations.eisenberg_noe()),
        ("illiquid", "outside"),
    ),
    "variation_margin": of_nodes(clearing.variation_margin, "assets"),
    "variation_margin, proportional": of_nodes(clearing.variation_margin, "assets", rule="proportional"),
    "cifuentes_ferrucci_shin": Model(fire_sale, ("assets", "illiquid", "outside")),
    "cifuentes_ferrucci_shin, average, least": Model(
        lambda *given: fire_sale(*given, settlement="average", solution="least"), ("assets", "illiquid", "outside")
    ),
    "impact_matrix": of_nodes(clearing.impact_matrix, "equity"),
    "vulnerability_matrix": of_nodes(clearing.vulnerability_matrix, "equity"),
    "impact_susceptibility": of_nodes(clearing.impact_susceptibility, "equity", "equity", binary=False),
    "impact_fluidity": of_nodes(clearing.impact_fluidity, "equity"),
    "impact_diffusion": of_nodes(clearing.impact_diffusion, "equity", "equity", binary=False),
    "communicability": of_nodes(clearing.communicability),
    "leverage_stability": of_nodes(clearing.leverage_stability, "equity"),
    "core_periphery": of_nodes(clearing.core_periphery),
    "sink_rank": of_nodes(clearing.sink_rank),
    "centralities": of_nodes(clearing.centralities),
}

NEEDS_EQUITY = [name for name, model in NODES.items() if "equity" in model.reads and name != "suzuki"]
NEEDS_EQUITY.remove("threshold_cascade")

PORTFOLIOS: dict[str, Callable[[Any, Pick, Pick], Any]] = {
    "cont_schaanning": lambda held, node, asset: clearing.cont_schaanning(
        held, node("equity"), asset("depth"), shock=asset("drop"), illiquid_assets=node("illiquid"), leverage_limit=9
    ),
    "vulnerable_banks": lambda held, node, asset: clearing.vulnerable_banks(held, node("equity"), asset("drop"), 1e-3),
    "liquidity_weighted_overlaps": lambda held, _, asset: clearing.liquidity_weighted_overlaps(held, asset("depth")),
    "indirect_contagion": lambda held, _, asset: clearing.indirect_contagion(held, asset("depth")),
    "endogenous_risk": lambda held, node, asset: clearing.endogenous_risk(held, asset("depth"), node("equity")),
}


def numbers(result: Any) -> pd.DataFrame:
    """Return what a model says, as numbers with labels."""
    found: Any = getattr(result, "frame", result)
    if sp.issparse(found):
        found = pd.DataFrame(result.toarray())
    elif np.ndim(found) < 2:
        found = pd.DataFrame({"value": found}, index=["all"] if np.isscalar(found) else None)
    table: pd.DataFrame = found.drop(columns="component", errors="ignore").astype(np.float64)  # a name, goes by order
    return table


def given(kind: str, axis: list[str]) -> Pick:
    """Return vectors as arrays, as lists, or with labels in an order of their own."""
    source = {**VECTORS, **BY_ASSET}

    def pick(name: str) -> Any:
        values = source[name]
        if kind in ("array", "list"):
            return values if kind == "array" else values.tolist()
        labelled = pd.Series(values, axis)
        turned = labelled.iloc[np.roll(np.arange(len(axis)), len(name))]
        return turned.to_dict() if kind == "mapping" else turned

    return pick


KINDS = ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"]
SPARSE = [*(getattr(sp, f"{kind}_array") for kind in KINDS), sp.csr_matrix, sp.dok_matrix]


@pytest.mark.parametrize("name", NODES)
def test_lists_and_every_sparse_format_give_the_same(name: str) -> None:
    model, pick = NODES[name], given("array", NAMES)
    wanted = numbers(model.call(DEBTS, *map(pick, model.reads)))
    for kind in SPARSE:
        found = numbers(model.call(kind(DEBTS), *map(pick, model.reads)))
        np.testing.assert_array_equal(found.to_numpy(), wanted.to_numpy(), err_msg=str(kind))
    if name not in ("elsinger", "suzuki"):  # which multiply what they are given
        found = numbers(model.call(DEBTS.tolist(), *map(given("list", NAMES), model.reads)))
        np.testing.assert_array_equal(found.to_numpy(), wanted.to_numpy())


@pytest.mark.parametrize("kind", ["series", "mapping"])
@pytest.mark.parametrize("name", NODES)
def test_labels_in_any_order_mean_the_same_nodes(name: str, kind: str) -> None:
    model = NODES[name]
    wanted = numbers(model.call(DEBTS, *map(given("array", NAMES), model.reads)))
    frame = pd.DataFrame(DEBTS, NAMES, NAMES).loc[list(reversed(NAMES)), np.roll(NAMES, 2)]
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(np.roll(NAMES, 1).tolist())
    graph.add_weighted_edges_from(
        [(NAMES[i], NAMES[j], DEBTS[i, j]) for i, j in np.argwhere(DEBTS).tolist()], weight="amount"
    )
    for matrix in (frame,) if name in ("elsinger", "suzuki") else (frame, graph):
        found = numbers(model.call(matrix, *map(given(kind, NAMES), model.reads)))
        if found.index.equals(pd.Index(["all"])):
            assert found.iloc[0, 0] == pytest.approx(wanted.iloc[0, 0], rel=1e-12)
            continue
        assert found.index.tolist() == (list(reversed(NAMES)) if matrix is frame else np.roll(NAMES, 1).tolist())
        found = found.loc[NAMES, NAMES] if found.columns.isin(NAMES).all() else found.loc[NAMES]
        np.testing.assert_allclose(found.to_numpy(), wanted.to_numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", PORTFOLIOS)
def test_portfolios_in_every_form(name: str) -> None:
    call = PORTFOLIOS[name]
    wanted = numbers(call(HOLDINGS, given("array", NAMES), given("array", ASSETS)))
    for kind in SPARSE:
        found = numbers(call(kind(HOLDINGS), given("array", NAMES), given("array", ASSETS)))
        np.testing.assert_array_equal(found.to_numpy(), wanted.to_numpy())
    frame = pd.DataFrame(HOLDINGS, NAMES, ASSETS).iloc[::-1, [2, 0, 1]]
    for form in ("series", "mapping"):
        found = numbers(call(frame, given(form, NAMES), given(form, ASSETS)))
        found = found.loc[NAMES, NAMES] if found.columns.isin(NAMES).all() else found.loc[NAMES]
        np.testing.assert_allclose(found.to_numpy(), wanted.to_numpy(), rtol=1e-9, atol=1e-9)


def changed(row: int, column: int, value: float) -> Floats:
    debts = DEBTS.copy()
    debts[row, column] = value
    return debts


def labelled(rows: list[str], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(DEBTS, rows, columns)


WRONG: dict[str, tuple[Any, str]] = {
    "nan": (changed(0, 1, np.nan), "not a finite number"),
    "infinite": (changed(0, 1, np.inf), "not a finite number"),
    "negative": (changed(0, 1, -1.0), "negative"),
    "diagonal": (changed(1, 1, 1.0), "diagonal"),
    "not square": (DEBTS[:, :3], "shape (5, 3)"),
    "one dimension": (DEBTS[0], "1 dimension"),
    "one sparse dimension": (sp.coo_array(DEBTS[0]), "1 dimension"),
    "three dimensions": (np.zeros((2, 2, 2)), "3 dimensions"),
    "unknown label": (labelled(NAMES, [*NAMES[:4], "evelyn"]), "'evelyn'"),
    "repeated label": (labelled(["ann", *NAMES[:4]], ["ann", *NAMES[:4]]), "listed twice"),
    "complex": (sp.csr_array(DEBTS.astype(complex)), "complex128"),
}
TEXTS: dict[str, tuple[Any, str]] = {
    "text": ("debts", "cannot be read as a matrix"),
    "texts": (DEBTS.astype(str), "is not a number"),
    "a text among numbers": ([[0, "1"], [2, 0]], "'1' is not a number"),
    "objects": (np.where(DEBTS == 4.0, "four", DEBTS.astype(object)), "'four' is not a number"),
    "nothing": (None, "matrix"),
    "no direction": (nx.Graph([("a", "b", {"amount": 1.0})]), "direction"),
    "no amounts": (nx.DiGraph([("a", "b")]), "amount"),
    "amounts in words": (nx.DiGraph([("a", "b", {"amount": "one"})]), "'one' is not a number"),
}


@pytest.mark.parametrize("name", NODES)
def test_every_mistake_is_one_input_error(name: str) -> None:
    model = NODES[name]
    multiplies = name in ("elsinger", "suzuki")
    for kind, (matrix, said) in {**WRONG, **({} if multiplies else TEXTS)}.items():
        with pytest.raises(InputError) as caught:
            model.call(matrix, *map(given("array", NAMES), model.reads))
        assert said in str(caught.value), kind


@pytest.mark.parametrize("name", [name for name, model in NODES.items() if model.reads])
def test_everything_that_is_wrong_is_said_at_once(name: str) -> None:
    """A negative debt, a NaN in each vector: as many problems as arguments."""
    model = NODES[name]
    broken = np.array([0.5, 0.25, np.nan, 0.75, 1.0])
    with pytest.raises(InputError) as caught:
        model.call(changed(0, 1, -1.0), *[broken for _ in model.reads])
    text = str(caught.value)
    assert "negative" in text
    assert text.count("[2] = nan is not a finite number") == len(caught.value.problems) - text.count("is negative") > 0
    for wrong, said in (
        (np.ones(4), "4 entries for 5 nodes"),
        (np.ones((5, 1)), "one dimension"),
        (-np.ones(5), "below 0"),
        ("rich", "cannot be read as numbers"),
        (["1"] * 5, "'1' is not a number"),
        (pd.Series(1.0, [*NAMES[:4], "evelyn"]), "label"),
        (pd.Series(1.0, ["ann", *NAMES[:4]]), "listed twice"),
        (sp.csr_array(DEBTS), "sparse"),
    ):
        with pytest.raises(InputError) as again:
            model.call(labelled(NAMES, NAMES), *[wrong for _ in model.reads])
        assert said in str(again.value)


@pytest.mark.parametrize("name", NEEDS_EQUITY)
def test_shares_of_no_equity_are_refused_with_everything_else(name: str) -> None:
    model = NODES[name]
    values = {**VECTORS, "equity": np.array([2.0, 0.0, 1.5, 0.0, 1.0])}
    with pytest.raises(InputError) as caught:
        model.call(changed(3, 3, 1.0), *[values[one] for one in model.reads])
    assert "equity of 1, 3 are zero" in str(caught.value)
    assert "diagonal" in str(caught.value)


@pytest.mark.parametrize("name", NODES)
def test_no_node_and_one_node(name: str) -> None:
    model = NODES[name]
    empty = model.call(np.zeros((0, 0)), *[np.zeros(0) for _ in model.reads])
    one = model.call(np.zeros((1, 1)), *[np.full(1, 0.5) for _ in model.reads])
    for result in (empty, one):
        assert getattr(result, "converged", True)
        assert getattr(result, "residual", 0.0) == 0.0
    assert len(numbers(one)) == 1
    assert len(numbers(empty)) == (1 if name == "impact_fluidity" else 0)
    assert list(numbers(empty).columns) == list(numbers(one).columns) or len(numbers(empty).columns) == 0


@pytest.mark.parametrize("name", PORTFOLIOS)
def test_no_bank_and_one_asset(name: str) -> None:
    def empty(_: str) -> Floats:
        return np.zeros(0)

    assert len(numbers(PORTFOLIOS[name](np.zeros((0, 3)), empty, given("array", ASSETS)))) == 0
    one = PORTFOLIOS[name]([[2.0]], lambda _: np.ones(1), lambda _: np.full(1, 0.1))
    assert len(numbers(one)) == 1


def protected(*arrays: NDArray[Any]) -> None:
    for one in arrays:
        one.flags.writeable = False


@pytest.mark.parametrize("name", NODES)
def test_nothing_that_is_given_is_written_to(name: str) -> None:
    """Arrays that refuse to be written to, also inside sparse matrices that have to be tidied."""
    model = NODES[name]
    vectors = [VECTORS[one].copy() for one in model.reads]
    dense = DEBTS.copy()
    sparse = sp.csr_array(DEBTS)
    loose = sp.csr_array(
        (
            np.append(sparse.data[::-1] / 2, sparse.data[::-1] / 2),
            np.append(sparse.indices[::-1], sparse.indices[::-1]),
            np.array([0, 4, 6, 12, 12, 12]),
        ),
        shape=(5, 5),
    )
    protected(dense, *vectors, *(part for one in (sparse, loose) for part in (one.data, one.indices, one.indptr)))
    kept = loose.data.copy(), loose.indices.copy()
    for matrix in (dense, sparse, *(() if np.diagonal(loose.toarray()).any() else (loose,))):
        model.call(matrix, *vectors)
    np.testing.assert_array_equal(loose.data, kept[0])
    np.testing.assert_array_equal(loose.indices, kept[1])


def test_tuples_are_labels_too() -> None:
    """As of grids in networkx, and of frames with two levels."""
    names = [("uk", 1), ("uk", 2), ("fr", 1), ("fr", 2), ("de", 1)]
    levels = pd.MultiIndex.from_tuples(names)
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_nodes_from(names)
    graph.add_weighted_edges_from(
        [(names[i], names[j], DEBTS[i, j]) for i, j in np.argwhere(DEBTS).tolist()], weight="amount"
    )
    for name, model in NODES.items():
        wanted = numbers(model.call(DEBTS, *[VECTORS[one] for one in model.reads])).to_numpy()
        frame = pd.DataFrame(DEBTS, levels, levels)
        found = [model.call(frame, *[pd.Series(VECTORS[one], levels) for one in model.reads])]
        if name not in ("elsinger", "suzuki"):
            mappings = [dict(zip(names, VECTORS[one], strict=True)) for one in model.reads]
            found.append(model.call(graph, *mappings))
        for result in map(numbers, found):
            np.testing.assert_allclose(result.to_numpy(), wanted, rtol=1e-12, err_msg=name)
            assert name == "impact_fluidity" or result.index.tolist() == names
    assert ct.System.from_liabilities(graph, 1.0).nodes["node"].tolist() == [str(name) for name in names]
    assert clearing.centralities(graph, dict.fromkeys(names, 2.0))["losses"].tolist() == [2.0] * 5


# residuals


RINGS = 0.999 * np.roll(np.eye(5), 1, axis=1)


def gap_of_debtrank(result: clearing.Distress, debts: Floats, equity: Floats) -> float:
    h, shock = result.distress.to_numpy(), result.frame["shock"].to_numpy()
    right = [min(1.0, shock[i] + sum(debts[j, i] * h[j] for j in range(5)) / equity[i]) for i in range(5)]
    return float(max(abs(right[i] - h[i]) for i in range(5)))


def test_the_residual_is_the_gap_of_the_equation_also_of_what_is_unfinished() -> None:
    """By plain loops from what the result itself says; each is far from done, so that a last step would differ."""
    equity, shock = np.ones(5), np.array([0.3, 0, 0, 0, 0])
    with pytest.raises(NotConverged) as caught:
        clearing.debtrank(RINGS, equity, shock, max_rounds=7)
    left = caught.value.solution
    assert left.residual == pytest.approx(gap_of_debtrank(left, RINGS, equity), rel=1e-12)
    assert left.residual > 1e-3

    rule = valuations.eisenberg_noe()
    with pytest.raises(NotConverged) as caught:
        clearing.network_valuation(RINGS, 0.0, 0.01, rule, max_rounds=5)
    left = caught.value.solution
    worth, owed = left.debt_value.to_numpy(), 0.999 + 0.01
    right = [sum(RINGS[j, i] * worth[j] for j in range(5)) - owed for i in range(5)]
    assert left.residual == pytest.approx(max(abs(right - left.equity.to_numpy())) / owed, rel=1e-9)

    with pytest.raises(NotConverged) as caught:
        clearing.elsinger([RINGS], 0.9 * RINGS, 0.01, [0.01], max_rounds=1)
    left = caught.value.solution
    value, paid = left.frame["value"].to_numpy(), left.payments.to_numpy()
    right = [
        0.01 + sum(RINGS[j, i] / owed * paid[j] + 0.9 * RINGS[j, i] * max(0.0, value[j] - owed) for j in range(5))
        for i in range(5)
    ]
    assert left.residual == pytest.approx(max(abs(right - value)) / max(value), rel=1e-9)

    for settlement in ("last", "average"):
        sale: Any = {"settlement": settlement, "external_liabilities": 90}
        left = clearing.cifuentes_ferrucci_shin([[0]], 0, 100, 1e-3, 0.12, **sale, max_rounds=3, on_failure="return")
        x = 1e-3 * left.sold
        prices = np.exp(-x), (1 - np.exp(-x)) / x if settlement == "average" else np.exp(-x)
        gaps = abs(prices[0] - left.price), abs(prices[1] - left.settlement_price)
        assert left.residual == pytest.approx(max(gaps), rel=1e-9)
        assert not left.converged


@pytest.mark.parametrize(
    "call",
    [
        lambda how: clearing.debtrank(RINGS, 1.0, 0.3, max_rounds=2, on_failure=how),
        lambda how: clearing.debtrank_all(RINGS, 1.0, variant="nonlinear", alpha=0.1, max_rounds=2, on_failure=how),
        lambda how: clearing.network_valuation(
            RINGS, 0.0, 0.01, valuations.eisenberg_noe(), max_rounds=2, on_failure=how
        ),
        lambda how: clearing.elsinger([RINGS], 0.9 * RINGS, 0.01, [0.01], max_rounds=1, on_failure=how),
        lambda how: clearing.suzuki(0.9 * RINGS, 0.9 * RINGS, 0.01, 1.0, max_rounds=1, on_failure=how),
        lambda how: clearing.cifuentes_ferrucci_shin([[0]], 0, 100, 1e-3, 0.12, 90, max_rounds=2, on_failure=how),
        lambda how: clearing.cont_schaanning([[100.0]], 2.0, 1e3, leverage_limit=33, max_rounds=1, on_failure=how),
    ],
)
def test_what_has_not_converged_raises_unless_asked_not_to(call: Any) -> None:
    with pytest.raises(NotConverged) as caught:
        call("raise")
    left = call("return")
    assert not left.converged
    assert left.residual > 1e-9
    assert (caught.value.solution.rounds, caught.value.solution.residual) == (left.rounds, left.residual)
    with pytest.raises(InputError, match="on_failure is 'ignore'"):
        call("ignore")
