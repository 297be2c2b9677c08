"""The library that makes figures answer: Vega, Vega-Lite and Vega-Embed as one script.

vl-convert carries it and takes seconds to put it together, so it is kept in the cache.
"""

from __future__ import annotations

import contextlib
import functools

from bench.core.record import write_atomically
from bench.data.sources import cache_folder
from bench.report.figures import converter


@functools.lru_cache(maxsize=1)
def library() -> str:
    """The script, safe inside a page; the same for each version of vl-convert."""
    tool = converter()
    name = f"vega-{tool.get_vega_version()}-embed-{tool.get_vega_embed_version()}.js"
    path = cache_folder() / "report" / name
    if path.is_file():
        return path.read_text(encoding="utf-8")
    script: str = tool.javascript_bundle().replace("</script", r"<\/script")
    with contextlib.suppress(OSError):  # a full disk costs the seconds again, nothing else
        write_atomically(path, script.encode())
    return script
