"""HDF5 files: NXmx, Eiger, CXI, and how their frames are read and decoded."""
