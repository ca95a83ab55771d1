"""The help desk domain and its checkout, for every test of this folder."""

from tests.factories.tickets import checkout

__all__ = ["checkout"]
