"""A user's own packages: checked, built, copied to where the job runs, so that later edits do not reach it.

| file | what |
|---|---|
| package | is the folder a package, and is the module there? |
| bundle | what comes with one job: built, kept beside it, unpacked |
| sdist | a source distribution, packed here or built by the project's own backend |
| archive, tree | archives unpacked, folders walked, with nothing in them trusted |
| requirements | what packages ask for, beside what is installed |
"""

from __future__ import annotations

__all__: list[str] = []
