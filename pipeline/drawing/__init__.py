"""Training photos that nobody took: more surfaces, cracks and lenses than the demo set, each with its exact mask."""
