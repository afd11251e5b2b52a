"""How an encoder is made small: data only, so that an exported encoder is found without loading what exports one."""

from dataclasses import dataclass
from typing import Literal

Shape = Literal["narrowing", "widening", "square"]
"""Of a matrix: the FFN widens and then narrows, attention is square."""

FFN: tuple[Shape, ...] = ("narrowing", "widening")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How float32 weights become small ones.

    The defaults are what benchmarks/quantization.py measured best on 2026-11-22 for e5 and minilm: no loss of nDCG@10
    that shows, cosine with float32 .9995 and .9985. With one scale a text for the FFN's inputs, as quantizers do it, the
    cosines were .9976 and .9947, the time a tenth less.

    :ivar matmul: `int8`: one scale a column, activations one scale a text (DynamicQuantizeMatMul).
        `blocks8`, `blocks4`: 8 or 4 bits, a scale every 32 weights, activations likewise (MatMulNBits).
    :ivar embeddings: The word table in blocks of 32, with 8 or 4 bits (GatherBlockQuantized), or as it is.
    :ivar per_channel: Of `int8`: a scale for each column, or one for the matrix.
    :ivar reduce_range: Of `int8`: 7 bits. With 8, a processor with AVX2 but without VNNI saturates, and its vectors are
        not quite those of another (cosine .999 for e5 between this machine and an emulated Haswell; 1.0000 with 7 bits).
    :ivar by_token: Of `int8`: matrices whose input has a scale for each token instead of one for the text.
    :ivar keep: Matrices left in float32.
    """

    matmul: Literal["float", "int8", "blocks4", "blocks8"] = "int8"
    embeddings: Literal["float", "blocks4", "blocks8"] = "blocks8"
    per_channel: bool = True
    reduce_range: bool = False
    by_token: tuple[Shape, ...] = FFN
    keep: tuple[Shape, ...] = ()
