"""The schema of the complaints, whose labels are made by other functions here."""

from pipelines.domains.complaints.schema import SCHEMA, RawSchema, normalize, to_records

__all__ = ["SCHEMA", "RawSchema", "normalize", "to_records"]
