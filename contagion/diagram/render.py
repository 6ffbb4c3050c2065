"""From DOT text to files: which Graphviz paints, with which fonts, for how long at most."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from contagion.diagram.style import FONT
from contagion.errors import ContagionError, instance, is_number, refuse, texts

if TYPE_CHECKING:
    import graphviz

__all__ = ["FORMATS", "fonts", "render", "renderer"]

FORMATS = ("svg", "png", "pdf")

_USUAL = ("svg", "png")
_ENGINES = ("dot", "fdp", "sfdp", "circo")
_FONTS = Path(__file__).parent / "fonts"
_PAINT = (
    "import sys, pygraphviz; "
    "graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode()); "
    "sys.stdout.buffer.write(graph.draw(format=sys.argv[2], prog=sys.argv[1]))"
)
_NO_RENDERER = (
    "no Graphviz to draw with: `pip install 'pygraphviz>=2.0'` brings one along, or install Graphviz so that `dot` is "
    "on PATH; the DOT text of the diagram is in its `source`"
)


def render(
    digraph: graphviz.Digraph, path: str | Path, formats: Sequence[str] | None = None, seconds: float = 5.0
) -> list[Path]:
    """Return the files written, one for each format.

    Parameters
    ----------
    digraph : graphviz.Digraph
        From `contagion.draw`, or any other.
    path : str or Path
        File name without ending; with the ending of a format, only that one is written.
    formats : sequence of {"svg", "png", "pdf"}, optional
        SVG and PNG by default.
    seconds : float
        Time that one layout may take. Then a simpler layout engine is tried: dot, fdp, sfdp, circo.

    Raises
    ------
    InputError
        If an argument is not allowed, as a format that is unknown.
    ContagionError
        If there is no Graphviz, or none of its engines can draw this.

    Notes
    -----
    Painting runs in a process of its own, so that it can be stopped, and a crash in it ends nothing else. Files
    appear whole or not at all. DejaVu Sans is carried along for machines without fonts.
    """
    _check_arguments(digraph, path, formats, seconds)
    base, formats = _targets(Path(path), formats)
    command = _command()
    files, engines = [], list(_ENGINES)
    with tempfile.TemporaryDirectory(prefix="contagion-") as folder:
        environment = _with_fonts(Path(folder))
        for kind in formats:
            content = _painted(command, digraph.source, kind, engines, seconds, environment)
            files.append(_write(base.with_name(f"{base.name}.{kind}"), content))
    return files


def _check_arguments(digraph: object, path: object, formats: object, seconds: object) -> None:
    problems = []
    if not isinstance(getattr(digraph, "source", None), str):  # any of graphviz, which is not imported for this
        problems.append(f"digraph is a {type(digraph).__name__}; give what contagion.draw or draw_paths returns")
    problems += instance("path", path, (str, Path), "the name of a file")
    wrong = [] if formats is None else texts("formats", formats, "formats")
    if isinstance(formats, Collection) and not wrong:
        unknown = ", ".join(repr(kind) for kind in formats if kind not in FORMATS)
        wrong = [f"formats: {unknown} cannot be drawn; allowed: {', '.join(FORMATS)}"] if unknown else []
    problems += wrong
    if not is_number(seconds) or not seconds > 0.0:
        problems.append(f"seconds is {seconds!r}; give a positive number")
    refuse(problems, "render")


def renderer() -> tuple[str, str]:
    """Return where the Graphviz that draws is, and its version.

    Raises
    ------
    ContagionError
        If there is none; the message says what to install.
    """
    try:
        import pygraphviz
    except ImportError:
        dot = shutil.which("dot")
        if dot is None:
            raise ContagionError(_NO_RENDERER) from None
        said = subprocess.run([dot, "-V"], capture_output=True, text=True, timeout=10.0, check=False)
        found = re.search(r"\d+(\.\d+)+", said.stderr + said.stdout)
        return dot, found.group() if found else "unknown"
    return str(Path(pygraphviz.__file__).parent), str(pygraphviz.__graphviz_version__)


def fonts() -> str:
    """Return the font that diagrams get on this machine; DejaVu Sans comes with the package for want of others."""
    carried = f"DejaVu Sans ({_FONTS})"
    match = shutil.which("fc-match")
    if match is None:
        return carried
    with tempfile.TemporaryDirectory(prefix="contagion-") as folder:
        call = [match, "--format=%{family[0]} (%{file})", FONT]
        environment = _with_fonts(Path(folder))
        done = subprocess.run(call, capture_output=True, text=True, timeout=10.0, env=environment, check=False)
    return done.stdout.strip() or carried


def _targets(path: Path, formats: Sequence[str] | None) -> tuple[Path, tuple[str, ...]]:
    ending = path.suffix.removeprefix(".").lower()
    if formats is None:
        return (path.with_suffix(""), (ending,)) if ending in FORMATS else (path, _USUAL)
    return (path.with_suffix("") if ending in FORMATS else path), tuple(formats)


def _command() -> list[str]:
    """Return the command that takes an engine and a format, reads DOT and writes the picture."""
    program, _ = renderer()
    if Path(program).name != "pygraphviz":
        return [program, "-K{engine}", "-T{format}"]
    return [sys.executable, "-P", "-c", _PAINT, "{engine}", "{format}"]


def _painted(
    command: list[str], source: str, kind: str, engines: list[str], seconds: float, environment: dict[str, str]
) -> bytes:
    """Return the picture by the first engine that ends in time; those that do not are taken off the list."""
    failures = []
    while engines:
        call = [word.format(engine=engines[0], format=kind) for word in command]
        try:
            done = subprocess.run(
                call, input=source.encode(), capture_output=True, timeout=seconds, env=environment, check=False
            )
        except subprocess.TimeoutExpired:
            failures.append(f"{engines.pop(0)}: not done after {seconds:g} s")
            continue
        if done.returncode == 0 and done.stdout:
            return done.stdout
        said = done.stderr.decode(errors="replace").strip().splitlines()
        failures.append(f"{engines.pop(0)}: {said[-1] if said else f'exit code {done.returncode}'}")
    raise ContagionError(f"Graphviz could not draw this as {kind} ({'; '.join(failures)}); its DOT text is in `source`")


def _with_fonts(folder: Path) -> dict[str, str]:
    """Return the environment in which fontconfig also finds the fonts that come with the package.

    The file ``.uuid`` beside them keeps fontconfig 2.13 from writing one into the installed package.
    """
    if sys.platform != "linux":
        return dict(os.environ)
    usual = escape(os.environ.get("FONTCONFIG_FILE", "/etc/fonts/fonts.conf"))
    settings = folder / "fonts.conf"
    settings.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        f'<include ignore_missing="yes">{usual}</include><dir>{escape(str(_FONTS))}</dir>'
        '<cachedir prefix="xdg">fontconfig</cachedir></fontconfig>',
        "utf-8",
    )
    return {**os.environ, "FONTCONFIG_FILE": str(settings)}


def _write(path: Path, content: bytes) -> Path:
    """Write a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
