"""Worker processes that end with the process that began them, however that ends."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from multiprocessing import connection
from pathlib import Path

__all__ = ["end_with_parent"]


def end_with_parent(folder: Path | None = None) -> None:
    """End this process once its parent is gone, and remove a folder that the parent would have removed.

    A worker of a pool waits for work on a pipe that it holds open itself: a parent that is killed leaves it waiting.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait, args=(parent.sentinel, folder), daemon=True).start()


def _wait(sentinel: int, folder: Path | None) -> None:
    connection.wait([sentinel])
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
