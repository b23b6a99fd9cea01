"""Components that no file of the project names: a package of another author, as far as the project can tell."""
