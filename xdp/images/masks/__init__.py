"""Which pixels may be used, and the files that say so."""
