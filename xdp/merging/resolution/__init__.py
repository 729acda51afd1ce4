"""How far scaled data reach: limits of resolution by several measures."""
