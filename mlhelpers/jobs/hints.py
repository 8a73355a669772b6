"""What usually lies behind a trainer's end, from its exit code and its last lines. Needs the standard library alone."""

from __future__ import annotations

import re
import signal

__all__ = ["DISK_FULL", "PREDICTION_FAILED", "STUDY_FAILED", "cause", "ending", "is_permanent", "last_words"]
__all__ += ["obituary", "times"]

# how a controller of ours begins its last words, where it knows why it ends
STUDY_FAILED = "the study failed:"
PREDICTION_FAILED = "the prediction failed:"
DISK_FULL = "The disk is full: free some room, or send the results elsewhere."

_MODULES_OF_EXTRAS = {"tensorflow": "train", "keras": "train", "hypertune": "train", "matplotlib": "notebooks"}


def ending(exit_code: int) -> str:
    """Return how a process ended, in words: "exited with code 3", "was ended by the signal SIGKILL".

    Args:
        exit_code: As Python gives it: negative for a signal.
    """
    if exit_code >= 0:
        return f"exited with code {exit_code}"
    try:
        return f"was ended by the signal {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was ended by the signal {-exit_code}"


def times(count: int) -> str:
    """Return how often, in words: "once", "2 times"."""
    return "once" if count == 1 else f"{count} times"


def is_permanent(exit_code: int, lines: list[str]) -> bool:
    """Tell whether a trainer would fail again in the same way, however often it is started.

    So it is with wrong arguments (code 2, as argparse and Python itself give it), with the codes that sysexits.h keeps
    for wrong usage, data, input and settings, with what Python raises for an import or the syntax, and with a gs://
    address that the trainer opens by itself.

    Args:
        exit_code: As Python gives it: negative for a signal.
        lines: The last lines that the trainer printed.
    """
    if exit_code in _PERMANENT_CODES:
        return True
    return exit_code == 1 and (any(_SLIP.match(line) for line in lines[-3:]) or bool(_BUCKET.search("\n".join(lines))))


def cause(exit_code: int, lines: list[str]) -> str:
    """Return one sentence on the likely cause and its cure, or an empty text where none is known."""
    text = "\n".join(lines)
    if missing := re.search(r"No module named '?([\w.]+)", text):
        name = missing[1].split(".")[0]
        if extra := _MODULES_OF_EXTRAS.get(name):
            return f"The module {missing[1]!r} is not there for the trainer: pip install 'mlhelpers[{extra}]'"
        return (
            f"The module {missing[1]!r} is not there for the trainer: mend the import, or install the package that "
            "provides it (which may have another name)."
        )
    for pattern, sentence in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return sentence
    return _BY_CODE.get(exit_code, "")


_PERMANENT_CODES = (2, 64, 65, 66, 78)  # sysexits.h: EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_CONFIG
_SLIP = re.compile(
    r"(ModuleNotFound|Import|Syntax|Indentation|Tab)Error\b"
    r"|\S*python\S*: (No module named|can't open file|Error while finding module|No code object)"
)
_BUCKET = re.compile(
    r"(FileNotFoundError|NotFoundError|No such file|Could not find directory|when reading).*gs://"
    r"|gs://.*(No such file|not exist|not found)|File system scheme 'gs' not implemented|storage\.googleapis\.com"
    r"|metadata\.google\.internal|DefaultCredentialsError|No such file or directory: '(gsutil|gcloud)'",
    re.IGNORECASE,
)
_CAUSES = (
    (r"unrecognized arguments|no such option|unknown (command.?line )?flag|invalid choice|error: argument|"
     r"arguments are required|expected one argument",
     "The trainer does not take these arguments: see which it takes with  python -m MODULE --help"),
    (r"No space left on device|disk quota exceeded|File too large", DISK_FULL),
    (r"MemoryError|out of memory|ResourceExhausted|Cannot allocate memory",
     "Memory ran out: use a smaller batch, or close other programs."),
    (_BUCKET.pattern,
     "The trainer asked Cloud Storage by itself. Here a bucket is a folder, and only a gs:// address that is given as "
     "an argument becomes it: give the whole address as one, or take that folder from another argument."),
    (r"FileNotFoundError|No such file or directory",
     "A file is not where the trainer looks for it: give full paths in the arguments."),
    (r"PermissionError|Permission denied|Read-only file system",
     "The trainer may not write there: choose another folder."),
    (r"Address already in use", "Another program uses the same port: end it, or choose another port."),
    (r"SyntaxError|IndentationError", "The trainer's own source has a slip in the line named above."),
)  # fmt: skip
_BY_CODE = {
    -signal.SIGKILL: "SIGKILL from outside is mostly the system's answer to a lack of memory: use a smaller batch.",
    -signal.SIGTERM: "Somebody, or the machine when it was shut down, asked the trainer to end.",
    -signal.SIGINT: "The trainer was interrupted from outside.",
    -signal.SIGSEGV: "A compiled library crashed: check its version against this machine and Python.",
    -signal.SIGILL: "A compiled library uses instructions that this processor lacks: install another build of it.",
    2: "Code 2 mostly means wrong arguments: see which are taken with  python -m MODULE --help",
}


def last_words(lines: list[str]) -> str:
    """Return why a study or a prediction failed, from its controller's last lines; empty where it has not said."""
    starts = [at for at, line in enumerate(lines) if line.startswith((STUDY_FAILED, PREDICTION_FAILED))]
    return "\n".join(lines[starts[-1] :]).replace("the", "The", 1) if starts else ""


def obituary(who: str, exit_code: int, restarts: int, retries: int, hint: str, lines: list[str]) -> str:
    """Return what to tell of a failed job: how it ended, how often it was tried, the likely cause, its last lines.

    Args:
        who: Whose end it was: "The trainer", "The replica worker-replica-0".
        exit_code: As Python gives it: negative for a signal.
        restarts: How often the replica was started again.
        retries: How often the whole job was tried again.
        hint: The likely cause and its cure, or empty.
        lines: The last lines that it printed.
    """
    message = [f"{who} {ending(exit_code)}."]
    if restarts or retries:
        after = f", after the whole job had been tried again {times(retries)}." if retries else "."
        message.append(f"It had been started again {times(restarts)}{after}")
    if hint:
        message.append(f"Hint: {hint}")
    message += ["Its last lines:", *(f"  {line}" for line in lines)] if lines else ["It printed nothing."]
    return "\n".join(message)
