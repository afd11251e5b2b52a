"""The programs that answer questions line by line, each run by the Python of its own environment."""
