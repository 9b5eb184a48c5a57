from __future__ import annotations

import pytest

from tests.telemetry.collected import of_sdk


class Collected:
    """What the process's TracerProvider was given."""

    def __init__(self, provider, exporter):
        self.provider = provider
        self._exporter = exporter

    @property
    def raw(self):
        return list(self._exporter.get_finished_spans())

    @property
    def spans(self):
        return [of_sdk(span) for span in self.raw]

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def clear(self):
        self._exporter.clear()


def provider_for(monkeypatch, **options):
    """The process's provider for one test: OpenTelemetry lets a process set one for ever."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return Collected(provider, exporter)


@pytest.fixture
def collected(monkeypatch):
    return provider_for(monkeypatch)
