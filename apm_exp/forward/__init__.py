"""The parts of the pair forward: the row, its attention, the output head, and the padded form."""
