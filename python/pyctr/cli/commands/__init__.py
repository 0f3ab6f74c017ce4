"""One module a family of commands; a function a command: (engine, options, arguments) -> exit code."""
