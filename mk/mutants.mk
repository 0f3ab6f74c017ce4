.PHONY: mutants
mutants: setup ## each security rule taken out of a copy of the tree: a test has to fail (an hour)
	$(BIN)/python -m tests.mutants
