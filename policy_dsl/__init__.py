"""The policy language: text to a checked policy (`loading.load`), and that to fast code (`compiled.compile_policy`)."""
