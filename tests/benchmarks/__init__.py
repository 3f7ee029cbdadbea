"""Speed and quality beside the peers: each file's `run()` gives its figures; `ssl-toolkit bench` runs them in turn."""
