"""The patterns of include and exclude, as they are documented; without a loop."""

from __future__ import annotations

import pytest

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.transfer.sync.filters import NameFilter

MATCHES = [
    ("*.csv", "a.csv x/a.csv x/y/.csv d.csv/x", "a.csvx a.CSV acsv"),
    ("raw/*.csv", "raw/a.csv raw/b.csv", "x/raw/a.csv raw/x/a.csv raw.csv"),
    ("/README", "README README/x", "x/README README.md"),
    ("build", "build build/x x/build/y", "rebuild build2 x/builds"),
    ("build/", "build/ build/x x/build/y", "build x/build"),
    ("dir/**", "dir/a dir/b/c", "dir x/dir/a dirs/a"),
    ("**/x", "x a/x a/b/x x/y", "ax a/bx"),
    ("a/**/x", "a/x a/b/x a/b/c/x", "ax b/a/x a/b"),
    ("**", "a a/b d/", ""),
    ("?.txt", "a.txt x/b.txt", ".txt ab.txt"),
    ("[a-c][!0-9]", "ax bb", "dx a1 a"),
    ("a[", "a[", "a"),
    ("[]]", "]", "[ a"),
    (r"\*", "* x/*", "a"),
    ("a.b", "a.b", "axb"),
    ("a+(b)|c", "a+(b)|c", "aab c"),
    ("ü*", "über x/ünïcode", "u"),
]


@pytest.mark.parametrize(("pattern", "matching", "others"), MATCHES)
def test_patterns(pattern: str, matching: str, others: str) -> None:
    """What a pattern matches, and what it does not, whether it includes or excludes."""
    include, exclude = NameFilter(include=[pattern]), NameFilter(exclude=[pattern])
    for name in matching.split():
        assert include.admits(name), name
        assert not exclude.admits(name), name
    for name in others.split():
        assert not include.admits(name), name
        assert exclude.admits(name), name


EXPRESSIONS = [
    (r"re:run-\d+", "run-1 run-22/ run-1/x", "x/run-1 run-a run-1x"),
    (r"re:(.*/)?\w+\.csv", "a.csv x/y/b.csv a.csv/x", "a.csvx .csv"),
    ("re:(?i).*[.]csv", "a.CSV x/a.csv", "a.txt"),
    ("re:a|b/c", "a a/x b/c", "b ab x/a"),
    ("re:^a$", "a", "ab a/x"),
    (r"re:(\w)\1", "aa bb/x", "ab a"),
    ("[r]e:x", "re:x", "x r"),
    (r"\re:x", "re:x", "x"),
]


@pytest.mark.parametrize(("pattern", "matching", "others"), EXPRESSIONS)
def test_regular_expressions(pattern: str, matching: str, others: str) -> None:
    """They match the whole path and everything below it, alone and beside other patterns, whose groups do not count."""
    for patterns in ([pattern], ["(.)*never", pattern, r"re:(never)\1", "*.never"]):
        include, exclude = NameFilter(include=patterns), NameFilter(exclude=patterns)
        for name in matching.split():
            assert include.admits(name), name
            assert exclude.excludes(name), name
        for name in others.split():
            assert not include.admits(name), name
            assert not exclude.excludes(name), name


@pytest.mark.parametrize("pattern", ["re:(", "re:)(", "re:a(?i)", "re:[z-a]", "re:a{99999999999}"])
def test_expressions_that_cannot_be_are_refused(pattern: str) -> None:
    """The message names the option and the expression."""
    with pytest.raises(ConfigurationError, match=r"include = .* is not allowed; it is no valid regular expression"):
        NameFilter(include=[pattern])


def test_no_pattern_admits_all() -> None:
    """Whatever the name."""
    assert NameFilter().admits("any/thing at\nall")


def test_several_patterns_are_alternatives_and_exclude_wins() -> None:
    """A name needs one of the including ones, and none of the excluding ones."""
    admits = NameFilter(include=["*.csv", "*.txt"], exclude=["old*", "/tmp/"]).admits
    names = ["a.csv", "x/b.txt", "c.dat", "old.csv", "x/older/d.txt", "tmp/e.csv", "x/tmp/f.csv"]
    assert [name for name in names if admits(name)] == ["a.csv", "x/b.txt", "x/tmp/f.csv"]


def test_a_text_is_one_pattern() -> None:
    """Not one pattern a letter."""
    assert not NameFilter(include="*.csv").admits("c")


@pytest.mark.parametrize("pattern", ["", "/", "!a", "a//b", "./a", "../a", "a/../b", "[z-a]", 3])
def test_patterns_that_cannot_be_are_refused(pattern: str) -> None:
    """The message names the option and the pattern."""
    with pytest.raises(ConfigurationError, match=r"exclude = .* is not allowed"):
        NameFilter(exclude=[pattern])
