"""What docstrings and docs refer to can be opened: headings of docs/references.md, anchors."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TEXTS = sorted(
    path
    for folder in ("src", "research", "tests", "benchmarks", "docs")
    for suffix in (".py", ".md", ".toml")
    for path in (ROOT / folder).rglob(f"*{suffix}")
    if path != Path(__file__)
)
TEXTS += [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "Makefile"]
HEADINGS = set(re.findall(r"^### (\w+)$", (DOCS / "references.md").read_text(), re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_references_can_be_opened(path):
    text = path.read_text()
    assert not re.findall(r"\bspec(?:ification)? \d", text, re.IGNORECASE)
    assert set(re.findall(r"\b[A-Z]\w*(?:19|20)\d\d\b", text)) <= HEADINGS
    for page, anchor in re.findall(r"docs/(\w+\.md)#([\w-]+)", text):
        assert anchor in anchors(DOCS / page), (page, anchor)
    if path.parent == DOCS:
        for page, anchor in re.findall(r"\]\((\w+\.md)#([\w-]+)\)", text):
            assert anchor in anchors(DOCS / page), (page, anchor)


def test_every_reference_is_used():
    texts = "".join(path.read_text() for path in TEXTS if path.suffix == ".py")
    assert not [key for key in HEADINGS if not re.search(rf"\b{key}\b", texts)]
