"""The stream of the complaints: the same rows, so that only the labels differ."""

from pipelines.domains.complaints.simulator import duplicate_pairs, stream

__all__ = ["duplicate_pairs", "stream"]
