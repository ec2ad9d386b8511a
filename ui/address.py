"""What a page knows of the address bar: what it wrote there, and whether what stands there now was opened.

An input travels to the server with the address the browser had when it was made. When inputs follow each other faster than
the address comes back, that is one already replaced here; to read it would undo what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

KEPT = 8
"""Addresses remembered: inputs that one browser can make before it has the answer to the first."""


@dataclass
class Address:
    """The address a page wrote last, those it replaced, and its controls as they stood then."""

    written: dict[str, str] = field(default_factory=dict)
    replaced: list[dict[str, str]] = field(default_factory=list)
    controls: dict[str, Any] = field(default_factory=dict)

    def is_new(self, controls: Mapping[str, Any]) -> bool:
        """Whether the address was opened (a link, the Back button): it is none written here, or one replaced here that
        comes without any change of a control."""
        present = st.query_params.to_dict()
        if not present or present == self.written:
            return False
        changed = any(name in controls and controls[name] != value for name, value in self.controls.items())
        return not (changed and present in self.replaced)

    def taken(self) -> None:
        """What stands in the address bar has been read."""
        self.written, self.replaced = st.query_params.to_dict(), []

    def write(self, params: dict[str, str], controls: Mapping[str, Any]) -> None:
        """Put the parameters that the controls stand for into the address bar, if they are not there already."""
        self.controls = dict(controls)
        if self.written != params:
            self.replaced = [*self.replaced, self.written][-KEPT:]
            self.written = params  # first: a run may be cut off while it tells the browser
        if st.query_params.to_dict() != params:
            st.query_params.from_dict(params)


def controls_of(prefix: str) -> dict[str, Any]:
    """What the session holds of the controls whose keys start so."""
    return {str(key): value for key, value in st.session_state.to_dict().items() if str(key).startswith(prefix)}
