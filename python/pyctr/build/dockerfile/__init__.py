"""Reading a Dockerfile: text to instructions in stages. Pure; knows nothing of images or files."""
