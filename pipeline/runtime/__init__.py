"""Where a stage runs: in containers or in a virtual environment. Standard library only, on the system's own Python."""
