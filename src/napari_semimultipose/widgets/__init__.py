"""The dock widgets: Qt stays in this room, arithmetic on poses and tensors outside."""
