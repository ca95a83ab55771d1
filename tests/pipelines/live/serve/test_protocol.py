"""Headers without end and connections without a request are closed, and cost no other client an answer."""

import socket
import urllib.request

import pytest

from tests.factories.service import post

pytestmark = [pytest.mark.enable_socket, pytest.mark.server]


@pytest.fixture
def server(make_set, run_app, serve_params):
    limits = {"max_header_bytes": 8192, "max_header_seconds": 0.3}
    return run_app(make_set().app, params=serve_params.model_copy(update=limits))


def connected(server):
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def alive(server):
    with urllib.request.urlopen(f"{server.url}/healthz", timeout=60) as answer:
        return answer.status == 200


@pytest.mark.parametrize("piece", [b"x" * 65_536, b"x: y\r\n" * 10_000], ids=["one line", "many lines"])
def test_headers_without_end_are_cut_off_while_they_arrive(server, piece):
    sent = 0
    with connected(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
        try:
            for _ in range(2000):
                connection.sendall(piece)
                sent += 1
        except OSError:
            pass  # the service closed the connection
    assert sent < 200  # what the buffers of the system take
    assert alive(server)


def test_headers_at_the_limit_and_a_large_body_in_one_piece_are_answered(server):
    assert post(server.url, {"text": "a " * 50_000})[0] == 200
    request = urllib.request.Request(f"{server.url}/healthz", headers={"X": "x" * 7000})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("begin", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"])
def test_a_request_that_does_not_come_is_given_up(server, begin):
    with connected(server) as connection:
        connection.sendall(begin)
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_the_next_request_of_a_connection_has_the_same_limits(server):
    with connected(server) as connection:
        whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        for _ in range(2):
            connection.sendall(whole)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        connection.sendall(whole[:20])
        assert b" 408 " in connection.recv(1000)


def test_idle_connections_are_closed_and_others_are_answered(server):
    idle = [connected(server) for _ in range(100)]
    assert post(server.url, {"text": "a"})[0] == 200
    for connection in idle:
        assert b" 408 " in connection.recv(100)
        connection.close()
