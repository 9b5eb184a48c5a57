"""The first life of a database: `python -m tests.upgrade.life FILE`, run by the code of any release."""

from __future__ import annotations

import sys
import time

import perdure as wf

app = wf.App()
SECONDS = 60


@app.activity
def double(ctx, number):
    return number * 2


@app.workflow
def child(ctx, number):
    answer = yield ctx.wait_for_external_event("Answer")
    return number + answer


@app.workflow
def waiting(ctx, number):
    doubled = yield ctx.call_activity(double, input=number)
    grown = yield ctx.call_child_workflow(child, input=doubled, instance_id="kid")
    answer = yield ctx.wait_for_external_event("Answer")
    return [doubled, grown, answer]


def first_life(path):
    """Until the child is there: it and its parent wait for their answers."""
    with wf.embedded(app, path=path) as client:
        client.schedule_new_workflow(waiting, input=4, instance_id="one")
        end = time.monotonic() + SECONDS
        while client.get_workflow_state("kid") is None:
            assert time.monotonic() < end
            time.sleep(0.05)


if __name__ == "__main__":
    first_life(sys.argv[1])
