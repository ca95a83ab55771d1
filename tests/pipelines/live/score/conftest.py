"""The checkout of tickets in which scoring runs."""

from tests.factories.tickets import checkout

__all__ = ["checkout"]
