"""From the weights of a BERT-type sentence encoder to an ONNX graph, without torch.

Only this module imports `onnx`, and only when a graph is built. The graph takes `input_ids` and `attention_mask`, int64[n, s],
and gives `embedding` (float32[n, d]), pooled and L2-normalised. Its weights lie beside it in one file that ONNX Runtime maps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRAPH_VERSION = 1
"""Grows whenever the same weights would give another graph: cached graphs of other versions are not used."""
GRAPH_FILE = "model.onnx"
WEIGHTS_FILE = "weights.bin"
OPSET = 20  # the first with Gelu; LayerNormalization came with 17
ACTIVATIONS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
_ALIGNMENT = 65_536  # the largest page size in use (arm64), so that a mapped tensor begins on a page of its own


@dataclass(frozen=True, slots=True)
class BertShape:
    """What a BERT configuration says that its weights don't."""

    layers: int
    heads: int
    epsilon: float
    activation: str
    pooling: Literal["mean", "cls"]


def write_graph(folder: Path, tensors: Mapping[str, NDArray[Any]], shape: BertShape, *, half: bool) -> None:
    """Write GRAPH_FILE and WEIGHTS_FILE. `half` stores float16, half the size: ONNX Runtime widens the layers once at load,
    and of the word embeddings only the rows that a text needs.

    Raises KeyError where a tensor is missing.
    """
    import onnx  # noqa: PLC0415

    with (folder / WEIGHTS_FILE).open("wb") as weights:
        graph = _Graph(weights, np.dtype(np.float16 if half else np.float32))
        graph.encoder(tensors, shape)
        model = onnx.helper.make_model(
            graph.proto(int(tensors["embeddings.LayerNorm.weight"].shape[0])),
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=9,  # the version that came with opset 20: readable by every ONNX Runtime that knows the operators
            producer_name="mcp-memory",
        )
    (folder / GRAPH_FILE).write_bytes(model.SerializeToString(deterministic=True))


class _Graph:
    """Collects nodes and initializers; values are named by what makes them."""

    def __init__(self, weights: BinaryIO, stored: np.dtype[Any]) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.weights = weights
        self.stored = stored

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        import onnx  # noqa: PLC0415

        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        import onnx  # noqa: PLC0415

        name = f"constant_{len(self.initializers)}"
        self.initializers.append(onnx.numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def weight(self, name: str, array: NDArray[Any], *, widen: bool = True) -> str:
        """An initializer in the weights file, as float32 unless `widen` is off."""
        import onnx  # noqa: PLC0415

        self.weights.write(b"\0" * (-self.weights.tell() % _ALIGNMENT))
        data = np.ascontiguousarray(array, self.stored)
        tensor = onnx.TensorProto(name=name, dims=data.shape, data_location=onnx.TensorProto.EXTERNAL)
        tensor.data_type = onnx.helper.np_dtype_to_tensor_dtype(data.dtype)
        place = {"location": WEIGHTS_FILE, "offset": self.weights.tell(), "length": data.nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self.weights.write(data.data)
        self.initializers.append(tensor)
        return self.wide(name) if widen else name

    def wide(self, name: str) -> str:
        return name if self.stored == np.float32 else self.node("Cast", name, to=1)

    def linear(self, x: str, prefixes: list[str], tensors: Mapping[str, NDArray[Any]]) -> str:
        """x W^T + b; several layers of the same input become one product."""
        matrix = np.concatenate([tensors[f"{prefix}.weight"] for prefix in prefixes]).T
        bias = np.concatenate([tensors[f"{prefix}.bias"] for prefix in prefixes])
        product = self.node("MatMul", x, self.weight(f"{prefixes[0]}.weight", matrix))
        return self.node("Add", product, self.weight(f"{prefixes[0]}.bias", bias))

    def norm(self, x: str, prefix: str, tensors: Mapping[str, NDArray[Any]], epsilon: float) -> str:
        scale, bias = (self.weight(f"{prefix}.{part}", tensors[f"{prefix}.{part}"]) for part in ("weight", "bias"))
        return self.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon)

    def encoder(self, tensors: Mapping[str, NDArray[Any]], shape: BertShape) -> None:
        """Embeddings, transformer layers (post-norm, as in BERT), pooling, normalisation."""
        width = int(tensors["embeddings.LayerNorm.weight"].shape[0])
        words = self.weight("words", tensors["embeddings.word_embeddings.weight"], widen=False)
        # One sentence at a time: token type 0 throughout, so its row is added to the positions once and for all.
        places = (
            tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
        )
        length = self.node("Shape", "input_ids", start=1, end=2)
        positions = self.node("Slice", self.weight("positions", places), self.constant([0]), length, self.constant([0]))
        x = self.node("Add", self.wide(self.node("Gather", words, "input_ids")), positions)
        x = self.norm(x, "embeddings.LayerNorm", tensors, shape.epsilon)

        mask = self.node("Cast", "attention_mask", to=1)
        absent = self.node("Sub", self.constant(1, np.float32), self.node("Unsqueeze", mask, self.constant([1, 2])))
        bias = self.node("Mul", absent, self.constant(np.finfo(np.float32).min, np.float32))
        split = self.constant([0, 0, 3 * shape.heads, width // shape.heads])
        joined = self.constant([0, 0, width])
        scale = self.constant(1 / math.sqrt(width // shape.heads), np.float32)
        for number in range(shape.layers):
            layer = f"encoder.layer.{number}"
            projected = self.linear(
                x, [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")], tensors
            )
            heads = self.node("Transpose", self.node("Reshape", projected, split), perm=[0, 2, 1, 3])
            bounds = [self.constant([part * shape.heads]) for part in range(4)]
            query, key, value = (
                self.node("Slice", heads, *bounds[part : part + 2], self.constant([1])) for part in range(3)
            )
            scores = self.node("MatMul", self.node("Mul", query, scale), self.node("Transpose", key, perm=[0, 1, 3, 2]))
            weights = self.node("Softmax", self.node("Add", scores, bias), axis=-1)
            context = self.node("Transpose", self.node("MatMul", weights, value), perm=[0, 2, 1, 3])
            attended = self.linear(self.node("Reshape", context, joined), [f"{layer}.attention.output.dense"], tensors)
            x = self.norm(self.node("Add", attended, x), f"{layer}.attention.output.LayerNorm", tensors, shape.epsilon)
            inner = self.node(
                "Gelu",
                self.linear(x, [f"{layer}.intermediate.dense"], tensors),
                approximate=ACTIVATIONS[shape.activation],
            )
            outer = self.linear(inner, [f"{layer}.output.dense"], tensors)
            x = self.norm(self.node("Add", outer, x), f"{layer}.output.LayerNorm", tensors, shape.epsilon)

        if shape.pooling == "cls":
            pooled = self.node("Gather", x, self.constant(0), axis=1)
        else:
            # The sum instead of the mean: the norm that follows takes the factor out.
            column = self.node("Unsqueeze", mask, self.constant([2]))
            pooled = self.node("ReduceSum", self.node("Mul", x, column), self.constant([1]), keepdims=0)
        self.node("LpNormalization", pooled, axis=-1, p=2)

    def proto(self, width: int) -> Any:
        import onnx  # noqa: PLC0415

        ids = [onnx.helper.make_tensor_value_info(name, 7, ["n", "s"]) for name in ("input_ids", "attention_mask")]
        self.nodes[-1].output[0] = "embedding"
        output = onnx.helper.make_tensor_value_info("embedding", 1, ["n", width])
        return onnx.helper.make_graph(self.nodes, "sentence_encoder", ids, [output], self.initializers)
