"""Read help pages and clean them into articles and passages."""
