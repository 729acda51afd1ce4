"""Stills as integration leaves them, with truth."""
