"""One file per pattern, as a user would write it: `python -m examples.order_chain`. All of them at once: `make demo`."""
