"""Integrated reflections for other programs: MTZ, XDS_ASCII, SHELX, mmCIF, PETS, JSON."""
