"""The keys of the Review widget: one table that binds them and prints the help."""

from __future__ import annotations

from napari_semimultipose.widgets.keys import KeyAction, readable

KEYS: tuple[KeyAction, ...] = (
    KeyAction(("N",), "next_problem", "next problem", 1),
    KeyAction(("Shift-N",), "next_problem", "previous problem", -1),
    KeyAction(("F",), "mark_fine", "this is fine: on to the next one"),
    KeyAction(("R",), "repair", "the usual repair of this problem"),
    KeyAction(("S",), "swap", "swap the two chosen animals"),
    KeyAction(("A",), "assign", "the first animal is the second one"),
    KeyAction(("M",), "merge", "merge the second animal into the first one, on all frames"),
    KeyAction(("T",), "split", "the first animal is a new one from this frame on"),
    KeyAction(("D",), "delete", "delete the first animal"),
    KeyAction(("I",), "interpolate", "replace its poses by lines between those around them"),
    KeyAction(("Control-Z",), "undo", "take the last change back"),
    KeyAction(("Control-Shift-Z", "Control-Y"), "redo", "do it again"),
)


def key_of(command: str, argument: int | None = None) -> str:
    """Return the key of a command, for a button or a tooltip."""
    return next(a.shown for a in KEYS if (a.command, a.argument) == (command, argument))


def help_html() -> str:
    """Return the table as HTML."""
    rows = [
        ("Click an animal", "choose it as the first one"),
        ("Shift + click", "choose it as the second one"),
        *((" ".join(readable(k) for k in action.keys), action.title) for action in KEYS),
    ]
    cells = "".join(
        f"<tr><td style='padding-right:10px; white-space:nowrap'><b>{key}</b></td><td>{text}</td></tr>"
        for key, text in rows
    )
    return f"<table>{cells}</table>"
