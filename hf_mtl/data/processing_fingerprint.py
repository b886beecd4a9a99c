# SPDX-License-Identifier: Apache-2.0
"""Whether two tokenizers or image processors would encode rows alike, as far as their files say."""

import json
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

__all__ = ["processing_fingerprint"]

# What changes by use, or from one machine to the next, and not what rows become. A fast tokenizer
# keeps the truncation and the padding of its last call; and all of them, how they were loaded.
_IRRELEVANT = frozenset(
    {
        "_commit_hash",
        "is_local",
        "local_files_only",
        "name_or_path",
        "padding",
        "transformers_version",
    }
)
_IRRELEVANT_IN = {"tokenizer.json": _IRRELEVANT | {"truncation"}}


def processing_fingerprint(processing_class: Any) -> str:
    """Short name for what a tokenizer, image processor or processor would save.

    Equal ones have equal names, in every process and from every folder.

    Args:
        processing_class: The tokenizer, image processor or processor.
    """
    digest = blake2b(type(processing_class).__name__.encode(), digest_size=16)
    with TemporaryDirectory() as folder:
        processing_class.save_pretrained(folder)
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                digest.update(path.name.encode() + b"\0" + _content(path) + b"\0")
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".json":
        return content
    values = json.loads(content)
    if isinstance(values, dict):
        irrelevant = _IRRELEVANT_IN.get(path.name, _IRRELEVANT)
        values = {key: value for key, value in values.items() if key not in irrelevant}
    return json.dumps(values, sort_keys=True).encode()
