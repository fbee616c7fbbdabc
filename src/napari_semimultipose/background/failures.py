"""From exceptions to the last event of a piece of work."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from napari_semimultipose.errors import SemiMultiPoseError
from napari_semimultipose.training.events import Failed

logger = logging.getLogger(__name__)


def guarded(make_events: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """Yield the events; an exception becomes a last `Failed` event.

    Errors meant for users give their text, all others their type and, for a report, the traceback.
    """
    try:
        yield from make_events()
    except SemiMultiPoseError as error:
        yield Failed(str(error))
    except Exception as error:
        logger.exception("the work in the background failed")
        text = str(error).strip() or "no further information"
        yield Failed(f"{type(error).__name__}: {text}", traceback.format_exc())
