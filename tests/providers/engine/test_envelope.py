"""Envelopes in every framing, however their bytes are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dxflow_async.providers.engine.envelope import BrokenEnvelopeError, EnvelopeParser

ENTITIES = st.lists(
    st.one_of(st.text(), st.integers(), st.none(), st.dictionaries(st.text(), st.text(), max_size=3)), max_size=5
)


def chunks_of(entities: list[Any]) -> list[str]:
    status = {"kind": "status", "payload": {"code": 200, "message": "OK"}}
    total = {"kind": "total", "payload": {"value": len(entities)}}
    every = [status, total, *({"kind": "entity", "payload": entity} for entity in entities)]
    return [json.dumps(each, ensure_ascii=False) for each in every]


FRAMINGS = {
    "one line": lambda chunks: f"[{','.join(chunks)}]",
    "leading commas": lambda chunks: "[\n" + "\n,".join(chunks) + "\n]\n",
    "trailing commas": lambda chunks: "[\n" + ",\n".join(chunks) + "\n]",
    "lines": lambda chunks: "\n".join(chunks) + "\n",
    "white space": lambda chunks: "\ufeff \r\n[ " + " , ".join(chunks) + " ]\r\n\r\n",
}


def parsed(data: bytes, cuts: list[int]) -> EnvelopeParser:
    parser, start = EnvelopeParser(), 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        parser.feed(data[start:cut])
        start = cut
    parser.close()
    return parser


@pytest.mark.parametrize("framing", FRAMINGS)
@given(entities=ENTITIES, cuts=st.lists(st.integers(0, 10_000), max_size=20))
def test_every_framing_says_the_same(framing: str, entities: list[Any], cuts: list[int]) -> None:
    """Status, total and entities are the same in every framing, wherever the bytes are cut."""
    answer = parsed(FRAMINGS[framing](chunks_of(entities)).encode("utf-8", "surrogatepass"), cuts).answer
    assert answer.statuses == [(200, "OK")]
    assert answer.total == len(entities)
    assert answer.payloads == [json.loads(json.dumps(each)) for each in entities]


@given(size=st.integers(0, 400))
def test_an_array_that_breaks_off_is_no_answer(size: int) -> None:
    """Whatever is missing at the end of an array, it is never taken for a whole one."""
    data = FRAMINGS["leading commas"](chunks_of(["a", "b", {"name": "ü"}])).rstrip().encode()
    with pytest.raises(BrokenEnvelopeError):
        parsed(data[: size % len(data)], [])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "<html>", '{"message": "hello"}', '[{"kind": 1}]', '[{"kind":"status","payload":{}}]', "[1]"],
)
def test_what_is_no_envelope_is_refused(text: str) -> None:
    """A page, another JSON, or an array without chunks is no answer."""
    with pytest.raises(BrokenEnvelopeError):
        parsed(text.encode(), [])


def test_a_chunk_without_an_end_takes_bounded_memory() -> None:
    """A chunk of more than a million characters is refused while it arrives."""
    with pytest.raises(BrokenEnvelopeError):
        parsed(b'{"kind":"' + b"x" * 10_000_000, list(range(0, 10_000_000, 100_000)))


@pytest.mark.parametrize(
    ("late", "failure"),
    [
        ({"kind": "status", "payload": {"code": 500, "message": "disk failed"}}, (500, "disk failed")),
        ({"type": "status", "payload": {"code": 404}}, (404, "")),
        ({"kind": "entity:error", "payload": "no image"}, (500, "no image")),
        ({"kind": "", "payload": None}, None),
        ({"kind": "workflow", "payload": 1}, None),
    ],
)
def test_a_failure_is_seen_wherever_it_stands(late: dict[str, Any], failure: tuple[int, str] | None) -> None:
    """Every status counts, and so does an entity that is an error; unknown kinds are skipped."""
    chunks = [*chunks_of(["a"]), json.dumps(late)]
    assert parsed(FRAMINGS["one line"](chunks).encode(), []).answer.failure == failure
