"""The page's own files: what keeps names of users from becoming markup, and what makes the page work at any path."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from dxflow_async.hub_page.static_files import DIRECTORY

MODULES = sorted(DIRECTORY.glob("*.js"))
PAGE = (DIRECTORY / "index.html").read_text()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_no_text_is_parsed_as_markup_or_program(module: Path) -> None:
    """No module sets markup or evaluates text, or asks an address that is not relative; each is short."""
    text = module.read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc", text)
    assert not re.search(r"setAttribute\(\s*['\"]style|cssText|['\"]/(?:page|static)/|https?://(?!www\.w3\.org/)", text)
    assert len(text.splitlines()) < 300


def test_the_page_has_nothing_inline() -> None:
    """The policy allows neither inline scripts nor inline styles; all addresses are relative and exist."""
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", PAGE)
    addresses = re.findall(r'(?:href|src)="([^"#][^"]*)"', PAGE)
    assert addresses
    for address in addresses:
        assert address.startswith("static/")
        assert (DIRECTORY / address.removeprefix("static/")).is_file(), address


def test_modules_are_fetched_at_once() -> None:
    """The page names every module, so that browsers don't find them one after another."""
    named = set(re.findall(r'(?:rel="modulepreload" href|type="module" src)="static/([^"]+)"', PAGE))
    assert named == {path.name for path in MODULES}


def test_imports_and_symbols_exist() -> None:
    """Each name that a module imports is exported, and each icon that a module shows is on the page."""
    texts = {path.name: path.read_text() for path in MODULES}
    for text in texts.values():
        for names, source in re.findall(r'import \{([^}]*)\} from "\./([^"]+)"', text):
            for name in (each.strip() for each in names.split(",")):
                assert re.search(rf"export (?:async )?(?:function\*?|class|const) {name}\b", texts[source]), name
        for symbol in re.findall(r'(?:symbol: |icon\(|iconButton\([^,]+, )"([a-z-]+)"', text):
            assert f'id="i-{symbol}"' in PAGE, symbol


def test_the_vendored_library_is_unmodified() -> None:
    """It is `dist/tus.min.js` of tus-js-client 4.3.1, with its licence beside it."""
    content = (DIRECTORY / "vendor/tus.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == "8cbb1b63fccc3bba0ae73ad1deb160ce046c3750851d0c3e94921ae3ef070eb8"
    assert "MIT License" in (DIRECTORY / "vendor/tus.LICENSE.txt").read_text()
