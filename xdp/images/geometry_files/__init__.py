"""Geometry files of other programs: CrystFEL's .geom and LCLS' .data."""
