"""The model registry: models and their versions on disk, and the exports that versions are copied from.

| file | job |
|---|---|
| `store.py` | models and versions: create, list, describe, set the default, delete |
| `resources.py` | a model and a version as plain values; what they may be called |
| `traffic.py` | requests shared out over versions in whole percent |
| `exports.py` | the folder that holds a model |
| `copying.py` | a version is copied in whole or not at all |

Knows export folders; nothing here knows how a model is run or asked.
"""

__all__: list[str] = []
