"""A model file told by its content and read: the one way in for the command line and for the page."""

from __future__ import annotations

import re
from typing import BinaryIO

from sizing.errors import InputError
from sizing.onnx.wire import is_onnx
from sizing.statistical.files.facts import ModelFile
from sizing.statistical.files.lightgbm import read_lightgbm
from sizing.statistical.files.refused import HEAD_BYTES, refusal
from sizing.statistical.files.sklearn_models import read_skops
from sizing.statistical.files.skops_file import is_skops
from sizing.statistical.files.xgboost import read_xgboost
from sizing.statistical.own import FileFormat

MOST_FILE_BYTES = 512 * 2**20
"""Largest file read here [bytes]: XGBoost and LightGBM files are held whole while they are walked."""
READ_HERE = "XGBoost JSON or UBJ, LightGBM text, ONNX, or skops for scikit-learn"
_UBJ = re.compile(rb"\A\{[iUIlL][\x00-\x40]{1,8}learner")
_JSON = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*\{")


def format_of(stream: BinaryIO, size: int) -> FileFormat | None:
    """Format of a statistical model by its content, ONNX left out; None where it is none of them."""
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    if _UBJ.match(head):
        return "xgboost-ubj"
    if _JSON.match(head) and b'"learner"' in head:
        return "xgboost-json"
    if head.startswith((b"tree\n", b"tree\r\n")):
        return "lightgbm-text"
    if head.startswith(b"PK\x03\x04") and is_skops(stream, size):
        return "skops"
    return None


def read_as(stream: BinaryIO, size: int, file_format: FileFormat) -> ModelFile:
    """Facts of a model whose format is known [count, bytes]. Raises InputError for a file that breaks it."""
    if size > MOST_FILE_BYTES:
        raise InputError("file", f"{size:,} bytes", f"a model file of at most {MOST_FILE_BYTES:,} bytes")
    stream.seek(0)
    if file_format == "skops":
        return read_skops(stream, size)
    data = stream.read(size)
    if file_format == "lightgbm-text":
        return read_lightgbm(data)
    return read_xgboost(data.removeprefix(b"\xef\xbb\xbf"), binary=file_format == "xgboost-ubj")


def read_model(stream: BinaryIO, size: int, name: str) -> ModelFile:
    """Facts of the statistical model in a file, told by its content [count, bytes]; `name` is only shown.

    Raises InputError, in one sentence, for a file that is none, breaks its format, or could run code when it is loaded.
    """
    if size == 0:
        raise InputError("file", f"an empty file ({name})", READ_HERE)
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    refused = refusal(head, name)
    if refused is not None:
        raise refused
    file_format = format_of(stream, size)
    if file_format is not None:
        return read_as(stream, size, file_format)
    if not head.startswith(b"PK") and is_onnx(stream, size):
        # Imported here: onnx takes a fifth of a second, and other files need none of it.
        from sizing.statistical.files.onnx_models import read_onnx

        return read_onnx(stream, size, name)
    raise InputError("file", f"a file of another kind ({name})", READ_HERE)
