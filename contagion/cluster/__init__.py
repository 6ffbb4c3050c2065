"""A Dask client as the engine: who stands behind it, what its workers keep, and what becomes of work that is lost."""

from contagion.cluster.clients import check_engine, connected, ready
from contagion.cluster.keeping import Kept, address, kept, own_threads, room, turn
from contagion.cluster.waiting import answers, streamed

__all__ = [
    "Kept",
    "address",
    "answers",
    "check_engine",
    "connected",
    "kept",
    "own_threads",
    "ready",
    "room",
    "streamed",
    "turn",
]
