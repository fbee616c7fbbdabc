"""What a path may be."""

from __future__ import annotations

import os

FilePath = str | os.PathLike[str]
