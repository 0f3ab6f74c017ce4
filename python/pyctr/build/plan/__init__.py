"""What is to be done: a graph of steps, and the image configs that come out."""
