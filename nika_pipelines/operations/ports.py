"""Loopback ports: whether one is free, and which one the web UI takes."""

import socket

LOOPBACK = "127.0.0.1"
_TRIES = 200
_HIGHEST = 65_535


class PortTakenError(RuntimeError):
    """A port that may not be replaced by another is in use."""

    def __init__(self, port: int) -> None:
        """Name the port."""
        super().__init__(f"port {port} is used by another program")
        self.port = port


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A port whose last connections are still winding down is free for a new server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    # macOS lets a loopback bind succeed beside a server on all addresses: ask that server.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        refused: bool = probe.connect_ex((LOOPBACK, port)) != 0
        return refused


def any_free() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def choose_web_port(preferred: int, avoid: int) -> int:
    """The preferred port, or the next free one from two above it; 0 means any.

    Args:
        preferred: the setting.
        avoid: port of the report server, which is never taken.

    Raises:
        PortTakenError: none of the next ports is free either.
    """
    if preferred == 0:
        return any_free()
    last = min(preferred + 1 + _TRIES, _HIGHEST)
    candidates: list[int] = [preferred, *range(preferred + 2, last + 1)]
    for port in candidates:
        if port != avoid and is_free(port):
            return port
    raise PortTakenError(preferred)
