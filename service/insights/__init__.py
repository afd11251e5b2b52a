"""What the operator learns from the question log: figures, topics, a summary for the terminal and a page with plots."""

from service.insights.report import page

__all__ = ["page"]
