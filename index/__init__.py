"""Encode passages and search them: dense, lexical, and both fused, over an immutable snapshot."""
