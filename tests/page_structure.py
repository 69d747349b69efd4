"""What a page says to those who do not see it: a main part, column heads, tables that scroll."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"img", "link", "meta", "input", "br"}


class Structure(HTMLParser):
    """Count main parts, note tables that no key can scroll, and heads without text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.mains = self.tables = 0
        self.labels: list[str | None] = []
        self.faults: list[str] = []
        self.empty = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.mains += tag == "main"
        if tag == "table":
            self.tables += 1
            _, around = self.open[-1]
            if (around.get("role"), around.get("tabindex")) != ("region", "0"):
                self.faults.append("a table in no region that takes the focus")
            self.labels.append(around.get("aria-label"))
        elif tag in {"h1", "h2", "p", "img"} and all(name != "main" for name, _ in self.open):
            self.faults.append(f"{tag} outside of the main part")
        self.empty = tag == "th"
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.empty = self.empty and not data.strip()

    def handle_endtag(self, tag: str) -> None:
        if tag == "th" and self.empty:
            self.faults.append("an empty head of a column")
        while self.open and self.open.pop()[0] != tag:
            pass


def faults_of(page: str, *, tables: int) -> list[str]:
    """Return what is wrong with a page that should have so many tables."""
    structure = Structure()
    structure.feed(page)
    faults = structure.faults
    if structure.mains != 1:
        faults.append(f"{structure.mains} main parts")
    if structure.tables != tables:
        faults.append(f"{structure.tables} tables")
    if None in structure.labels or len(set(structure.labels)) != tables:
        faults.append(f"tables without labels of their own: {structure.labels}")
    return faults
