"""Docstrings name other functions as Sphinx does, :func:`denoise`; in the site such a name becomes a link."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, NameResolutionError, Object

ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`(~?)([\w.]+)`")


class Roles(Extension):
    """Rewrites the roles of each docstring, where the name leads to a page of the reference as a link."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Take each object as its module is read."""
        if obj.docstring is None:
            return

        def link(found: re.Match[str]) -> str:
            short, name = found.groups()
            try:
                target = obj.resolve(name)
            except NameResolutionError:
                target = name
            shown = name.rpartition(".")[2] if short else name
            # optional: what has no page stays what it is, a name
            return f'<autoref optional identifier="{target}"><code>{shown}</code></autoref>'

        obj.docstring.value = ROLE.sub(link, obj.docstring.value)
