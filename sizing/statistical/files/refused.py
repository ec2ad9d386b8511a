"""Files that are refused by their content, whatever they are called: pickles in every dress, and formats that nobody documents.

A pickle can run any code when it is opened, so none is opened here; a compressed one is recognised by its first bytes.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib

from sizing.errors import InputError

HEAD_BYTES = 65_536
"""Bytes of a file that are looked at [bytes]: a pickle names its types early."""
_FIRST_BYTES = 2_048
"""Bytes of a compressed file that are unpacked to see what it is [bytes]."""
_PROTOCOLS = frozenset(bytes([n]) for n in range(2, 10))
_TEXT_PICKLE = re.compile(rb"\A(?:c[A-Za-z_][\w.]{0,80}\n[A-Za-z_]\w{0,80}\n|\([ldt]p\d*\n|\(i[A-Za-z_][\w.]{0,80}\n)")
_LIBRARIES = (b"xgboost", b"lightgbm", b"catboost", b"sklearn", b"torch")
_WAYS = {
    b"xgboost": "the model saved by XGBoost itself: model.save_model('model.json')",
    b"lightgbm": "the model saved by LightGBM itself: booster.save_model('model.txt')",
    b"catboost": "the model exported by CatBoost itself: model.save_model('model.onnx', format='onnx')",
    b"sklearn": "the model saved by skops.io.dump(model, 'model.skops'), or as ONNX by skl2onnx",
}
_OTHER = (
    "a file that holds data only: a network's weights saved as safetensors, a model of scikit-learn saved by skops or as ONNX by "
    "skl2onnx, of XGBoost by save_model('model.json'), of LightGBM by save_model('model.txt'), of CatBoost as ONNX"
)
_NEVER = "a pickle can run code when it is opened, so it is never opened here"


def refusal(head: bytes, name: str) -> InputError | None:
    """Why a file that begins so is refused, with the safe way to save the model; None where it is no such file.

    >>> str(refusal(b"CBM1....", "m.cbm")).count("model.onnx") > 0
    True
    >>> refusal(b'{"learner": {}}', "m.json") is None
    True
    """
    if head.startswith(b"CBM1"):
        return InputError("file", f"a CatBoost file ({name})", _WAYS[b"catboost"])
    if head.startswith((b"binf", b"bs64")):
        return InputError("file", f"an XGBoost model in its old binary format ({name})", _WAYS[b"xgboost"])
    if head.startswith(b"\x93NUMPY"):
        if re.search(rb"'descr':[^(]{0,20}'\|?O'", head[:1024]):
            return pickle_refusal(head, name, "a NumPy file of pickled objects")
        return InputError("file", f"a NumPy array ({name})", "a model file, which an array alone is not")
    if is_pickle(head):
        return pickle_refusal(head, name)
    inside = _unpacked(head)
    if inside is not None and is_pickle(inside):
        return pickle_refusal(inside, name, "a compressed Python pickle, as joblib writes it")
    return None


def is_pickle(head: bytes) -> bool:
    """Whether bytes begin as a pickle of any protocol does: a protocol mark, or the text of protocols 0 and 1."""
    return (head[:1] == b"\x80" and head[1:2] in _PROTOCOLS) or _TEXT_PICKLE.match(head) is not None


def pickle_refusal(head: bytes, name: str, what: str = "a Python pickle") -> InputError:
    """Why a pickle is refused, with the way of its library to save the model; the library is the first that it names."""
    places = {library: at for library in _LIBRARIES if (at := head.find(library)) >= 0}
    library = min(places, key=lambda key: places[key], default=b"")
    return InputError("file", f"{what} ({name})", f"{_WAYS.get(library, _OTHER)}; {_NEVER}")


def _unpacked(head: bytes) -> bytes | None:
    """The first bytes of a compressed file, bounded; None where it is none, or does not unpack."""
    try:
        if head[:1] == b"\x78" and head[1:2] in b"\x01\x5e\x9c\xda":
            return zlib.decompressobj().decompress(head, _FIRST_BYTES)
        if head.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(31).decompress(head, _FIRST_BYTES)
        if head.startswith(b"BZh"):
            # bzip2 gives nothing before its first block of up to 900 kB is there.
            return bz2.BZ2Decompressor().decompress(head, _FIRST_BYTES)
        if head.startswith((b"\xfd7zXZ", b"]\x00\x00")):
            return lzma.LZMADecompressor(memlimit=2**26).decompress(head, _FIRST_BYTES)
    except (zlib.error, OSError, ValueError, EOFError, lzma.LZMAError, MemoryError):
        return None
    return None
