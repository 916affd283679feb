"""Every row of the table in `docs/verification.md` is shown by a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "dxflow_async/docs/verification.md"

ITEMS = "tests/transfer/items"
FOREIGN = f"{ITEMS}/test_foreign_digests.py"
SHOWN_BY = [
    ("CRC32C, CRC-64/NVME or CRC-32", f"{ITEMS}/test_verification.py", "test_parts_are_compared"),
    ("SHA-1 or SHA-256 of the whole", f"{ITEMS}/test_verification.py", "test_moves_are_compared"),
    ("composite CRC32C or CRC-32", FOREIGN, "test_wrong_bytes_become_no_file"),
    ("composite SHA-1 or SHA-256", FOREIGN, "test_right_bytes_are_verified"),
    ("stored with one request", FOREIGN, "test_bytes_that_are_wrong_once_are_read_again"),
    ("stored in parts", "tests/storage/test_foreign_uploads.py", "test_s3_objects_are_verified"),
    ("`md5chksum`", "tests/storage/test_foreign_uploads.py", "test_s3_objects_are_verified"),
    ("SSE-KMS", FOREIGN, "test_what_is_no_checksum_fails_nothing"),
    ("`x-goog-hash`", FOREIGN, "test_right_bytes_are_verified"),
    ("that this library stores", "tests/providers/azure/test_transfer.py", "test_there_and_back"),
    ("Content-MD5 |", "tests/storage/test_foreign_uploads.py", "test_azure_blobs_are_verified"),
    ("Google Cloud Storage", "tests/storage/test_foreign_uploads.py", "test_google_objects_are_verified"),
    ("`Repr-Digest`", "tests/providers/http_source/test_provider.py", "test_digests_are_verified"),
    ("compute units", "tests/providers/unit/test_sums.py", "test_downloads_are_verified"),
    ("SFTP", "tests/storage/test_ssh_and_web_servers.py", "test_up_and_down"),
    ("local stores", "tests/providers/local/test_kept_checksums.py", "test_both_ways_are_verified"),
    ("your own files", "tests/storage/test_upload.py", "test_results_are_verified_where_the_service_checks"),
    ("between your own directories", "tests/providers/local/test_read_back.py", "test_all_are_verified"),
]
"""A part of each row, and the test that shows it."""


def test_every_row_is_shown_by_a_test() -> None:
    """The table has exactly the rows that tests show, and these tests exist."""
    text = DOCUMENT.read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == len(SHOWN_BY)
    for row, (part, file, name) in zip(rows, SHOWN_BY, strict=True):
        assert part in row
        found = {
            node.name
            for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in found, f"{file}::{name}"


def test_the_reasons_are_those_of_the_library() -> None:
    """The setting and the attribute that the document names exist."""
    text = DOCUMENT.read_text("utf-8")
    code = "".join(path.read_text("utf-8") for path in (ROOT / "dxflow_async").rglob("*.py"))
    for name in re.findall(r"`(user\.[a-z0-9.]+|aws\.[a-z_]+)", text):
        assert name.partition(".")[2] in code
