"""Answer questions from a snapshot, with the exact passage as proof."""
