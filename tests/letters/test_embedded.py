"""With the whole engine on one file: the cause is corrected, and what was refused runs, once."""

import asyncio
import time

import pytest

import perdure as wf
from perdure.client.errors import DeadLetterSettled
from perdure.codec.avro import encode
from perdure.core.commands import StartWorkflow
from perdure.embedding import EmbeddedEngine
from perdure.ports.log import Outgoing


def letters_of(client, count):
    give_up_at = time.monotonic() + 20
    while len(found := client.list_dead_letters().letters) < count:
        assert time.monotonic() < give_up_at, f"never {count} dead letters"
    return found


async def test_after_a_correction_a_refused_start_runs_once(tmp_path):
    runs = []

    def corrected():
        app = wf.App()

        @app.workflow
        def late(ctx, order):
            return (yield ctx.call_activity(note, input=order))

        @app.activity
        def note(ctx, order):
            runs.append(order)
            return order

        return app

    def day():
        engine = EmbeddedEngine(wf.App(), tmp_path / "e.db")
        engine.start()
        client = engine.client()
        start = Outgoing("perdure.instances", 0, b"i1", encode(StartWorkflow("late", "7")))
        engine.portal.call(engine.engine.ports.log.append, [start])
        (letter,) = letters_of(client, 1)
        client.replay_dead_letter(letter.letter_id)  # nothing is corrected yet: it fails again
        (again,) = letters_of(client, 1)
        assert again.replay_of == letter.letter_id
        engine.stop()
        engine = EmbeddedEngine(corrected(), tmp_path / "e.db")
        engine.start()
        client = engine.client()
        client.replay_dead_letter(again.letter_id, requested_by="ann")
        assert client.wait_for_workflow_completion("i1", timeout_in_seconds=20).serialized_output == "7"
        for each in (letter, again):
            with pytest.raises(DeadLetterSettled):
                client.replay_dead_letter(each.letter_id)
        assert runs == [7]
        assert client.list_dead_letters().letters == []
        engine.stop()

    await asyncio.to_thread(day)
