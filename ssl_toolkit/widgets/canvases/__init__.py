"""What is drawn in the browser: grids, chains, scatters, tables and masks, each an anywidget with one script."""
