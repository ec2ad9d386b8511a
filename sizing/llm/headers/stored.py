"""A tensor as a checkpoint file lists it, and how such a file is opened: read from the start, never its data part."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from sizing.errors import InputError

Source = bytes | str | Path | BinaryIO
"""A checkpoint: its bytes, the path of its file, or a stream that can seek. Bytes and streams may end after the header."""

MOST_ELEMENTS = 2**63 - 1
"""Most elements of one tensor (count): file formats and engines keep them in signed 64-bit integers."""
SHOWN_NAME = 80


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file: its name, how its elements are stored, its shape (outermost first), and its bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int
    start_bytes: int  # from the start of the data part

    @property
    def elements(self) -> int:
        """Elements as stored [count]: the product of the shape; a packed tensor stands for more."""
        return prod(self.shape)


@contextmanager
def opened(source: Source) -> Iterator[tuple[BinaryIO, int]]:
    """The stream of a source and its length [bytes]. A path has to name a regular file.

    >>> with opened(b"GGUF") as (stream, size_bytes):
    ...     size_bytes
    4
    """
    if isinstance(source, bytes):
        yield io.BytesIO(source), len(source)
        return
    if isinstance(source, str | Path):
        refused = InputError("file", str(source), "the path of a file that can be read")
        try:
            if not Path(source).is_file():
                raise refused
            with Path(source).open("rb") as stream:
                yield stream, stream.seek(0, io.SEEK_END)
        except OSError:
            raise refused from None
        return
    yield source, source.seek(0, io.SEEK_END)


def short_name(name: str) -> str:
    """A name from a file as it is shown: one line of at most 80 characters, so that it cannot speak to a terminal.

    >>> short_name("a\\nb")
    'a?b'
    """
    if len(name) > SHOWN_NAME:
        name = name[: SHOWN_NAME - 3] + "..."
    return name if name.isprintable() else "".join(c if c.isprintable() else "?" for c in name)


def shortfall(have_bytes: int, whole_bytes: int) -> str | None:
    """What to say of a file that ends before its data do [bytes], or None if it is whole.

    >>> shortfall(10, 10) is None
    True
    """
    if have_bytes >= whole_bytes:
        return None
    return (
        f"The file ends {whole_bytes - have_bytes:,} bytes before its tensors do: the figures come from its header; "
        "an engine cannot load it as it is"
    )
