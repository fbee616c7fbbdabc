"""The keys of the Annotate widget: one table that binds them and prints the help."""

from __future__ import annotations

import sys
from dataclasses import dataclass

# The key of menu commands: Cmd on a Mac, Ctrl elsewhere.
_MENU = "Meta" if sys.platform == "darwin" else "Control"


@dataclass(frozen=True)
class KeyAction:
    """Keys that do one thing.

    Parameters
    ----------
    keys : tuple of str
        In napari's spelling, such as ``Shift-X``; the first one is shown on buttons.
    command : str
        Name of a method of `widgets.document.LabelsDocument` or of its session.
    title : str
        What it does, in words for the help.
    argument : int, optional
        Passed to the command.
    """

    keys: tuple[str, ...]
    command: str
    title: str
    argument: int | None = None

    @property
    def shown(self) -> str:
        """The first key as people know it."""
        return readable(self.keys[0])


MOUSE = (
    ("Click", "place the keypoint that is asked for, or select the point that is there"),
    ("Shift + click", "place it as occluded: hidden, but you know where it is"),
    ("Ctrl + click", "place it even on top of another point"),
    ("Drag a point", "move it"),
    ("Drag elsewhere, wheel", "move the picture, zoom"),
)

KEYS: dict[str, tuple[KeyAction, ...]] = {
    "Keypoints": (
        KeyAction(("E",), "toggle_occluded", "occluded or visible: the selected keypoint"),
        KeyAction(("Q",), "skip", "skip: this keypoint cannot be seen or guessed"),
        KeyAction(("X", "Delete", "Backspace"), "delete_keypoint", "delete the selected keypoint"),
        KeyAction(("D",), "step_keypoint", "next keypoint", 1),
        KeyAction(("A",), "step_keypoint", "previous keypoint", -1),
        KeyAction(
            ("T",),
            "toggle_walk",
            "one keypoint, many frames: after a click the next frame comes",
            1,
        ),
        KeyAction(("Shift-T",), "toggle_walk", "the same on the labelled frames", 2),
    ),
    "Animals": (
        KeyAction(("Enter",), "new_animal", "this animal is done: begin the next one"),
        KeyAction(("S",), "step_animal", "next animal of the frame", 1),
        KeyAction(("W",), "step_animal", "previous animal of the frame", -1),
        KeyAction(("Shift-X", "Shift-Delete"), "delete_animal", "delete the selected animal"),
        KeyAction(("M",), "swap_sides", "swap left and right of the animal"),
        *(
            KeyAction((str(n),), "set_track", f"the animal is number {n} on all frames", n - 1)
            for n in range(1, 10)
        ),
        KeyAction(("0",), "set_track", "the animal has no number", -1),
    ),
    "Frames": (
        KeyAction(("F",), "step_labelled", "next labelled frame", 1),
        KeyAction(("R",), "step_labelled", "previous labelled frame", -1),
        KeyAction(("B",), "go_to_last_edit", "back to the frame edited last"),
        KeyAction(("G",), "ask_frame", "go to a frame: type its number, then ⏎"),
        KeyAction(("J",), "step_suggestion", "next suggested frame (see Suggest)", 1),
        KeyAction(("Shift-J",), "step_suggestion", "previous suggested frame", -1),
        KeyAction(("P",), "accept_predictions", "make the predictions on this frame labels"),
        KeyAction(("C",), "copy_from", "copy the animals of the previous labelled frame", -1),
        KeyAction(("Shift-C",), "copy_from", "copy the animals of the next labelled frame", 1),
        KeyAction(("N",), "toggle_negative", "there is no animal on this frame"),
    ),
    "Undo": (
        KeyAction((f"{_MENU}-Z",), "undo", "undo"),
        KeyAction((f"{_MENU}-Shift-Z", f"{_MENU}-Y"), "redo", "redo"),
    ),
    "View": (
        KeyAction(("K",), "toggle_colors", "colour by keypoint or by animal"),
        KeyAction(("L",), "toggle_lines", "show or hide the lines of the skeleton"),
        KeyAction(("H",), "show_keys", "this help"),
    ),
}

EDITS = frozenset(
    {
        "accept_predictions",
        "copy_from",
        "delete_animal",
        "delete_keypoint",
        "redo",
        "set_track",
        "swap_sides",
        "toggle_negative",
        "toggle_occluded",
        "undo",
    }
)
"""Commands that change labels."""

_NAPARI = (("← →", "previous, next frame"), ("V", "show or hide the labels"))


def actions() -> list[KeyAction]:
    """Return all rows of the table."""
    return [action for group in KEYS.values() for action in group]


def key_of(command: str, argument: int | None = None) -> str:
    """Return the key of a command, for a button or a tooltip."""
    return next(a.shown for a in actions() if (a.command, a.argument) == (command, argument))


def readable(key: str) -> str:
    """Spell a key as it is printed on keyboards."""
    names = {
        "Shift": "⇧",
        "Enter": "⏎",
        "Delete": "Del",
        "Backspace": "⌫",
        "Control": "Ctrl+",
        "Meta": "⌘",
    }
    return "".join(names.get(part, part) for part in key.split("-"))


def help_html() -> str:
    """Return the table as HTML, for a label or a text browser."""
    groups: list[tuple[str, list[tuple[str, str]]]] = [("Mouse", list(MOUSE))]
    for name, rows in KEYS.items():
        lines: list[tuple[str, str]] = []
        for action in rows:
            if action.command == "set_track" and action.argument not in (0, -1):
                continue  # nine rows say the same
            keys = " ".join(readable(k) for k in action.keys)
            if action.command == "set_track" and action.argument == 0:
                lines.append(("1 … 9", "the animal has this number on all frames"))
            else:
                lines.append((keys, action.title))
        groups.append((name, lines))
    groups.append(("napari", list(_NAPARI)))
    parts = []
    for name, lines in groups:
        cells = "".join(
            f"<tr><td style='padding-right:10px; white-space:nowrap'><b>{key}</b></td>"
            f"<td>{text}</td></tr>"
            for key, text in lines
        )
        parts.append(f"<p style='margin:8px 0 2px 0'><b>{name}</b></p><table>{cells}</table>")
    return "".join(parts)
