"""Finds out what a dxflow engine does where its documentation is silent.

    python -m dxflow_async.testing.engine https://lab.example.org --key private-key.pem

Everything happens in a new directory at the top of the volume, which is removed at the end. The table that is printed
has what the engine does, what the client assumes until it has seen it, and whether that is a behaviour it knows.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from dxflow_async.exceptions import DxflowError
from dxflow_async.providers import printable
from dxflow_async.providers.engine.provider import EngineProvider
from dxflow_async.providers.engine.settings import EngineSettings
from dxflow_async.testing.engine_answer_probes import ANSWER_MATTERS
from dxflow_async.testing.engine_file_probes import FILE_MATTERS
from dxflow_async.testing.engine_probe import Probe
from dxflow_async.testing.resources import session_resources

__all__ = ["Finding", "main", "probe_engine"]


class Finding(NamedTuple):
    """What an engine does in one matter.

    Attributes:
        matter: the matter.
        seen: what the engine does.
        assumed: what its documentation says, or the client assumes first.
        known: whether the client knows that behaviour.
    """

    matter: str
    seen: str
    assumed: str
    known: bool


async def probe_engine(settings: EngineSettings) -> list[Finding]:
    """Returns what an engine does, from requests in a directory that is new and removed at the end.

    Raises:
        DxflowError: the engine cannot be reached, refuses the key, or keeps no file.
    """
    findings = []
    async with session_resources("ENGINE") as resources:
        provider = EngineProvider(settings, resources.http, resources.threads, name="ENGINE")
        try:
            await provider.connect()
            probe = Probe(provider)
            await provider.make_directory(f"{probe.folder}/")
            try:
                await probe.measure_delay()
                for matter in (*ANSWER_MATTERS, *FILE_MATTERS):
                    seen = await matter.look(probe)
                    known = seen.startswith((matter.assumed, *matter.others))
                    findings.append(Finding(matter.name, seen, matter.assumed, known))
            finally:
                failed = await provider.delete([f"{probe.folder}/"])
            findings += [Finding(name, value, "", known=True) for name, value in provider.endpoint_facts()]
            findings.append(
                Finding("removal of the test's directory", "failed" if failed else "done", "done", not failed)
            )
        finally:
            await provider.aclose()
    return findings


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns 1 where the engine does something that the client does not know."""
    parser = argparse.ArgumentParser(prog="python -m dxflow_async.testing.engine", description=__doc__.split("\n")[0])
    parser.add_argument("address", help="the engine's address, such as https://lab.example.org")
    parser.add_argument("--key", type=Path, help="the file of the private key")
    given = parser.parse_args(arguments)
    try:
        findings = asyncio.run(probe_engine(EngineSettings(address=given.address, key=given.key)))
    except DxflowError as error:
        _say(str(error), sys.stderr)
        return 2
    for finding in findings:
        verdict = "" if not finding.assumed else "as assumed" if finding.seen.startswith(finding.assumed) else "handled"
        verdict = verdict if finding.known else "NOT KNOWN: do not use this engine, and report it"
        _say(f"{finding.matter:34} {finding.seen:28} {verdict}".rstrip())
    return 0 if all(finding.known for finding in findings) else 1


def _say(text: str, stream: TextIO | None = None) -> None:
    (stream or sys.stdout).write(f"{printable(text)}\n")


if __name__ == "__main__":
    sys.exit(main())
