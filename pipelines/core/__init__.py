"""What two stages share: small and slow to change."""
