"""What is integrated: predicted reflections, their boxes, and the blocks of frames."""
