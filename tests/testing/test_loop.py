"""The virtual loop: time is a number, and the order of things is always the same."""

import asyncio
import threading

import pytest

from perdure.testing.loop import OutOfTime, VirtualLoop


@pytest.fixture
def loop():
    loop = VirtualLoop()
    yield loop
    loop.kill()
    loop.close()


def test_a_sleep_of_a_century_is_a_jump(loop):
    loop.drive(asyncio.sleep(3.2e9))
    assert loop.time() == 3.2e9


def test_timers_run_in_the_order_of_their_times(loop):
    seen = []

    async def note(at):
        await asyncio.sleep(at)
        seen.append((at, loop.time()))

    async def everyone():
        await asyncio.gather(*(note(at) for at in (3, 1, 2.5, 1, 0)))

    loop.drive(everyone())
    assert seen == [(0, 0), (1, 1), (1, 1), (2.5, 2.5), (3, 3)]


def test_what_can_never_end_is_told_and_cancelled(loop):
    ended = []

    async def wait_for_nobody():
        try:
            await loop.create_future()
        finally:
            ended.append("cancelled")

    with pytest.raises(OutOfTime):
        loop.drive(wait_for_nobody())
    assert ended == ["cancelled"]
    assert loop.time() == 0


def test_time_does_not_pass_the_horizon(loop):
    with pytest.raises(OutOfTime):
        loop.drive(asyncio.sleep(11), horizon=10)
    assert loop.time() == 0


def test_who_waits_beside_a_timer_that_goes_on_for_ever_is_told(loop, monkeypatch):
    monkeypatch.setattr("perdure.testing.loop.JUMPS_MAX", 100)

    async def tick():
        while True:
            await asyncio.sleep(1)

    async def wait():
        ticking = asyncio.ensure_future(tick())
        try:
            await loop.create_future()
        finally:
            ticking.cancel()

    with pytest.raises(OutOfTime):
        loop.drive(wait())
    assert loop.time() == 100


def test_skipping_runs_what_is_due_by_then_and_no_more(loop):
    seen = []
    for at in (1, 2, 3):
        loop.call_at(at, seen.append, at)
    loop.skip_to(2)
    assert (seen, loop.time()) == ([1, 2], 2)
    loop.skip_to(2.5)
    assert (seen, loop.time()) == ([1, 2], 2.5)


def test_settling_takes_no_time(loop):
    seen = []
    loop.call_soon(lambda: loop.call_soon(seen.append, "soon"))
    loop.call_later(0.001, seen.append, "later")
    loop.settle()
    assert (seen, loop.time()) == (["soon"], 0)


def test_work_in_a_thread_is_waited_for_really(loop):
    gate = threading.Event()

    async def opened_by_a_thread():
        return await loop.run_in_executor(None, gate.wait, 30)

    opener = threading.Timer(0.05, gate.set)
    opener.start()
    assert loop.drive(opened_by_a_thread()) is True
    opener.join()
    assert 0.01 < loop.time() < 30  # real time has passed, and was not skipped


def test_a_socket_is_waited_for_where_somebody_said_so(loop):
    async def serve_and_ask():
        async def answer(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            with loop.outside():
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"hello\n")
                line = await reader.readline()
                writer.close()
                await writer.wait_closed()
        return line

    assert loop.drive(serve_and_ask()) == b"hello\n"


def test_sockets_that_nobody_waits_for_do_not_stop_time(loop):
    async def idle_server():
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        await asyncio.sleep(86_400)
        server.close()
        await server.wait_closed()

    loop.drive(idle_server())
    assert loop.time() == 86_400


def test_killing_cancels_everything_also_what_resists(loop):
    async def stubborn():
        for _ in range(3):
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                pass

    task = loop.create_task(stubborn())
    loop.call_later(1, pytest.fail, "a timer outlived the kill")
    loop.settle()
    loop.kill()
    assert task.done()
    loop.skip_to(10)


def test_two_runs_of_the_same_code_are_the_same():
    def run():
        loop, seen = VirtualLoop(), []

        async def worker(number):
            for step in range(5):
                await asyncio.sleep((number * 7 + step * 3) % 5 / 10)
                seen.append((number, step, loop.time()))

        async def everyone():
            await asyncio.gather(*map(worker, range(10)))

        loop.drive(everyone())
        loop.close()
        return seen

    assert run() == run()
