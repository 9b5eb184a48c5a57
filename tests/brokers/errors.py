"""Why there are no brokers, in words that say what to do."""


class BrokersUnavailable(Exception):
    """No broker can be had on this machine; the text names the tool or the variable that would change it."""
