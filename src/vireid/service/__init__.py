"""The service: galleries over HTTP, for people by a page and for programs by JSON; no torch.

`app.create` makes the application of a `Settings`; the modules in `routes` connect its addresses
with the other modules, one noun a file.
"""
