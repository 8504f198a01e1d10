"""gguf-py, the reader that belongs to llama.cpp, as a worker of ggauge.

It speaks the protocol of `conformance/vocabulary/PROTOCOL.md` and answers the request `read`. `gguf.GGUFReader` does the
reading; nothing is checked or filled in here.

Install what it needs beside it, and run it with that Python:

    python3 -m venv FOLDER
    FOLDER/bin/pip install --require-hashes --only-binary=:all: --requirement requirements.txt
    FOLDER/bin/python worker.py
"""

import ctypes
import importlib.metadata
import json
import math
import platform
import signal
import sys

import gguf
import numpy
from gguf import GGUFValueType

PROTOCOL = 1
# Of Linux's <linux/prctl.h>.
PR_SET_PDEATHSIG = 1
LONGEST_TEXT = 4096

# The names of the specification.
TYPE_NAMES = {
    GGUFValueType.UINT8: "u8",
    GGUFValueType.INT8: "i8",
    GGUFValueType.UINT16: "u16",
    GGUFValueType.INT16: "i16",
    GGUFValueType.UINT32: "u32",
    GGUFValueType.INT32: "i32",
    GGUFValueType.FLOAT32: "f32",
    GGUFValueType.BOOL: "bool",
    GGUFValueType.STRING: "string",
    GGUFValueType.ARRAY: "array",
    GGUFValueType.UINT64: "u64",
    GGUFValueType.INT64: "i64",
    GGUFValueType.FLOAT64: "f64",
}

# The reader puts the header among the fields, under names of its own, and refuses keys of these names as duplicates.
HEADER = ("GGUF.version", "GGUF.tensor_count", "GGUF.kv_count")


def escape(text):
    """Text as `vocabulary::escape` writes it. The library has decoded it already, so no byte is left that is not UTF-8."""
    encoded = text.encode()
    if len(encoded) > LONGEST_TEXT:
        digest = 0xCBF29CE484222325
        for byte in encoded:
            digest = (digest ^ byte) * 0x100000001B3 % 2**64
        return f"<{len(encoded)} bytes, fnv1a {digest:016x}>"
    return text.replace("\\", "\\\\")


def scalar(value, type_name):
    """One value as `vocabulary::ReadValue`."""
    if isinstance(value, str):
        return {"kind": "text", "text": escape(value)}
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float) and not math.isfinite(value):
        text = "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    else:
        text = repr(value)
    return {"kind": "number", "type": type_name, "text": text}


def field_value(field):
    """The value of a field. Of an array of arrays, `contents` gives the elements of all of them in one list."""
    contents = field.contents()
    if field.types[0] != GGUFValueType.ARRAY:
        return scalar(contents, TYPE_NAMES[field.types[0]])
    # Of an empty array the reader keeps no element type.
    element_type = TYPE_NAMES[field.types[-1]] if len(field.types) > 1 else None
    array = {"kind": "array", "values": [scalar(value, element_type) for value in contents]}
    return array if element_type is None else {**array, "type": element_type}


def tensor_entry(tensor, data_offset):
    """One row of the tensor table. The reader's `shape` is in file order; its offset counts from the beginning of the file."""
    return {
        "name": escape(tensor.name),
        "dimensions": [str(dimension) for dimension in tensor.shape.tolist()],
        "type": int(tensor.tensor_type),
        "offset": str(int(tensor.data_offset) - int(data_offset)),
    }


def contents(path):
    """What the reader finds in the file, as `vocabulary::Contents`."""
    reader = gguf.GGUFReader(path)
    fields = [(name, field) for name, field in reader.fields.items() if name not in HEADER]
    return {
        "version": reader.fields["GGUF.version"].contents(),
        "data_offset": str(int(reader.data_offset)),
        "metadata": [{"key": escape(name), "value": field_value(field)} for name, field in fields],
        "tensors": [tensor_entry(tensor, reader.data_offset) for tensor in reader.tensors],
    }


def rejected(error):
    """The answer for an exception. The library has no exceptions of its own; what it checks itself are `ValueError`s."""
    if isinstance(error, ValueError):
        failure = "malformed"
    elif isinstance(error, OSError):
        failure = "unreadable"
    else:
        failure = "other"
    # numpy has a name of its own for it, and says how much memory there was not.
    name = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    text = "" if isinstance(error, MemoryError) else str(error)
    return {"response": "rejected", "stage": "read", "class": failure, "message": f"{name}: {text}" if text else name}


def answer(request):
    """The answer to one request."""
    if request["request"] != "read":
        return {"response": "unsupported", "reason": "gguf-py reads files and runs nothing"}
    try:
        return {"response": "contents", "contents": contents(request["file"])}
    except Exception as error:
        return rejected(error)


def main():
    """Says hello and answers until stdin ends."""
    # A harness that was killed limits nothing any more, and reading a hostile file can take all the memory there is.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # Nothing but answers may reach stdout, whatever the library prints.
    out, sys.stdout = sys.stdout, sys.stderr

    def say(message):
        print(json.dumps(message, separators=(",", ":")), file=out, flush=True)

    description = {
        "runtime": f"gguf-py {importlib.metadata.version('gguf')}",
        "device": "",
        "driver": "",
        "features": [f"Python {platform.python_version()}", f"numpy {numpy.__version__}"],
        "software": False,
    }
    say({"response": "hello", "protocol": PROTOCOL, "description": description})
    for line in sys.stdin:
        say(answer(json.loads(line)))


if __name__ == "__main__":
    main()
