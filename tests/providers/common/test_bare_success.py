"""Answers that say no more than that something was done."""

from __future__ import annotations

from dxflow_async.providers.common.bare_success import BareSuccess


def test_an_endpoint_that_marks_none_is_believed_after_one_look() -> None:
    """A bare answer is confirmed by a look; after one that agreed, no more looks are needed."""
    answers = BareSuccess()
    assert not answers.believes(marked=False)
    answers.confirm()
    assert answers.believes(marked=False)


def test_an_endpoint_that_marks_one_marks_all() -> None:
    """Once an answer has had a header of the service's, one without it is not believed, whatever a look had shown."""
    answers = BareSuccess()
    answers.confirm()
    assert answers.believes(marked=True)
    assert not answers.believes(marked=False)
    answers.confirm()
    assert not answers.believes(marked=False)
