"""From photos on disk to a published version: one stage, one file, one function."""
