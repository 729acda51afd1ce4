"""Image file formats: each reads pixels and what the header says of beam, detector, goniometer and scan."""
