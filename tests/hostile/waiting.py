"""Waiting for a fact by a virtual loop's clock, ever more patiently: days are some dozen looks."""

import asyncio

__all__ = ["until_there"]


async def until_there(fact, deadline_s):
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + deadline_s, 0.01
    while not await fact():
        assert loop.time() < end, "it did not happen in time"
        await asyncio.sleep(pause)
        pause = min(pause * 1.3, deadline_s / 50)
