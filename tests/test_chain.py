"""Paths and walks of conserved flows, against enumeration, exact determinants, simulation and brute force."""

from __future__ import annotations

import heapq
import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from contagion.attribution.best_first import Found
from contagion.attribution.chain import Chain, first_passage, gains
from contagion.attribution.listing import Listing
from contagion.attribution.loop_erased import loop_erased_paths
from contagion.attribution.merging import merge_vanishing
from contagion.attribution.plain_walks import best_first_walks, walks
from contagion.kernels.inputs import Floats
from tests.seeds import some

EVERY = 1_000_000
Exact = list[list[Fraction]]


def chain_of(flow: Floats, source: Floats) -> Chain:
    """Return the chain in which entities bear what they do not pass on."""
    sink = source + flow.sum(axis=1) - flow.sum(axis=0)
    return Chain(sparse.csr_array(flow), source, sink)


def positive(size: int, seed: int, density: float = 0.7, feedback: float = 0.8) -> Chain:
    """Return a random chain without negative flows, with some entities that bear nothing and some no source."""
    rng = np.random.default_rng(seed)
    share = rng.random((size, size)) ** 3 * (rng.random((size, size)) < density)
    np.fill_diagonal(share, 0.0)
    kept = np.where(rng.random(size) < 0.7, feedback + (1.0 - feedback) * rng.random(size), 1.0)
    kept[rng.integers(size)] = feedback  # somebody bears a part
    share *= kept / np.maximum(share.sum(axis=0), 1e-300)
    share[:, share.sum(axis=0) == 0.0] = 0.0
    source = np.where(rng.random(size) < 0.5, rng.random(size), 0.0)
    source[0] += 0.1
    through = np.linalg.solve(np.eye(size) - 0.999 * share, source)
    return Chain(sparse.csr_array(0.999 * share * through), source, through * (1.0 - 0.999 * share.sum(axis=0)))


def signed(size: int, seed: int) -> Chain:
    """Return a random chain with flows and sinks of both signs."""
    base = positive(size, seed)
    rng = np.random.default_rng(seed + 10_000)
    turned = rng.random((size, size)) < 0.15
    flow = base.flow.toarray()
    turned[np.unravel_index(np.argmax(flow), flow.shape)] = True
    flow[turned] *= -1.0
    return chain_of(flow, base.source)


def integral(size: int, seed: int) -> Chain:
    """Return a chain of whole dollars: the sum of some random walks from a source to a sink."""
    rng = np.random.default_rng(seed)
    flow, source, sink = np.zeros((size, size)), np.zeros(size), np.zeros(size)
    for _ in range(12):
        usd = float(rng.integers(1, 100))
        stops = rng.integers(size, size=rng.integers(1, 7))
        source[stops[0]] += usd
        sink[stops[-1]] += usd
        np.add.at(flow, (stops[1:], stops[:-1]), usd)
    return Chain(sparse.csr_array(flow), source, sink)


def exact_moves(chain: Chain) -> tuple[Exact, list[Fraction], list[Fraction]]:
    """Return I − P, sources and stopping shares in fractions, diagonal of the flows included as it is."""
    flow = [[Fraction(usd) for usd in row] for row in chain.flow.toarray().tolist()]
    source = [Fraction(usd) for usd in chain.source.tolist()]
    size = len(source)
    through = [source[i] + sum(flow[i]) for i in range(size)]
    for i in range(size):  # an entity without flow is never reached
        through[i] = through[i] or Fraction(1)
    matrix = [[Fraction(i == j) - flow[i][j] / through[j] for j in range(size)] for i in range(size)]
    stop = [1 - sum(flow[i][j] for i in range(size)) / through[j] for j in range(size)]
    return matrix, source, stop


def determinant(matrix: Exact) -> Fraction:
    """Return the determinant by Gaussian elimination in fractions."""
    rows, result = [list(row) for row in matrix], Fraction(1)
    for column in range(len(rows)):
        pivot = next((i for i in range(column, len(rows)) if rows[i][column]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != column:
            rows[column], rows[pivot], result = rows[pivot], rows[column], -result
        result *= rows[column][column]
        for i in range(column + 1, len(rows)):
            factor = rows[i][column] / rows[column][column]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return result


def exact_paths(chain: Chain) -> dict[tuple[int, ...], Fraction]:
    """Return the weight of every simple path: source · ΠP · stop · det(I − P without it) / det(I − P)."""
    matrix, source, stop = exact_moves(chain)
    whole, found = determinant(matrix), {}
    for length in range(1, len(source) + 1):
        for path in itertools.permutations(range(len(source)), length):
            weight = source[path[0]] * stop[path[-1]]
            for cause, effect in itertools.pairwise(path):
                weight *= -matrix[effect][cause]
            if weight:
                left = [i for i in range(len(source)) if i not in path]
                weight *= determinant([[matrix[i][j] for j in left] for i in left]) / whole
                found[path] = weight
    return found


def float_paths(chain: Chain) -> dict[tuple[int, ...], float]:
    """Return the same as ``exact_paths`` in floating point."""
    flow, size = chain.flow.toarray(), chain.source.size
    through = flow.sum(axis=0) + chain.sink
    share = np.divide(flow, through, out=np.zeros_like(flow), where=through != 0.0)
    matrix, found = np.eye(size) - share, {}
    for length in range(1, size + 1):
        for path in itertools.permutations(range(size), length):
            weight = chain.source[path[0]]
            for cause, effect in itertools.pairwise(path):
                weight *= share[effect, cause]
            if weight:
                left = np.array([i for i in range(size) if i not in path], dtype=int)
                weight *= chain.sink[path[-1]] / through[path[-1]] / np.linalg.det(matrix)
                found[path] = float(weight * np.linalg.det(matrix[np.ix_(left, left)]))
    return found


def as_weights(found: Listing) -> dict[tuple[int, ...], float]:
    return {path.nodes: path.usd for path in found.walks}


@pytest.mark.parametrize("seed", some(12))
def test_every_path_has_its_exact_weight(seed: int) -> None:
    chain = integral(2 + seed % 4, seed)
    expected = exact_paths(chain)
    found = loop_erased_paths(chain, EVERY, floor=0.0)
    assert as_weights(found) == pytest.approx({path: float(weight) for path, weight in expected.items()}, rel=1e-12)
    assert sum(expected.values()) == Fraction(chain.source.sum())


@pytest.mark.parametrize("seed", some(12))
def test_paths_are_those_of_the_determinant_formula_and_sum_to_the_target(seed: int) -> None:
    chain = positive(2 + seed % 5, seed)
    target = chain.source.sum()
    expected = {path: usd for path, usd in float_paths(chain).items() if usd > 1e-15 * target}
    found = loop_erased_paths(chain, EVERY)
    assert as_weights(found) == pytest.approx(expected, rel=1e-9, abs=1e-14)
    assert found.listed == pytest.approx(target, rel=1e-12)
    assert found.rest == pytest.approx(0.0, abs=1e-12 * target)
    assert found.proven == len(found.walks)


@pytest.mark.parametrize("seed", some(6))
def test_seven_entities_are_enumerated(seed: int) -> None:
    chain = positive(7, seed, density=0.9)
    expected = float_paths(chain)
    found = loop_erased_paths(chain, EVERY)
    assert len(found.walks) > 500
    assert as_weights(found) == pytest.approx({path: expected[path] for path in as_weights(found)}, rel=1e-9, abs=1e-15)
    assert found.listed == pytest.approx(chain.source.sum(), rel=1e-12)


@pytest.mark.parametrize("seed", some(12))
def test_the_first_are_the_largest_in_descending_order_and_the_rest_is_exact(seed: int) -> None:
    chain = positive(6, seed)
    target = chain.source.sum()
    expected = sorted(float_paths(chain).values(), reverse=True)
    for k in (1, 3, 10):
        found = loop_erased_paths(chain, k)
        weights = [path.usd for path in found.walks]
        assert weights == pytest.approx(expected[:k], rel=1e-10, abs=1e-15)
        assert all(after <= before * (1.0 + 1e-11) for before, after in itertools.pairwise(weights))
        assert found.listed == pytest.approx(sum(weights), rel=1e-14)
        assert found.rest == pytest.approx(sum(expected[k:]), rel=1e-10, abs=1e-13 * target)


@pytest.mark.parametrize("seed", some(12))
def test_gains_of_a_path_are_successive_green_functions(seed: int) -> None:
    chain = positive(6, seed)
    flow = chain.flow.toarray()
    through = flow.sum(axis=0) + chain.sink
    share = np.divide(flow, through, out=np.zeros_like(flow), where=through != 0.0)
    for path in loop_erased_paths(chain, 20).walks:
        weight = chain.source[path.nodes[0]] * chain.sink[path.nodes[-1]] / through[path.nodes[-1]]
        for i, node in enumerate(path.nodes):
            left = np.array([j for j in range(6) if j not in path.nodes[:i]])
            green = np.linalg.inv(np.eye(left.size) - share[np.ix_(left, left)])
            at = int(np.flatnonzero(left == node)[0])
            assert path.gains[i] == pytest.approx(green[at, at], rel=1e-10)
            weight *= green[at, at] * (share[path.nodes[i + 1], node] if i + 1 < len(path.nodes) else 1.0)
        assert path.usd == pytest.approx(weight, rel=1e-10)


@pytest.mark.parametrize("seed", some(12))
def test_passes_of_an_entity_to_itself_change_nothing(seed: int) -> None:
    chain = integral(5, seed)
    loops = np.random.default_rng(seed).integers(0, 50, size=5).astype(float)
    looped = chain._replace(flow=sparse.csr_array(chain.flow.toarray() + np.diag(loops)))
    plain = exact_paths(chain)
    assert exact_paths(looped) == plain
    assert loop_erased_paths(looped, 30).walks == loop_erased_paths(chain, 30).walks
    assert gains(looped).tolist() == gains(chain).tolist()


def test_simulated_walks_with_their_loops_erased_have_the_weights_as_frequencies() -> None:
    chain = positive(5, 3, feedback=0.6)
    rng, draws = np.random.default_rng(0), 20_000
    flow, target = chain.flow.toarray(), chain.source.sum()
    onward = np.vstack([flow, chain.sink]) / (flow.sum(axis=0) + chain.sink)
    limits = np.cumsum(onward, axis=0)
    counts: dict[tuple[int, ...], int] = {}
    path: tuple[int, ...]
    for start in rng.choice(5, size=draws, p=chain.source / target).tolist():
        path, at = (start,), start
        while True:
            at = int(np.searchsorted(limits[:, at], rng.random() * limits[-1, at]))
            if at == 5:
                break
            path = path[: path.index(at) + 1] if at in path else (*path, at)
        counts[path] = counts.get(path, 0) + 1
    found = as_weights(loop_erased_paths(chain, EVERY))
    assert counts.keys() <= found.keys()
    for path, usd in found.items():
        chance = usd / target
        spread = np.sqrt(draws * chance * (1.0 - chance))
        assert abs(counts.get(path, 0) - draws * chance) <= 4.0 * spread + 1.0


@pytest.mark.parametrize("seed", some(12))
def test_signed_flows_sum_to_the_target_too(seed: int) -> None:
    chain = signed(6, seed)
    expected = float_paths(chain)
    found = loop_erased_paths(chain, EVERY, floor=0.0)
    scale = sum(abs(usd) for usd in expected.values())
    assert chain.flow.data.min() < 0.0
    assert as_weights(found) == pytest.approx({path: expected[path] for path in as_weights(found)}, abs=1e-10 * scale)
    assert found.listed == pytest.approx(chain.source.sum(), abs=1e-10 * scale)
    assert found.proven == 0
    for k in (1, 5):
        few = loop_erased_paths(chain, k)
        sizes = [abs(path.usd) for path in few.walks]
        assert sizes == sorted(sizes, reverse=True)
        assert few.listed + few.rest == pytest.approx(chain.source.sum(), abs=1e-10 * scale)


def test_rounding_below_zero_does_not_make_a_chain_signed() -> None:
    chain = integral(5, 1)
    sink = chain.sink - 1e-14 * chain.sink.max()
    found = loop_erased_paths(chain._replace(sink=sink), 5)
    assert found.proven == 5
    assert found.listed == pytest.approx(loop_erased_paths(chain, 5).listed, rel=1e-12)


def hedged() -> Chain:
    """Return four entities, of which 1 takes in 2 and −2 and passes on 3 and −3."""
    flow = np.zeros((5, 5))
    flow[1, 0], flow[0, 1], flow[2, 1], flow[3, 1], flow[1, 3], flow[2, 0] = 2.0, 0.0, 3.0, -3.0, -2.0, 1.0
    return chain_of(flow, np.array([10.0, 0.0, 0.0, 4.0, 0.0]))


def test_an_entity_that_passes_nothing_on_in_total_joins_its_closest_neighbour() -> None:
    merged = merge_vanishing(hedged())
    assert merged.into.tolist() == [0, 3, 2, 3, -1]  # it exchanges 3 with 2, 5 with 3
    assert merged.chain.source.tolist() == [10.0, 0.0, 0.0, 4.0, 0.0]
    assert merged.chain.flow.toarray()[[3, 2, 2], [0, 3, 0]].tolist() == [2.0, 3.0, 1.0]
    assert merged.chain.sink.tolist() == [7.0, 0.0, 4.0, 3.0, 0.0]


def test_merging_keeps_the_sum_and_says_who_is_part_of_whom() -> None:
    found = loop_erased_paths(hedged(), EVERY)
    assert as_weights(found) == pytest.approx(
        {(0,): 7.0, (0, 2): 1.0, (0, 3): 1.0, (0, 3, 2): 1.0, (3,): 2.0, (3, 2): 2.0}
    )
    assert found.into.tolist() == [0, 3, 2, 3, -1]
    assert found.proven == 6  # nothing negative is left


@pytest.mark.parametrize("seed", some(12))
def test_merging_in_random_hedged_chains_keeps_the_target(seed: int) -> None:
    rng = np.random.default_rng(seed)
    flow = rng.integers(-3, 4, size=(7, 7)).astype(float)
    np.fill_diagonal(flow, 0.0)
    source = rng.integers(0, 3, size=7).astype(float)
    hub = int(rng.integers(7))
    flow[hub, (hub + 1) % 7] -= source[hub] + flow[hub].sum()
    chain = chain_of(flow, source)
    merged = merge_vanishing(chain)
    assert merged.into[hub] != hub
    left = np.flatnonzero(merged.into == np.arange(7))
    whole = merged.chain
    assert whole.source.sum() == source.sum()
    assert whole.sink.sum() == pytest.approx(chain.sink.sum(), abs=1e-12)
    for place in left.tolist():
        assert whole.source[place] == source[merged.into == place].sum()
        assert whole.sink[place] == chain.sink[merged.into == place].sum()
    assert whole.source + whole.flow.sum(axis=1) == pytest.approx(whole.sink + whole.flow.sum(axis=0), abs=1e-12)
    found = loop_erased_paths(chain, EVERY, floor=0.0)
    scale = sum(abs(path.usd) for path in found.walks)
    assert found.listed + found.rest == pytest.approx(source.sum(), abs=1e-9 * scale)


def test_sources_that_cancel_leave_nothing() -> None:
    flow = np.zeros((3, 3))
    flow[2, 0], flow[2, 1] = 0.1, 0.2
    chain = Chain(sparse.csr_array(flow), np.array([0.1, 0.2, -0.3]), np.zeros(3))  # 0.2 − 0.3 + 0.1 is 3e-17 in floats
    found = loop_erased_paths(chain, 3)
    assert (found.walks, found.listed, found.rest, found.into.tolist()) == ((), 0.0, 0.0, [-1, -1, -1])


def test_a_chain_without_entities_or_flow_has_no_paths() -> None:
    for size in (0, 3):
        empty = Chain(sparse.csr_array((size, size)), np.zeros(size), np.zeros(size))
        assert loop_erased_paths(empty, 5)[:5] == ((), 0.0, 0.0, 0, 0)
        assert walks(empty, 5)[:5] == ((), 0.0, 0.0, 0, 0)
        assert gains(empty).tolist() == [1.0] * size
        assert first_passage(empty).tolist() == [0.0] * size


def test_flows_that_no_source_reaches_are_left_out() -> None:
    flow = np.zeros((4, 4))
    flow[1, 0], flow[3, 2], flow[2, 3] = 1.0, 5.0, 5.0  # 2 and 3 pass 5 to each other for ever
    found = loop_erased_paths(chain_of(flow, np.array([3.0, 0.0, 0.0, 0.0])), 5)
    assert as_weights(found) == pytest.approx({(0,): 2.0, (0, 1): 1.0})
    assert found.into.tolist() == [0, 1, -1, -1]


def test_ties_go_to_the_lower_numbers() -> None:
    flow = np.zeros((6, 6))
    for middle in (1, 2, 3, 4):
        flow[middle, 0] = flow[5, middle] = 0.1 * 3.0
    flow[0, 5] = 0.3
    found = loop_erased_paths(chain_of(flow, np.array([0.9, 0.0, 0.0, 0.0, 0.0, 0.0])), 3)
    assert [path.nodes for path in found.walks] == [(0, 1, 5), (0, 2, 5), (0, 3, 5)]


def test_a_search_that_is_cut_short_says_what_it_has_proven() -> None:
    chain = positive(30, 1)
    whole = loop_erased_paths(chain, 40)
    short = loop_erased_paths(chain, 40, expansions=whole.expansions // 4)
    assert whole.proven == 40
    assert 0 < short.proven < len(short.walks)
    assert short.expansions == whole.expansions // 4
    assert short.walks[: short.proven] == whole.walks[: short.proven]
    assert short.listed + short.rest == pytest.approx(chain.source.sum(), rel=1e-12)
    none = loop_erased_paths(chain, 40, expansions=0)
    assert not none.walks
    assert none.rest == pytest.approx(chain.source.sum(), rel=1e-14)


def test_the_floor_leaves_small_paths_in_the_rest() -> None:
    chain = positive(6, 2)
    every, target = loop_erased_paths(chain, EVERY), chain.source.sum()
    found = loop_erased_paths(chain, EVERY, floor=0.01)
    assert found.walks == tuple(path for path in every.walks if path.usd >= 0.01 * target)
    assert found.rest == pytest.approx(target - found.listed, rel=1e-12)


def brute_walks(chain: Chain, least: float) -> dict[tuple[int, ...], float]:
    """Return all walks with at least this weight, longer and longer."""
    flow = chain.flow.toarray()
    through = flow.sum(axis=0) + chain.sink
    prefixes: dict[tuple[int, ...], float] = {(i,): usd for i, usd in enumerate(chain.source.tolist()) if usd >= least}
    found = {}
    while prefixes:
        longer: dict[tuple[int, ...], float] = {}
        for nodes, usd in prefixes.items():
            last = nodes[-1]
            found[nodes] = usd * chain.sink[last] / through[last]
            for effect in np.flatnonzero(flow[:, last]).tolist():
                carried = usd * flow[effect, last] / through[last]
                if carried >= least:
                    longer[(*nodes, effect)] = carried
        prefixes = longer
    return {nodes: usd for nodes, usd in found.items() if usd >= least}


@pytest.mark.parametrize("seed", some(12))
def test_walks_are_those_of_brute_force(seed: int) -> None:
    chain = positive(5, seed)
    expected = brute_walks(chain, 2e-3 * chain.source.sum())
    found = walks(chain, len(expected))
    assert {walk.nodes: walk.usd for walk in found.walks} == pytest.approx(expected, rel=1e-12)
    weights = [walk.usd for walk in found.walks]
    assert all(after <= before * (1.0 + 1e-11) for before, after in itertools.pairwise(weights))
    assert found.proven == len(expected) > 10


def test_walks_emitted_and_not_emitted_are_the_target_at_every_moment() -> None:
    chain = positive(8, 4)
    target, emitted, moments = chain.source.sum(), 0.0, list[Found]()
    for found in best_first_walks(chain, 300):
        emitted += found.usd
        moments.append(found)
        assert found.emitted == pytest.approx(emitted, rel=1e-13)
        assert found.emitted + found.frontier == pytest.approx(target, rel=1e-12)
        assert found.frontier > 0.0
    assert len(moments) == 300
    assert any(len(set(found.nodes)) < len(found.nodes) for found in moments)
    assert walks(chain, 300).rest == moments[-1].frontier


def test_walks_and_paths_agree_where_nothing_comes_back() -> None:
    chain = positive(6, 5)
    forward = chain_of(np.tril(chain.flow.toarray()), chain.source)
    forward = chain_of(forward.flow.toarray(), chain.source + np.maximum(0.0, -forward.sink))
    paths, walked = loop_erased_paths(forward, EVERY), walks(forward, EVERY)
    assert as_weights(paths) == pytest.approx({walk.nodes: walk.usd for walk in walked.walks}, rel=1e-12)
    assert {gain for path in paths.walks for gain in path.gains} == {1.0}
    assert gains(forward).tolist() == [1.0] * 6


@pytest.mark.parametrize("seed", some(12))
def test_gains_and_first_passage_are_those_of_the_inverse(seed: int) -> None:
    chain = positive(7, seed)
    flow = chain.flow.toarray()
    through = flow.sum(axis=0) + chain.sink
    share = np.divide(flow, through, out=np.zeros_like(flow), where=through != 0.0)
    inverse = np.linalg.inv(np.eye(7) - share)
    assert gains(chain)[through > 0.0] == pytest.approx(np.diag(inverse)[through > 0.0], rel=1e-10)
    passed = first_passage(chain)
    for entity in range(7):  # what reaches it for the first time: the chain in which it passes nothing on
        absorbing = share.copy()
        absorbing[:, entity] = 0.0
        arriving = np.linalg.solve(np.eye(7) - absorbing, chain.source)[entity]
        assert passed[entity] == pytest.approx(arriving, rel=1e-10, abs=1e-14)
    assert passed.max() <= chain.source.sum() * (1.0 + 1e-12)


def test_first_passage_is_the_sum_of_the_paths_that_some_walk_makes_through_an_entity() -> None:
    chain = integral(5, 8)
    bottleneck = chain.flow.toarray()
    size = len(bottleneck)
    flow = np.zeros((size + 1, size + 1))
    flow[:size, :size] = bottleneck
    flow[size, :size] = chain.sink  # all that is borne goes through one more entity
    behind = chain_of(flow, np.append(chain.source, 0.0))
    assert first_passage(behind)[size] == pytest.approx(chain.source.sum(), rel=1e-12)
    assert loop_erased_paths(behind, EVERY).listed == pytest.approx(chain.source.sum(), rel=1e-12)


def test_only_the_heaviest_branch_of_a_prefix_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thousand entities that one passes to, each with another share, the three largest are looked at."""
    size, pushed, push = 1001, list[Any](), heapq.heappush
    flow = np.zeros((size, size))
    flow[1:, 0] = np.arange(1.0, size)

    def counting(heap: list[Any], entry: Any) -> None:
        pushed.append(entry)
        push(heap, entry)

    monkeypatch.setattr("contagion.attribution.best_first.heapq.heappush", counting)
    found = loop_erased_paths(chain_of(flow, np.append(flow.sum(), np.zeros(size - 1))), 3)
    assert [path.nodes for path in found.walks] == [(0, 1000), (0, 999), (0, 998)]
    assert found.proven == 3
    assert len(pushed) < 20


def test_a_long_line_of_entities_is_one_path() -> None:
    size = 150
    flow = np.diag(np.full(size - 1, 2.0), -1) + np.diag(np.full(size - 1, 1.0), 1)
    chain = chain_of(flow, np.append(1.0, np.zeros(size - 1)))
    found = loop_erased_paths(chain, 3)
    assert [path.nodes for path in found.walks] == [tuple(range(size))]
    assert found.walks[0].usd == pytest.approx(1.0, rel=1e-10)


@pytest.mark.parametrize("hubs", [0, 200])
def test_hundreds_of_entities_are_searched(hubs: int) -> None:
    size, rng = 700, np.random.default_rng(0)
    share = rng.random((size, size)) ** 8
    np.fill_diagonal(share, 0.0)
    share[:hubs, :hubs] = 0.0
    if hubs:
        share[hubs:, hubs:] = 0.0
    share *= 0.9 / share.sum(axis=0)
    source = np.append(np.full(5, 0.2), np.zeros(size - 5))
    through = np.linalg.solve(np.eye(size) - share, source)
    chain = Chain(sparse.csr_array(share * through), source, 0.1 * through)
    found = loop_erased_paths(chain, 50)
    assert found.proven == len(found.walks) == 50
    assert found.listed + found.rest == pytest.approx(1.0, rel=1e-12)
    assert loop_erased_paths(chain, 20).walks == found.walks[:20]


def test_a_loop_whose_flows_cancel_is_said_to_be_singular() -> None:
    chain = chain_of(
        np.array([[0.0, 4.0], [10.0, 0.0]]), np.array([1.0, -2.0])
    )  # shares 2 and 1/2: a dollar never ends
    assert chain.sink.tolist() == [-5.0, 4.0]
    with pytest.raises(np.linalg.LinAlgError, match="cancel in a loop"):
        loop_erased_paths(chain, 3)
