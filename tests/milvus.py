"""Galleries on a Milvus server, for tests that have one: `make test-milvus`."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scripts.milvus_server import ADDRESS

from vireid.gallery.addresses import exists, open_store

HAS_SERVER = bool(os.environ.get(ADDRESS))


def server_address() -> str:
    """Return host and port of the server of these tests; without one the test is skipped."""
    address = os.environ.get(ADDRESS)
    if not address:
        pytest.skip("there is no Milvus server; `make test-milvus` starts one")
    return address


@contextmanager
def on_milvus() -> Iterator[str]:
    """Hand out an address at which no gallery is yet; whatever is made there is deleted again."""
    address = f"milvus://{server_address()}/test{secrets.token_hex(4)}"
    try:
        yield address
    finally:
        if exists(address):
            store = open_store(address, patience=20)
            store.delete()
            store.close()
