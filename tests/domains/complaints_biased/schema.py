"""The schema of the complaints, whose labels are made by other functions here."""

from pipelines.domains.complaints.schema import SCHEMA, RawSchema, normalise, to_records

__all__ = ["SCHEMA", "RawSchema", "normalise", "to_records"]
