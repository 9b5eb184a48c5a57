"""One direction of a link, without sockets: what is under way when its mode changes."""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.flow import Flow


class Arrived:
    """A writer that keeps what it is given."""

    def __init__(self):
        self.data = b""

    def write(self, data):
        self.data += data

    async def drain(self):
        pass


@pytest.fixture
async def carrying():
    """(flow, what is sent, what has arrived, how often bytes were lost, the work of carrying)"""
    flow, sent, arrived, lost = Flow(), asyncio.StreamReader(), Arrived(), []
    work = asyncio.ensure_future(flow.carry(sent, arrived, lambda: lost.append(True)))
    yield flow, sent, arrived, lost, work
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def ended(work):
    async with asyncio.timeout(30):
        await work


async def until(fact):
    async with asyncio.timeout(30):
        while not fact():
            await asyncio.sleep(0.01)


async def until_idle():
    """Whatever can go on without time passing has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_under_way_on_a_slow_link_stays_before_what_comes_after(carrying):
    flow, sent, arrived, _, work = carrying
    flow.set(delay_s=0.2)
    sent.feed_data(b"first")
    await until_idle()
    flow.set()
    sent.feed_data(b"second")
    await until_idle()
    assert arrived.data == b""
    sent.feed_eof()
    await ended(work)
    assert arrived.data == b"firstsecond"


async def test_what_is_under_way_when_swallowing_begins_is_lost_and_told(carrying):
    flow, sent, arrived, lost, work = carrying
    flow.set(delay_s=0.05)
    sent.feed_data(b"first")
    await until_idle()
    assert not lost
    flow.set(swallowing=True)
    await until(lambda: lost)
    sent.feed_data(b"second")
    await until_idle()
    assert (arrived.data, len(lost), work.done()) == (b"", 2, False)


async def test_that_a_side_has_closed_is_not_told_while_bytes_are_swallowed(carrying):
    flow, sent, _, lost, work = carrying
    flow.set(swallowing=True)
    sent.feed_eof()
    await until_idle()
    assert not work.done()
    flow.set()
    await ended(work)
    assert not lost


async def test_a_reset_is_an_end(carrying):
    _, sent, _, _, work = carrying
    sent.set_exception(ConnectionResetError())
    await ended(work)
