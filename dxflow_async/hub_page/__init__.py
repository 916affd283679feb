"""The hub's page: a browser's view of an account's storage, served beside the hub or by `dxflow-async ui`.

It is a client of the hub, above `session` and `server`: `mount` adds its routes to an application. `docs/hub.md`
describes how it is served, and its API.
"""
