"""Where a stage runs: in containers or in a virtual environment. Standard library only, on the system's own Python."""

# Exit codes; docs/reference.md has them beside those of the stages.
EXIT_USAGE = 2
EXIT_SERVING = 6
EXIT_WRONG_PYTHON = 7
EXIT_CANNOT_INSTALL = 8
EXIT_NO_DOCKER = 9
