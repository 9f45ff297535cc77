"""Which photos to label next: asks a served model about them, and ranks them by how much their labels would teach."""
