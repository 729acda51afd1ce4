"""The cells of all shots together: candidates of single shots are pooled, and the crystal forms of a run found."""
