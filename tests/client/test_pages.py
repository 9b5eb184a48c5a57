"""A page is asked of the store in parts, and ends early where its payloads get heavy."""

from itertools import chain

import pytest

from perdure.adapters.memory import MemoryBroker, MemoryHistoryStore, MemoryLog
from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.client import log_transport
from perdure.client.log_transport import LIST_PART_ROWS, LogTransport
from perdure.core.names import Topics
from perdure.core.rows import InstanceRow
from perdure.ports.store import Filter, Page, StoredTurn


class Counting(MemoryHistoryStore):
    parts = ()

    async def list(self, where, limit, after=""):
        self.parts = (*self.parts, limit)
        return await super().list(where, limit, after)


async def transport_over(store, rows):
    made = [InstanceRow(f"i{n:03}", f"0.0.{n}", 0, 1, "wf", "RUNNING", 1_000 - n, 1, "x" * 100) for n in range(rows)]
    await store.append(0, 0, 0, [StoredTurn(row, []) for row in made])
    clock = SystemClock()
    return LogTransport(MemoryLog(MemoryBroker(clock), "c"), store, Topics("t"), SystemEntropy(), clock)


async def all_pages(transport, limit):
    pages, after = [], ""
    while not pages or after:
        page = await transport.list(Filter(), limit, after)
        after = page.next
        pages.append([row.instance_id for row in page.rows])
    return pages


@pytest.mark.parametrize("rows", [0, 1, LIST_PART_ROWS, LIST_PART_ROWS + 1, 120])
@pytest.mark.parametrize("limit", [1, 49, 50, 51, 100, 1_000])
async def test_pages_hold_what_was_asked_for_and_every_row_once(rows, limit):
    transport = await transport_over(Counting(), rows)
    pages = await all_pages(transport, limit)
    assert list(chain(*pages)) == [f"i{n:03}" for n in range(rows)]
    assert all(len(page) == limit for page in pages[:-1])


async def test_no_part_is_larger_than_what_fits_in_memory():
    store = Counting()
    transport = await transport_over(store, 120)
    await transport.list(Filter(), 110)
    assert store.parts == (50, 50, 10)


@pytest.mark.parametrize(("bound", "sizes"), [(5_000, [50, 50, 20]), (5_001, [100, 20]), (10_001, [120])])
async def test_a_heavy_page_ends_early_with_a_token_that_goes_on(monkeypatch, bound, sizes):
    monkeypatch.setattr(log_transport, "LIST_PAGE_BYTES_MAX", bound)
    transport = await transport_over(Counting(), 120)
    pages = await all_pages(transport, 1_000)
    assert [len(page) for page in pages] == sizes
    assert list(chain(*pages)) == [f"i{n:03}" for n in range(120)]


async def test_where_a_store_ends_a_page_early_so_does_ours():
    class Early(Counting):
        async def list(self, where, limit, after=""):
            self.parts = (*self.parts, limit)
            return Page([], "on")

    store = Early()
    transport = await transport_over(store, 0)
    assert (await transport.list(Filter(), 100)).next == "on"
    assert len(store.parts) == 1
