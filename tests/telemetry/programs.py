"""Workflows that do one of each."""

from datetime import timedelta

import perdure as wf


def make_app():
    app = wf.App()

    @app.activity
    def charge(ctx, amount):
        if ctx.attempt < 2:
            raise ConnectionError("card 4929 1234 is not for the eyes of operators")
        return amount

    @app.activity
    def note(ctx, text):
        return text

    @app.activity
    def fails(ctx, _):
        raise wf.NonRetryableError("secret-text")

    @app.workflow
    def packing(ctx, order):
        return (yield ctx.call_activity(note, input=order))

    @app.workflow
    def order(ctx, order):
        policy = wf.RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=3)
        yield ctx.call_activity(charge, input=7, retry_policy=policy)
        yield ctx.create_timer(timedelta(seconds=5))
        yield ctx.call_child_workflow(packing, input=order, instance_id=f"{ctx.instance_id}-packing")
        return "done"

    @app.workflow
    def rounds(ctx, number):
        yield ctx.call_activity(note, input=number)
        if number < 2:
            ctx.continue_as_new(number + 1)
        return number

    @app.workflow
    def doomed(ctx, _):
        yield ctx.call_activity(fails, input=None)

    @app.workflow
    def waiting(ctx, _):
        return (yield ctx.wait_for_external_event("go"))

    return app


ORDER = [
    "create_orchestration||order",
    [
        [
            "orchestration||order",
            [
                ["activity||charge"],
                ["activity||charge"],
                ["timer"],
                ["orchestration||packing", [["activity||note"]]],
            ],
        ]
    ],
]
"""The tree of `order`."""
