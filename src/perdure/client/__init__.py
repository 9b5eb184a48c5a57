"""The client: one set of verbs; asyncio and blocking twins; over the log and over HTTP."""
