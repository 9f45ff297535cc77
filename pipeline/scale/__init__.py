"""More photos than one machine does in a night: Spark as the engine of the stages, and answers to folders of photos."""
