"""Every example runs as its reader would run it, and leaves in the world what it says."""

import importlib
from pathlib import Path

import pytest

from examples import ledger

ENDINGS = {
    "order_chain": ['COMPLETED {"order":"o-1","parcel":"parcel-o-1"}'],
    "batch_fanout": ['COMPLETED {"resized":11,"failed":1}'],
    "order_monitor": ['COMPLETED {"order":"o-3","status":"delivered"}'],
    "approval": ['COMPLETED {"status":"approved"}'],
    "checkout_saga": [
        'COMPLETED {"status":"success","shipment":"shipment-o-5"}',
        'COMPLETED {"status":"failed","error":"no carrier goes to the moon"}',
    ],
    "master_children": [
        'COMPLETED {"batch":"b-6","results":[{"order":"o-61","status":"fulfilled"},',
    ],
    "eternal_aggregator": ['TERMINATED {"cycle":'],
    "checkout_async": ['COMPLETED {"status":"success"}', 'COMPLETED {"status":"failed"}'],
    "retries": [
        'COMPLETED {"status":"paid","attempts":3,"charged_now":false}',
        'COMPLETED {"status":"refused","because":"the card is reported stolen"}',
    ],
}
"""What each prints at the end of its instances, or the beginning of that."""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # databases and the ledger are made where one stands
    monkeypatch.delenv("LEDGER", raising=False)

    def run(name):
        importlib.import_module(f"examples.{name}").main()
        return capsys.readouterr().out.splitlines()

    return run


def entries_of(lines):
    return [line.strip() for line in lines if line.startswith("  ")]


@pytest.mark.parametrize("name", ENDINGS)
def test_the_example_ends_as_it_says(run, name):
    endings = [line for line in run(name) if not line.startswith("  ")]
    assert len(endings) == len(ENDINGS[name])
    for line, beginning in zip(endings, ENDINGS[name], strict=True):
        assert line.startswith(beginning)


def test_every_example_is_among_them():
    folder = Path(ledger.__file__).parent
    examples = {path.stem for path in folder.glob("*.py")} - {"__init__", "ledger"}
    assert examples == set(ENDINGS)


def test_the_saga_undoes_the_last_step_first(run):
    assert entries_of(run("checkout_saga"))[-2:] == ["o-5: 42 € of payment-o-5 refunded", "o-5: stock released"]


def test_the_async_checkout_undoes_the_last_step_first(run):
    assert entries_of(run("checkout_async"))[-2:] == ["payment-o-9 refunded", "reservation-o-9 released"]


def test_the_monitor_looks_once_in_each_generation(run):
    journey = ["placed", "packed", "on its way", "delivered"]
    assert entries_of(run("order_monitor")) == [f"o-3 is {station}" for station in journey]


def test_three_attempts_charge_once(run):
    run("retries")
    assert ledger.repeated() == ["charged 42 € to the blue card"]


def test_an_example_can_be_run_again_on_its_files(run):
    assert run("order_monitor") == run("order_monitor")
