"""Peak memory of a solve against the positions table, in a process of its own.

What counts is how far resident memory grows, while `solve` runs, beyond what was there before: the tables. Memory that
making them has left unused is handed back first, so that a solve cannot live on it. A first solve of a smaller system
loads code that every process needs once.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

ACCOUNTS = 1_000_000

MEASURE = """
import ctypes, gc, json, sys, time
import contagion as ct
from contagion.arrays import lower

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

ct.solve(*ct.generate.system(accounts=50_000, seed=3))
system, scenario = ct.generate.system(accounts=int(sys.argv[1]), seed=7)
table = system.positions
bytes_of = {name: int(table[name].memory_usage(index=False, deep=True)) for name in table}
gc.collect()
if "pyarrow" in sys.modules:
    sys.modules["pyarrow"].default_memory_pool().release_unused()
ctypes.CDLL(None).malloc_trim(0)
before = status("VmRSS")
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
solution = ct.solve(system, scenario)
peak, kept = status("VmHWM") - before, status("VmRSS") - before
begun = time.process_time()
lower(system, scenario)
lowering = time.process_time() - begun
found = {
    "positions": len(table),
    "table": sum(bytes_of.values()),
    "coded": len(table) * (4 + 2 + 1 + 4 * 8),  # account, asset and side as integers, four columns of numbers
    "peak": peak,
    "kept": kept,
    "lowering": lowering,
}
print(json.dumps(found))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="asks Linux for the peak of memory")
def test_a_solve_needs_three_times_its_positions_at_most(benchmark: BenchmarkFixture) -> None:
    """Of the positions table as it is held: names in arrow arrays, numbers in eight bytes."""

    def measured() -> dict[str, float]:
        run = subprocess.run([sys.executable, "-c", MEASURE, str(ACCOUNTS)], capture_output=True, text=True, check=True)
        found: dict[str, float] = json.loads(run.stdout)
        return found

    found = benchmark.pedantic(measured, rounds=1)
    found["times the table"] = found["peak"] / found["table"]
    found["times the table with names as integers"] = found["peak"] / found["coded"]
    benchmark.extra_info |= found
    assert found["times the table"] <= 3.0
