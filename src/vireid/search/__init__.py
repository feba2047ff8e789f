"""Search: filling galleries with people's pictures, and asking them. No torch in here."""
