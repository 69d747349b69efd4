"""MkDocs hook: pages that are generated from the code itself.

A page holds a marker, ``<!-- commands -->``, ``<!-- recipes -->`` or ``<!-- events schema -->``,
and gets what the code says.
"""

from __future__ import annotations

import json
from typing import Any

from typer.cli import get_docs_for_click
from typer.main import get_command

from saiseld.cli.main import build
from saiseld.cli.recipes import recipes_page
from saiseld.live.events import events_schema


def commands() -> str:
    """Return the help of each command as Markdown."""
    command = get_command(build())
    context = command.context_class(command, info_name="saiseld")
    return str(get_docs_for_click(obj=command, ctx=context, name="saiseld"))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of a page."""
    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", commands().split("\n", 1)[1])
    if "<!-- recipes -->" in markdown:
        markdown = markdown.replace("<!-- recipes -->", recipes_page())
    if "<!-- events schema -->" in markdown:
        schema = json.dumps(events_schema(), indent=2)
        markdown = markdown.replace("<!-- events schema -->", f"```json\n{schema}\n```")
    return markdown
