"""Encode passages and search them: dense, lexical, and both fused, over an immutable snapshot."""

import os

# onnxruntime (from 1.29 on) reports its use to its maker, unless it is told not to before it is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# numpy's matrix products here are of some ten rows: sharing them out among threads costs more than they do. On two busy cores
# a question takes 71 ms of processor time with one thread and 183 ms with two (2026-11). Read when numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
