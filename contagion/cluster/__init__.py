"""A Dask client as the engine: who stands behind it, what its workers keep, and what becomes of work that is lost."""

from contagion.cluster.clients import check_engine, finished, outcome, ready, threads
from contagion.cluster.keeping import Kept, kept

__all__ = ["Kept", "check_engine", "finished", "kept", "outcome", "ready", "threads"]
