"""The warning about samples that the sheet does not have."""

import warnings


def say_left_out(names: list[str], source: str) -> None:
    """Warn that counts of these samples were left out, if there are any."""
    if names:
        more = " and others" if len(names) > 5 else ""
        warnings.warn(
            f"{source}: {len(names)} samples are not in the sample sheet and were left out: {names[:5]}{more}.",
            UserWarning,
            stacklevel=2,
        )
