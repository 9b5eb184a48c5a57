"""The gateway: the engine over HTTP, Dapr's seven routes and our own.

server.py       the server in an event loop
acceptor.py     accepts connections; TLS
connections.py  who is connected, and who goes when there are too many
protocol.py     HTTP on one connection, with an end to its patience
gate.py         what every request passes: path, token, rate, load, body
bodies.py       how many bytes of bodies there are at once
http.py         the ASGI application
*_routes.py     Dapr's routes, our own, dead letters, bulk and probes
use_cases.py    what a route does, once, whatever the binding
leaving.py      callers that leave their long poll
readiness.py    one check of the engine for all who ask
"""
