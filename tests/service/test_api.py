"""The API does what its document says, whatever is sent to it."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.service.conftest import Live

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "use_after_free",
)
"""All but what takes a request for wrong that asks for a camera which the gallery has not."""


@pytest.mark.slow
def test_every_route_answers_as_the_document_says(live: Live, tmp_path: Path) -> None:
    """By Schemathesis: examples, borders, random requests, and chains of requests by links."""
    program = Path(sys.executable).with_name("schemathesis")
    with live(requests_per_minute=10**6) as address:
        told = subprocess.run(
            [
                program,
                "run",
                f"{address}/api/v1/openapi.json",
                f"--checks={','.join(CHECKS)}",
                "--max-examples=4",
                "--seed=1",
                "--generation-database=none",
                "--no-color",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert told.returncode == 0, told.stdout[-6000:]
    assert "Tested: 30" in told.stdout
