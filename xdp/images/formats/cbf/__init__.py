"""CBF files: mini CBF, full imgCIF, and the compressions of both."""
