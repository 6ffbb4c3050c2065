"""The account pass and lowering grow as `tests.benchmarks.growth` states, measured side by side in one run."""

import time
from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

import contagion as ct
from contagion.arrays import lower
from contagion.kernels import iterate
from tests.benchmarks import growth

SIZES = [100_000, 300_000, 1_000_000]


def least(work: Callable[[], object], repeats: int = 3) -> float:
    taken = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)


def test_the_pass_and_lowering_grow_as_stated(benchmark: BenchmarkFixture) -> None:
    taken: dict[str, list[float]] = {"lower": [], "round": []}
    for count in SIZES:
        system, scenario = ct.generate.system(accounts=count, seed=7)
        inputs = lower(system, scenario)[0]
        rounds = len(iterate(inputs, 1e-12, 20_000).records)
        taken["lower"].append(least(lambda: lower(system, scenario)))  # noqa: B023  called at once
        taken["round"].append(least(lambda: iterate(inputs, 1e-12, 20_000)) / rounds)  # noqa: B023
    benchmark.pedantic(lower, args=(system, scenario), rounds=1)
    for step, seconds in taken.items():
        fitted = growth.exponent(SIZES, seconds)
        benchmark.extra_info[f"exponent of {step}"] = fitted
        assert fitted <= growth.STATED[step][1] + growth.LEEWAY
