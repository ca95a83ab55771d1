"""The help desk domain and its checkout, for every test of this folder."""

from tests.factories.tickets import after_ingest, checkout

__all__ = ["after_ingest", "checkout"]
