"""The model registry: models and their versions on disk, and the exports that versions are copied from.

| file | job |
|---|---|
| `reading.py` | models and versions as they are: list, describe, find the one that answers |
| `store.py` | the same, and what changes them: create, update, set the default and the traffic, delete |
| `documents.py` | the JSON files that say what a model or version is; the lock for whoever changes one |
| `resources.py` | a model and a version as plain values; what they may be called |
| `traffic.py` | requests shared out over versions in whole percent |
| `intake.py` | an export on its way into the store: examined, then copied |
| `exports.py` | the folder that holds a model |
| `copying.py` | a version is copied in whole or not at all |

Knows export folders, and from the table of the runtimes which files are models; nothing here runs or asks one.
"""

__all__: list[str] = []
