"""The proxy against plain sockets: what each mode does to bytes, to open connections and to new ones."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests.chaos.proxy import Proxies

PATIENCE_SECONDS = 30.0


class Echo:
    """Answers every byte with itself, as long as clients are there."""

    def __init__(self):
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.heard = b""
        self.closed_by_clients = 0
        self._open = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._open:
            each.close()

    def hang_up(self):
        for each in self._open:
            each.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(client)
            self._threads.append(threading.Thread(target=self._answer, args=(client,), daemon=True))
            self._threads[-1].start()

    def _answer(self, client):
        try:
            while data := client.recv(65_536):
                self.heard += data
                client.sendall(data)
        except OSError:
            pass
        self.closed_by_clients += 1


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def link(echo):
    with Proxies() as proxies:
        opened = proxies.open()
        opened.leads_to(echo.port)
        yield opened


@pytest.fixture
def connect(link):
    made = []

    def connected():
        made.append(socket.create_connection(("127.0.0.1", link.port), timeout=PATIENCE_SECONDS))
        return made[-1]

    yield connected
    for each in made:
        each.close()


def wait_for(fact):
    end = time.monotonic() + PATIENCE_SECONDS
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.005)


def answered(client, data):
    client.sendall(data)
    found = b""
    while len(found) < len(data):
        more = client.recv(65_536)
        assert more, "closed"
        found += more
    return found


def closed(client):
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_what_passes_arrives_whole_and_in_order_both_ways(connect, echo):
    data = bytes(range(256)) * 4_000
    client = connect()
    client.settimeout(PATIENCE_SECONDS)
    sender = threading.Thread(target=client.sendall, args=(data,))
    sender.start()
    found = b""
    while len(found) < len(data):
        found += client.recv(65_536)
    sender.join()
    assert found == data == echo.heard


def test_a_close_of_either_side_reaches_the_other(connect, echo, link):
    one = connect()
    assert answered(one, b"here") == b"here"
    one.close()
    wait_for(lambda: echo.closed_by_clients == 1)
    other = connect()
    assert answered(other, b"here") == b"here"
    echo.hang_up()
    assert closed(other)
    wait_for(lambda: link.open_connections == 0)


def test_what_was_sent_before_a_close_arrives_before_it(connect, echo, link):
    """More than all buffers hold, to a client that reads in small pieces."""
    client, data = connect(), bytes(32_000_000)
    sender = threading.Thread(
        target=lambda: (wait_for(lambda: echo._open), echo._open[0].sendall(data), echo.hang_up())
    )
    sender.start()
    found = 0
    while more := client.recv(4_096):
        found += len(more)
    sender.join()
    assert found == len(data)


def test_where_nobody_listens_a_client_is_closed(connect, link):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        gone = nobody.getsockname()[1]
    link.leads_to(gone)
    assert closed(connect())


def test_a_cut_closes_what_is_open_refuses_what_is_new_and_keeps_the_port(connect, link, echo):
    client = connect()
    assert answered(client, b"before") == b"before"
    link.cut()
    assert closed(client)
    wait_for(lambda: echo.closed_by_clients == 1)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            connect()
    link.cut()  # twice is harmless
    link.passes()
    assert answered(connect(), b"after") == b"after"


def test_the_port_of_a_link_that_is_cut_is_given_to_nobody(link):
    link.cut()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", link.port))


def test_what_is_swallowed_never_arrives_and_ends_its_connection_only_when_the_link_is_mended(connect, link, echo):
    client = connect()
    assert answered(client, b"before") == b"before"
    link.swallows()
    client.sendall(b"lost")
    fresh = connect()  # new ones are taken, too
    fresh.sendall(b"lost")
    wait_for(lambda: sum(each.gap for each in link._connections) == 2)
    client.setblocking(False)
    with pytest.raises(BlockingIOError):  # open, and silent
        client.recv(1)
    client.settimeout(PATIENCE_SECONDS)
    link.passes()
    assert closed(client)
    assert closed(fresh)
    assert answered(connect(), b"after") == b"after"
    assert echo.heard == b"beforeafter"


def test_what_lost_nothing_while_bytes_were_swallowed_goes_on(connect, link):
    client = connect()
    assert answered(client, b"before") == b"before"
    link.swallows()
    link.passes()
    assert answered(client, b"after") == b"after"


def test_either_direction_alone_is_swallowed(connect, link, echo):
    client = connect()
    assert answered(client, b"a") == b"a"
    link.swallows(toward=False)
    client.sendall(b"heard")
    wait_for(lambda: echo.heard == b"aheard")
    wait_for(lambda: any(each.gap for each in link._connections))  # the answer
    link.passes()
    assert closed(client)
    client = connect()
    assert answered(client, b"b") == b"b"
    link.swallows(back=False)
    client.sendall(b"unheard")
    wait_for(lambda: any(each.gap for each in link._connections))
    assert echo.heard == b"aheardb"


def test_a_slow_link_delays_each_direction_that_it_should(connect, link):
    client = connect()
    assert answered(client, b"a") == b"a"
    for directions, least in (({}, 0.4), ({"back": False}, 0.2), ({"toward": False}, 0.2)):
        link.slows(delay_s=0.2, **directions)
        began = time.monotonic()
        assert answered(client, b"b") == b"b"
        assert time.monotonic() - began >= least * 0.99, directions  # a sleep ends late, not early


def test_a_narrow_link_carries_so_many_bytes_a_second(connect, link):
    link.slows(bytes_per_s=200_000, back=False)
    client = connect()
    data = bytes(100_000)
    began = time.monotonic()
    assert answered(client, data) == data
    last_piece = 16_384  # its own time passes after it has arrived
    assert time.monotonic() - began >= (len(data) - last_piece) / 200_000 * 0.99


def test_a_link_does_not_touch_another(echo):
    with Proxies() as proxies:
        links = [proxies.open() for _ in range(2)]
        for each in links:
            each.leads_to(echo.port)
        links[0].cut()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", links[0].port), timeout=PATIENCE_SECONDS)
        with socket.create_connection(("127.0.0.1", links[1].port), timeout=PATIENCE_SECONDS) as client:
            assert answered(client, b"a") == b"a"


def test_closing_ends_all_that_is_open(echo):
    with Proxies() as proxies:
        link = proxies.open()
        link.leads_to(echo.port)
        client = socket.create_connection(("127.0.0.1", link.port), timeout=PATIENCE_SECONDS)
        assert answered(client, b"a") == b"a"
    assert closed(client)
    client.close()
    wait_for(lambda: echo.closed_by_clients == 1)
