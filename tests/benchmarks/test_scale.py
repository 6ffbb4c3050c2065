"""Time and memory against size; run with `python -m pytest tests/benchmarks --benchmark-only`.

Seconds depend on the machine, so they are reported and not asserted. Ratios are asserted.
"""

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import contagion as ct
from contagion import kernels
from contagion.arrays import lower
from contagion.kernels import chunks, rounds

SIZES = [1_000, 100_000, 1_000_000]


@cache
def generated(count: int) -> tuple[ct.System, ct.Scenario]:
    return ct.generate.system(accounts=count, seed=7)


@cache
def lowered(count: int) -> kernels.Inputs:
    return lower(*generated(count))[0]


@pytest.mark.parametrize("count", SIZES)
def test_validate(benchmark: BenchmarkFixture, count: int) -> None:
    system, scenario = generated(count)
    benchmark.pedantic(ct.validate, args=(system, scenario), rounds=3)


@pytest.mark.parametrize("count", SIZES)
def test_lower(benchmark: BenchmarkFixture, count: int) -> None:
    system, scenario = generated(count)
    benchmark.pedantic(lower, args=(system, scenario), rounds=3)


@pytest.mark.parametrize("count", SIZES)
def test_solve(benchmark: BenchmarkFixture, count: int) -> None:
    system, scenario = generated(count)
    solution = benchmark.pedantic(ct.solve, args=(system, scenario), rounds=3)
    assert solution.converged
    benchmark.extra_info["rounds"] = len(solution.rounds)


@pytest.mark.parametrize("count", SIZES)
def test_round(benchmark: BenchmarkFixture, count: int) -> None:
    inputs = lowered(count)
    opening, state = rounds.opening_lines(inputs).equity, rounds.start(inputs)
    benchmark.pedantic(rounds.step, args=(inputs, state, opening), rounds=5)


def test_a_round_grows_with_its_positions(benchmark: BenchmarkFixture) -> None:
    """Ten times the accounts take at most thirteen times as long: nothing in a round is worse than linear."""

    small, large = lowered(100_000), lowered(1_000_000)
    times = {}
    for name, inputs in (("small", small), ("large", large)):
        opening, state = rounds.opening_lines(inputs).equity, rounds.start(inputs)
        times[name] = fastest_of(lambda i=inputs, s=state, o=opening: rounds.step(i, s, o))  # type: ignore[misc]
    benchmark.pedantic(rounds.step, args=(large, state, opening), rounds=1)
    benchmark.extra_info["ratio"] = times["large"] / times["small"]
    assert times["large"] <= 13.0 * times["small"]


def test_six_sums_against_a_plain_sparse_product(benchmark: BenchmarkFixture) -> None:
    """The sums behind the five lines and gross assets of a million accounts cost at most six plain products."""
    quantity = lowered(1_000_000).positions.quantity
    vector, values = np.ones(quantity.shape[1]), np.ones((quantity.shape[1], 6))
    sums = fastest_of(lambda: chunks.row_sums(quantity, values))
    product = fastest_of(lambda: quantity @ vector)
    benchmark.pedantic(chunks.row_sums, args=(quantity, values), rounds=1)
    benchmark.extra_info["ratio"] = sums / product
    assert sums <= 6.0 * product


def fastest_of(work: Callable[[], object], repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def test_attribution_takes_no_longer_than_the_solve(benchmark: BenchmarkFixture) -> None:
    """Sources and channels of a million accounts cost at most one solve."""
    system, scenario = generated(1_000_000)
    begun = time.perf_counter()
    solution = ct.solve(system, scenario)
    solving = time.perf_counter() - begun
    attributing = fastest_of(lambda: ct.attribute(solution).residual)
    found = benchmark.pedantic(ct.attribute, args=(solution,), rounds=1)
    assert found.residual <= 1e-9
    benchmark.extra_info["ratio"] = attributing / solving
    assert attributing <= solving
