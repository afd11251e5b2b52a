"""The HTTP API under /v1: who may call what, and the routes."""
