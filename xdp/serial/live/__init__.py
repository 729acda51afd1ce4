"""Serial runs while they go on."""
