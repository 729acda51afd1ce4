"""The one place that makes Dask clients."""
