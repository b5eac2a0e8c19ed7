"""ONNX weights: stored once, in the smallest number format that holds them exactly.

An exporter writes every weight in float32.  The starter's are in 8 and 16 bits, so its export would have four
times its size; and they are in ``model.safetensors`` already, to which an ONNX file can refer by offset.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = "model.safetensors"

_SMALL = 1024
"""Bytes of a weight that is not changed."""

_FORMATS: tuple[tuple[Any, int], ...] = (
    (ml_dtypes.float8_e4m3fn, TensorProto.FLOAT8E4M3FN),
    (np.float16, TensorProto.FLOAT16),
    (np.float32, TensorProto.FLOAT),
)
"""Number formats from the smallest on."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Bytes in a file."""

    file: str
    offset: int
    length: int


def save(model: onnx.ModelProto, path: Path) -> list[str]:
    """Write an ONNX model, and beside it the weights that are not in ``model.safetensors`` there.

    Returns
    -------
    list of str
        Names of the files.
    """
    for part in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.value_info,
    ):
        del part.metadata_props[:]  # traces of the exporter
        part.doc_string = ""
    known = _known(path.parent / WEIGHTS)
    own = path.with_name(f"{path.name}.data")
    nodes: list[onnx.NodeProto] = []
    weights: list[TensorProto] = []
    with own.open("wb") as data:
        for weight in model.graph.initializer:
            array = numpy_helper.to_array(weight)
            if array.dtype != np.float32 or array.nbytes < _SMALL:
                weights.append(numpy_helper.from_array(array, weight.name))
                continue
            kept, made = _stored(weight.name, array, known, data, own.name)
            weights += kept
            nodes += made
        size = data.tell()
    if not size:
        own.unlink()
    old = list(model.graph.node)
    del model.graph.initializer[:]
    del model.graph.node[:]
    model.graph.initializer.extend(weights)
    model.graph.node.extend([*nodes, *old])
    onnx.save(model, path)
    return [path.name, own.name] if size else [path.name]


def _stored(
    name: str, array: NDArray[np.float32], known: Mapping[bytes, _Place], data: Any, file: str
) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    """Tensors for a weight, and the nodes that make the weight of them."""
    small, kind = _smallest(array)
    turned = array.ndim == 2  # noqa: PLR2004 - products have their weight the other way round than torch
    for layout in (small.T, small) if turned else (small,):
        for count in (1, 3):  # query, key and value are one product
            parts = np.split(layout, count) if len(layout) % count == 0 else []
            places = [known.get(_digest(part, kind)) for part in parts]
            if parts and None not in places:
                return _assembled(name, kind, parts, places, turned=layout is not small)  # type: ignore[arg-type]
    place = _Place(file, data.tell(), small.nbytes)
    data.write(small.tobytes())
    return _assembled(name, kind, [small], [place], turned=False)


def _assembled(
    name: str, kind: int, parts: list[NDArray[Any]], places: list[_Place], *, turned: bool
) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    """Join parts, convert them to float32, and turn them, as far as needed; ``name`` is the result."""
    tensors, nodes, inputs = [], [], []

    def step(operator: str, given: list[str], *, last: bool, **attributes: Any) -> str:
        output = name if last else f"{given[0]}.{operator.lower()}"
        nodes.append(helper.make_node(operator, given, [output], **attributes))
        return output

    joined, exact = len(parts) > 1, kind == TensorProto.FLOAT
    for number, (part, place) in enumerate(zip(parts, places, strict=True)):
        given = name if exact and not joined and not turned else f"{name}.{number}"
        tensors.append(_external(given, part, place, kind))
        if not exact:  # before the others, which do not take 8 bits
            given = step("Cast", [given], last=not joined and not turned, to=TensorProto.FLOAT)
        inputs.append(given)
    if joined:
        inputs = [step("Concat", inputs, last=not turned, axis=0)]
    if turned:
        step("Transpose", inputs, last=True, perm=[1, 0])
    return tensors, nodes


def _external(name: str, part: NDArray[Any], place: _Place, kind: int) -> TensorProto:
    tensor = TensorProto(name=name, data_type=kind, dims=part.shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", place.file), ("offset", place.offset), ("length", place.length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _smallest(array: NDArray[np.float32]) -> tuple[NDArray[Any], int]:
    """Return an array in the smallest format that holds it exactly, and that format's number."""
    with np.errstate(over="ignore", invalid="ignore"):
        for dtype, kind in _FORMATS:
            small = array.astype(dtype)
            if np.array_equal(small.astype(np.float32), array):
                return small, kind
    return array, TensorProto.FLOAT


def _known(path: Path) -> dict[bytes, _Place]:
    """Tensors of a safetensors file, by content; none if there is no such file, or only a link to one.

    ONNX Runtime follows no link out of the directory.
    """
    if not path.is_file() or path.is_symlink():
        return {}
    kinds = {"F8_E4M3": TensorProto.FLOAT8E4M3FN, "F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        found = {}
        for name, tensor in header.items():
            if name == "__metadata__" or tensor["dtype"] not in kinds:
                continue
            begin, end = tensor["data_offsets"]
            file.seek(8 + size + begin)
            key = _key(file.read(end - begin), tuple(tensor["shape"]), kinds[tensor["dtype"]])
            found[key] = _Place(path.name, 8 + size + begin, end - begin)
    return found


def _digest(part: NDArray[Any], kind: int) -> bytes:
    return _key(part.tobytes(), part.shape, kind)


def _key(content: bytes, shape: tuple[int, ...], kind: int) -> bytes:
    return hashlib.blake2b(content).digest() + repr((shape, kind)).encode()
