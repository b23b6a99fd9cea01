"""Messages of libraries, fit for a one-line error."""


def library_error(error: BaseException) -> str:
    """An error's class and message on one line of at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
