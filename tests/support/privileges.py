"""Doing something as a user whom permissions bind: tests often run as root, whom they do not."""

import multiprocessing
import os
from collections.abc import Callable
from typing import Any

NOBODY = 65534


def is_root() -> bool:
    return os.geteuid() == 0


def without_privileges(do: Callable[..., Any], *arguments: Any) -> None:
    """Run a function in a child process as an ordinary user; it fails when the function raises."""
    child = multiprocessing.get_context("fork").Process(target=_do, args=(do, arguments))
    child.start()
    child.join(60)
    assert child.exitcode == 0, "the traceback is on stderr"


def _do(do: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    if is_root():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    do(*arguments)
