"""Image stacks in zarr stores: written, read, converted."""
