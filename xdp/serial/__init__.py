"""Serial experiments: shots of files and LCLS streams, calibration, geometry files, hits, cells over many shots."""
