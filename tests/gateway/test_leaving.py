"""Callers that leave before they are answered."""

from __future__ import annotations

import httpx
import pytest

from perdure.gateway import gate
from tests.gateway.conftest import RIGHT, TOKEN, first_line

WAIT = b"GET /v1/instances/i1/wait?timeout=60 HTTP/1.1\r\nhost: g\r\n" + RIGHT


@pytest.mark.parametrize("body", [b"\r\n", b"content-length: 2\r\n\r\n{}"], ids=["alone", "with-a-body"])
async def test_a_caller_that_leaves_its_long_poll_leaves_its_place(serving, peers, held, monkeypatch, body):
    monkeypatch.setattr(gate, "GATEWAY_REQUESTS_MAX", 3)
    async with serving() as server:
        for _ in range(9):
            _, writer = await peers(server, WAIT + body)
            await held.asked.acquire()
            writer.close()
            await held.ended.acquire()
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, headers={"dapr-api-token": TOKEN}) as http:
            while (answer := await http.get("/v1/instances")).status_code == 429:  # the last one is on its way out
                pass
            assert answer.status_code == 200


async def test_a_caller_that_stays_is_answered_though_others_leave(serving, peers, held):
    async with serving() as server:
        reader, _ = await peers(server, WAIT + b"\r\n")
        _, writer = await peers(server, WAIT + b"\r\n")
        for _ in range(2):
            await held.asked.acquire()
        writer.close()
        await held.ended.acquire()
        held.release.set()
        assert await first_line(reader) == b"200"
