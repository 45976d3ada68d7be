"""Which port the web UI takes."""

import socket
from collections.abc import Iterator

import pytest

from nika_pipelines.operations.ports import PortTakenError, any_free, choose_web_port, is_free


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_with_a_listener_is_not_free(taken_port: int) -> None:
    assert not is_free(taken_port)


def test_a_port_without_a_listener_is_free() -> None:
    assert is_free(any_free())


def test_the_preferred_port_is_taken_when_it_is_free() -> None:
    port = any_free()
    assert choose_web_port(port, avoid=port + 1) == port


def test_the_search_goes_on_two_above_a_taken_port(taken_port: int) -> None:
    chosen = choose_web_port(taken_port, avoid=0)
    assert chosen >= taken_port + 2
    assert is_free(chosen)


def test_the_report_servers_port_is_never_taken() -> None:
    port = any_free()
    assert choose_web_port(port, avoid=port) != port


def test_zero_means_any_port() -> None:
    assert is_free(choose_web_port(0, avoid=1))


def test_there_is_a_clear_error_when_no_port_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nika_pipelines.operations.ports.is_free", lambda _port: False)
    with pytest.raises(PortTakenError, match="port 65000"):
        choose_web_port(65_000, avoid=0)
