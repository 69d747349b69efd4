"""MkDocs hook: pages that are generated from the code itself, and files that pages link to.

A page holds a marker, ``<!-- commands -->``, ``<!-- recipes -->``, ``<!-- events schema -->`` or
``<!-- contributing -->``, and gets what the code, or CONTRIBUTING.md, says. Files of the repository
that pages link to (the model card, examples) are copied into the site, so that the links work there
too.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from typer.cli import get_docs_for_click
from typer.main import get_command

from saiseld.cli.main import build
from saiseld.cli.recipes import recipes_page
from saiseld.live.events import events_schema

ROOT = Path(__file__).parents[1]
UPWARDS = re.compile(r"\]\((?:\.\./)+([^)#]+)")

linked: set[str] = set()


def commands() -> str:
    """Return the help of each command as Markdown."""
    command = get_command(build())
    context = command.context_class(command, info_name="saiseld")
    return str(get_docs_for_click(obj=command, ctx=context, name="saiseld"))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of a page; note the repository's files that it links to."""
    if "<!-- contributing -->" in markdown:
        text = (ROOT / "CONTRIBUTING.md").read_text()
        markdown = re.sub(r"\]\((?=[A-Z]+\.md|src/)", "](../", text).replace("](docs/", "](")
    linked.update(name for name in UPWARDS.findall(markdown) if (ROOT / name).is_file())
    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", commands().split("\n", 1)[1])
    if "<!-- recipes -->" in markdown:
        markdown = markdown.replace("<!-- recipes -->", recipes_page())
    if "<!-- events schema -->" in markdown:
        schema = json.dumps(events_schema(), indent=2)
        markdown = markdown.replace("<!-- events schema -->", f"```json\n{schema}\n```")
    return markdown


def on_post_build(config: Any) -> None:
    """Copy the files that pages link to, to the place where the links lead."""
    for name in linked:
        target = Path(config.site_dir, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
