"""Encode passages and search them: dense, lexical, and both fused, over an immutable snapshot."""

import os

# onnxruntime (from 1.29 on) reports its use to its maker, unless it is told not to before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
