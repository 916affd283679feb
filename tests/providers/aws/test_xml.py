from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dxflow_async.providers.aws import xml as s3xml
from dxflow_async.providers.aws.xml import ListParser, MalformedXMLError, complete_body, delete_body, parse
from dxflow_async.providers.common import xml_reader as xmlreader

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
keys = st.text(characters, min_size=1, max_size=30)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)


UNUSUAL = {
    "own!er": "<Key>own&#x21;er</Key><Size>7</Size><Owner><ID>x</ID></Owner>",
    "lines": "\n<Key>lines</Key>\n<Size>3</Size>",
    "last": "<Size>5</Size><Key>last</Key>",
    "bare": "<Key>bare</Key>",
    "long" * 1100: f"<Key>{'long' * 1100}</Key><Size>1</Size>",
    "again": "<Key>twice</Key><Key>again</Key><ETag>a&amp;b</ETag>",
    "quoted": '<Key>quoted</Key><ETag>"x"</ETag><Size></Size>',
}


def listing(names: list[str], prefixes: list[str], token: str | None) -> bytes:
    """What S3 answers to ListObjectsV2 with `encoding-type=url`."""
    rows = "".join(
        f"<Contents><Key>{quote_plus(name, safe='/')}</Key><LastModified>2024-01-02T03:04:05.000Z</LastModified>"
        f"<ETag>&quot;{number:x}&quot;</ETag><Size>{number}</Size><StorageClass>STANDARD</StorageClass>"
        "<Owner><ID>x</ID></Owner></Contents>"
        for number, name in enumerate(names, 1)
    )
    rows += "".join(f"<CommonPrefixes><Prefix>{quote_plus(each)}</Prefix></CommonPrefixes>" for each in prefixes)
    more = "" if token is None else f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        "<Name>b</Name><Prefix></Prefix><EncodingType>url</EncodingType>"
        f"<IsTruncated>{str(token is not None).lower()}</IsTruncated>{rows}{more}"
        "</ListBucketResult>"
    ).encode()


def feed(parser: ListParser, data: bytes, cuts: list[int]) -> ListParser:
    """Feeds data in pieces."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        parser.feed(data[start:end])
    parser.close()
    return parser


@given(
    st.lists(keys, max_size=10, unique=True),
    st.lists(keys.map(lambda key: f"{key}/"), max_size=5, unique=True),
    st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
    st.lists(st.integers(0, 1 << 20), max_size=10),
)
def test_listing_comes_back(names: list[str], prefixes: list[str], token: str | None, cuts: list[int]) -> None:
    """A listing of any keys, cut anywhere, is read as it was written, in the order of bytes."""
    parser = feed(ListParser("b"), listing(sorted(names, key=str.encode), prefixes, token), cuts)
    wanted = sorted([f"b/{name}" for name in [*names, *prefixes]], key=str.encode)
    assert [entry.key for entry in parser.entries] == wanted
    assert parser.token == token
    objects = [entry for entry in parser.entries if not entry.directory]
    assert all(entry.etag == f"{entry.size:x}" and entry.modified == 1704164645 for entry in objects)


@given(st.sets(keys, max_size=10), st.sets(st.sampled_from(sorted(UNUSUAL)), max_size=4))
def test_plain_objects_are_read_as_the_parser_reads_them(names: set[str], unusual: set[str]) -> None:
    """What is cut out of a page is what the XML parser finds, also beside objects that only the parser can read."""
    rows = {name: f"<Key>{quote_plus(name, safe='/')}</Key><ETag>&#34;a&#34;</ETag><Size>1</Size>" for name in names}
    rows |= {name: UNUSUAL[name] for name in unusual}
    objects = "".join(f"<Contents>{rows[name]}</Contents>" for name in sorted(rows, key=str.encode))
    plain = f"<ListBucketResult><EncodingType>url</EncodingType>{objects}</ListBucketResult>"
    # A comment leaves the whole page to the parser.
    parsed = plain.replace("</ListBucketResult>", "<!-- --></ListBucketResult>")
    found, wanted = (feed(ListParser("b"), data.encode(), []).entries for data in (plain, parsed))
    assert list(map(repr, found)) == list(map(repr, wanted))
    assert [entry.key for entry in found] == [f"b/{name}" for name in sorted(rows, key=str.encode)]


FIELDS = {
    "Key": st.text(st.characters(codec="utf-8"), min_size=1).map(lambda name: quote_plus(name, safe="/")),
    "Size": st.integers(0, 10**15).map(str),
    "LastModified": st.integers(0, 2**31).map(lambda time: f"{datetime.fromtimestamp(time, UTC):%FT%T}.125Z"),
    "ETag": st.sampled_from(
        ["&quot;a1&quot;", "&#34;b2-3&#34;", "c3", '"d4"', '&quot;e5"', "", "W/&quot;f&quot;", "&amp;"]
    ),
    "StorageClass": st.sampled_from(["STANDARD", "GLACIER_IR", "", "a&lt;b"]),
    "ChecksumAlgorithm": st.sampled_from(["CRC64NVME", "SHA256"]),
}


@given(st.data(), st.permutations(sorted(FIELDS)), st.integers(1, 6), st.booleans())
def test_objects_with_the_same_fields_are_read_as_the_parser_reads_them(
    data: st.DataObject, order: list[str], count: int, one_differs: bool
) -> None:
    """Whatever the order of the fields is, objects are what the XML parser finds, also where one has other fields."""
    shown = {*data.draw(st.sets(st.sampled_from(order))), "Key"}
    rows = [{name: data.draw(FIELDS[name]) for name in order if name in shown} for _ in range(count)]
    if one_differs:
        rows[-1] = dict(reversed(rows[-1].items()))
    objects = "".join(
        "<Contents>" + "".join(f"<{name}>{value}</{name}>" for name, value in row.items()) + "</Contents>"
        for row in rows
    )
    plain = f"<ListBucketResult><EncodingType>url</EncodingType>{objects}</ListBucketResult>"
    parsed = plain.replace("</ListBucketResult>", "<!-- --></ListBucketResult>")
    found, wanted = (feed(ListParser("b"), text.encode(), []).entries for text in (plain, parsed))
    assert sorted(map(repr, found)) == sorted(map(repr, wanted))


@pytest.mark.parametrize("bad", ["a\x01", "a\ufffe", "\x1f"])
@pytest.mark.parametrize("field", ["Key", "ETag"])
def test_characters_that_xml_does_not_have(bad: str, field: str) -> None:
    """A name or an ETag with a character that XML cannot carry is refused, also among plain ones."""
    row = {"Key": "a", "ETag": "1"}
    rows = [row, row | {field: bad}, row]
    objects = "".join(
        f"<Contents><Key>{each['Key']}</Key><ETag>&quot;{each['ETag']}&quot;</ETag></Contents>" for each in rows
    )
    with pytest.raises(MalformedXMLError):
        feed(ListParser("b"), f"<ListBucketResult>{objects}</ListBucketResult>".encode(), [])


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=5))
@example(["a=41", "x=", "=\n", "é=é"])
def test_escapes_are_decoded_in_every_name(names: list[str]) -> None:
    """Names with any characters, line feeds, equals and percent signs among them, come back as they were."""
    rows = "".join(f"<Contents><Key>{quote(name, safe='/=')}</Key></Contents>" for name in names)
    text = f"<ListBucketResult><EncodingType>url</EncodingType>{rows}</ListBucketResult>"
    assert [entry.key for entry in feed(ListParser("b"), text.encode(), []).entries] == [f"b/{name}" for name in names]


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult>&a;</ListBucketResult>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><ListBucketResult/>',
        b"<ListBucketResult>&unknown;</ListBucketResult>",
        b'<?xml version="1.0" encoding="no-such"?><ListBucketResult/>',
        b'<?xml version="1.0" encoding="shift_jis"?><ListBucketResult/>',
        b"<html><body>Sign in to the network</body></html>",
        b"<Error><Code>SlowDown</Code></Error>",
        b"<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>a</Key><Size>many</Size></Contents></ListBucketResult>",
        b"<ListBucketResult></ListBucketResult><Contents><Key>a</Key></Contents>",
        b"<ListBucketResult><Contents><Key>\xff</Key></Contents></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>a</Key></Contents>",
        b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        b"<ListBucketResult>",
        b"",
        b"<a>" * (s3xml.MAX_DEPTH + 1),
        b"<ListBucketResult><Name>" + b"x" * (s3xml.MAX_TEXT_SIZE + 1),
    ],
    ids=lambda data: data[:40].decode("latin-1"),
)
def test_refused(data: bytes) -> None:
    """Document types, entities, depth, endless texts, and what is no listing are refused."""
    with pytest.raises(MalformedXMLError):
        feed(ListParser("b"), data, [])


def test_size_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without an end is refused."""
    monkeypatch.setattr(xmlreader, "MAX_DOCUMENT_SIZE", 10_000)
    parser = ListParser("b")
    parser.feed(b"<ListBucketResult>")
    for _ in range(400):
        parser.feed(b"<Name>1234567890</Name>")
    with pytest.raises(MalformedXMLError):
        parser.feed(b"<Name>1234567890</Name>" * 40)


@pytest.mark.parametrize("place", ["before", "behind", "nowhere"])
@pytest.mark.parametrize("plain", [True, False])
def test_names_are_decoded_where_the_page_says_so(place: str, plain: bool) -> None:
    """Names are decoded only when the answer confirms that they are encoded, wherever in the page it says so."""
    said, comment = "<EncodingType>url</EncodingType>", "" if plain else "<!-- -->"
    content = (
        "<Contents><Key>a+b%41/</Key><Size>0</Size></Contents><CommonPrefixes><Prefix>c+d/</Prefix></CommonPrefixes>"
    )
    content = {"before": said + content, "behind": content + said, "nowhere": content}[place]
    parser = feed(ListParser("b"), f"<ListBucketResult>{comment}{content}</ListBucketResult>".encode(), [])
    wanted = ["b/a+b%41/", "b/c+d/"] if place == "nowhere" else ["b/a bA/", "b/c d/"]
    assert [(entry.key, entry.directory) for entry in parser.entries] == [(key, True) for key in wanted]


def page(prefix: str, names: list[str], prefixes: Sequence[str] = (), *, said: bool = True) -> list[str]:
    """The keys that are read from a page with these texts."""
    rows = "".join(f"<Contents><Key>{escape(name)}</Key><Size>1</Size></Contents>" for name in names)
    rows += "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in prefixes)
    told = "<EncodingType>url</EncodingType>" if said else ""
    data = f"<ListBucketResult>{told}{rows}</ListBucketResult>".encode()
    return [entry.key.removeprefix("b/") for entry in feed(ListParser("b", prefix), data, []).entries]


@pytest.mark.parametrize(
    ("prefix", "sent", "meant"),
    [
        ("", ["a+b"], ["a b"]),
        ("", ["a%20b", "c+d"], ["a b", "c+d"]),
        ("", ["d%20e/f+g", "d%20e/h"], ["d e/f g", "d e/h"]),
        ("", ["d+e/", "d%20e/f+g"], ["d e/", "d e/f g"]),
        ("d e/", ["d+e/", "d%20e/f%20g/h+i/", "d%20e/j+k"], ["d e/", "d e/f g/h i/", "d e/j k"]),
        ("", ["a%20b", "c%2Bd", "e+f"], ["a b", "c+d", "e f"]),
        ("", ["100%", "a%20b"], ["100%", "a%20b"]),
        ("", ["é%20b"], ["é%20b"]),
        ("", ["a b%41"], ["a b%41"]),
        ("a%41/", ["a%41/x+y"], ["a%41/x+y"]),
        ("a+b/", ["a+b/c"], ["a+b/c"]),
        ("a+b/", ["a%2Bb/c+d"], ["a+b/c d"]),
        ("", ["%ff", "a%20b"], ["%ff", "a b"]),
        ("", ["a%0Ab", "c%20d"], ["a\nb", "c d"]),
        ("", ["%C3%A9+%E4%B8%AD", "%C3%A9/%F0%9F%98%80"], ["é 中", "é/😀"]),
    ],
)
def test_only_what_is_proven_to_be_encoded_is_decoded(prefix: str, sent: list[str], meant: list[str]) -> None:
    """A page may say that names are encoded although they are not: what no encoder sends is taken as it is."""
    assert page(prefix, sent) == sorted(meant, key=str.encode)


def test_objects_and_common_prefixes_are_judged_apart() -> None:
    """A server may encode objects and not common prefixes, or the reverse."""
    assert page("d e/", ["d+e/a%2Bb"], ["d e/x+y/"]) == ["d e/a+b", "d e/x+y/"]
    assert page("d e/", ["d e/a+b"], ["d%20e/x%2By/"]) == ["d e/a+b", "d e/x+y/"]


def test_encoded_names_of_a_page_that_does_not_say_so() -> None:
    """Names that start with the prefix only once they are decoded are encoded."""
    assert page("d e/", ["d+e/a%2Bb"], said=False) == ["d e/a+b"]
    assert page("", ["d+e/a%2Bb"], said=False) == ["d+e/a%2Bb"]


@pytest.mark.parametrize("before", ["", "\ufeff", "\n  ", "<!-- a --> <!-- <?xml b -->", "\ufeff\n"])
@pytest.mark.parametrize("cuts", [[], list(range(1, 60))])
def test_what_stands_before_the_declaration_is_skipped(before: str, cuts: list[int]) -> None:
    """White space, a mark and comments before the XML declaration do not make an answer invalid."""
    text = f"{before}<?xml version='1.0'?><ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>"
    assert [entry.key for entry in feed(ListParser("b"), text.encode(), cuts).entries] == ["b/a"]
    document = s3xml.Document()
    for byte in text.encode() if cuts else [text.encode()]:
        document.feed(bytes([byte]) if isinstance(byte, int) else byte)
    document.close()
    assert document.values["Key"] == "a"


def test_prefixes_of_namespaces_make_no_difference() -> None:
    """A server may write all names with a prefix of a namespace."""
    text = (
        '<s:ListBucketResult xmlns:s="urn:x"><s:EncodingType>url</s:EncodingType><s:Contents><s:Key>a+b</s:Key>'
        "<s:Size>3</s:Size></s:Contents><s:IsTruncated> True </s:IsTruncated>"
        "<s:NextContinuationToken>t</s:NextContinuationToken></s:ListBucketResult>"
    )
    parser = feed(ListParser("b"), text.encode(), [])
    assert ([(each.key, each.size) for each in parser.entries], parser.token) == ([("b/a b", 3)], "t")
    assert parse(b'<x:Error xmlns:x="u"><x:Code>c</x:Code></x:Error>').values == {"Code": "c"}


def test_empty_token_ends_the_listing() -> None:
    """Some servers send an empty token after the last page."""
    data = b"<ListBucketResult><NextContinuationToken></NextContinuationToken></ListBucketResult>"
    assert feed(ListParser("b"), data, []).token is None


@given(st.binary(max_size=200) | st.text("<>/&;!?[]'\"= aContentsKeySizl0\n").map(str.encode))
def test_garbage(data: bytes) -> None:
    """Whatever arrives, the only error is ours."""
    for parser in (ListParser("b"), s3xml.Document()):
        try:
            parser.feed(data)
            parser.close()
        except MalformedXMLError:
            pass


@given(texts, texts)
def test_document(code: str, message: str) -> None:
    """The texts of an error, and of rows of them, are found by name."""
    rows = "".join(f"<Error><Key>k{number}</Key><Code>{escape(code)}</Code></Error>" for number in range(3))
    document = parse(f"<Result><Message>{escape(message)}</Message>{rows}</Result>".encode())
    assert (document.root, document.values["Message"]) == ("Result", message)
    assert [row["Key"] for row in document.rows["Error"]] == ["k0", "k1", "k2"]
    assert all(row["Code"] == code for row in document.rows["Error"])


@given(st.lists(keys.filter(s3xml.is_text), max_size=5))
def test_delete_names_the_keys(names: list[str]) -> None:
    """Any XML parser reads the very keys that are to be deleted, carriage returns among them."""
    tree = ET.fromstring(delete_body(names))
    assert [found.text for found in tree.iter("{http://s3.amazonaws.com/doc/2006-03-01/}Key")] == names


@pytest.mark.parametrize(
    ("key", "possible"), [("a\tb\nc\rd é🚀", True), ("\x01", False), ("\x1b[0m", False), ("\ufffe", False)]
)
def test_keys_that_xml_cannot_hold(key: str, possible: bool) -> None:
    """Control characters have no place in XML."""
    assert s3xml.is_text(key) is possible


def test_complete_names_parts() -> None:
    """Part numbers, etags in quotes, and checksums where there are any."""
    tree = ET.fromstring(complete_body([(1, "aa", "4waSgw=="), (2, "b&b", None)]))
    assert [found.text for found in tree.iter("{http://s3.amazonaws.com/doc/2006-03-01/}PartNumber")] == ["1", "2"]
    assert [found.text for found in tree.iter("{http://s3.amazonaws.com/doc/2006-03-01/}ETag")] == ['"aa"', '"b&b"']
    assert [found.text for found in tree.iter("{http://s3.amazonaws.com/doc/2006-03-01/}ChecksumCRC32C")] == [
        "4waSgw=="
    ]
