"""The application after a correction: it knows a workflow that was asked for before."""

from orders import app

__all__ = ["app"]


@app.workflow
def late(ctx, order):
    return order
    yield
