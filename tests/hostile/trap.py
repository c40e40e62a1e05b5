"""What a hostile file would have called; nothing here may ever run."""

SPRUNG: list[str] = []


def spring(*given: object, **options: object) -> None:
    """Tell that a function that a file names was called."""
    SPRUNG.append(f"spring{given}{options}")


class Trap:
    """Of no kind that evoforge knows."""

    def __init__(self, *given: object, **options: object) -> None:
        spring(*given, **options)
