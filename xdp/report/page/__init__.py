"""Reports as pages: what a data set holds, what is wrong with it, plots of it."""
