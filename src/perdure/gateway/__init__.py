"""The gateway: the engine over HTTP, Dapr's seven routes and our own."""
