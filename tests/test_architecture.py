"""The public surface is exactly what it says, light and quiet."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import contagion as ct

PACKAGE = Path(inspect.getfile(ct)).parent
HEAVY = ("networkx", "graphviz", "pygraphviz", "typer", "matplotlib", "scipy.sparse", "numba")


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_all_is_sorted_and_complete() -> None:
    modules = {path.stem for path in PACKAGE.iterdir()}
    names = {name for name in vars(ct) if not name.startswith("_") and name not in modules - set(ct.__all__)}
    assert sorted(ct.__all__, key=lambda name: (name.islower(), name)) == ct.__all__
    assert names == set(ct.__all__)


def test_import_is_light_and_quiet() -> None:
    done = run(f"import sys, contagion; print([m for m in {HEAVY!r} if m in sys.modules])")
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


def test_only_the_command_line_prints() -> None:
    printing = []
    for path in PACKAGE.rglob("*.py"):
        calls = (node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
        printing += [path.name for called in calls if isinstance(called, ast.Name) and called.id == "print"]
    assert set(printing) <= {"build.py"}


def test_public_functions_are_documented() -> None:
    for name in ct.__all__:
        item = getattr(ct, name)
        assert inspect.getdoc(item), name
        if inspect.isfunction(item):
            assert "Returns" in str(inspect.getdoc(item)) or "Raises" in str(inspect.getdoc(item)), name
