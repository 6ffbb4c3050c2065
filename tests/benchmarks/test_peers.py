"""The general solver on pure claims networks beside ten lines of scipy; see `tests.benchmarks.peers`."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from tests.benchmarks import peers

MOST = 3.0
"""Times the bar that the general solver may take, from arrays to the solution."""


@pytest.mark.parametrize("count", [5_000, 500_000])
def test_within_three_times_ten_lines_of_scipy(benchmark: BenchmarkFixture, count: int) -> None:
    given = peers.network(count)
    found = peers.compared(given, 15 if count < 100_000 else 3)
    benchmark.pedantic(peers.bar, args=given, rounds=1)
    benchmark.extra_info |= {f"{each.peer}: {each.what}": each.ratio for each in found}
    assert peers.same_answer(found)
    solver = next(each for each in found if each.what == "arrays to solution")
    assert solver.ratio <= MOST
