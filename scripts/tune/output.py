"""What is printed: a line for each outcome, or one JSON object with all of them."""
import json
from itertools import groupby

SIGNS = {"change": "~", "ok": "=", "absent": ".", "advice": "?", "harmful": "!", "set": ">", "failed": "!",
         "restored": "<", "already": "=", "left": "!", "elsewhere": "!", "gone": "."}
REASONED = ("change", "set", "advice", "harmful")  # Whose lines end with the row's reason.


def alike(outcome):
    return outcome.state, outcome.row or outcome.path, outcome.current, outcome.wanted, outcome.note


def print_lines(outcomes):
    """Files of one row that have the same to say share a line."""
    for _, group in groupby(outcomes, key=alike):
        first, *others = group
        path = f"{first.row.path} ({1 + len(others)} files)" if others else first.path
        why = f"   # {first.row.why}" if first.row and first.state in REASONED else ""
        print(f"{SIGNS[first.state]} {path:<46} {text_of(first)}{why}")


def text_of(outcome):
    if outcome.state == "absent":
        return f"absent: {outcome.note}"
    if outcome.state == "advice":
        return f"{outcome.current or 'not there'}, by hand"
    note = f": {outcome.note}" if outcome.note else ""
    if outcome.state in ("change", "set", "failed", "restored"):
        return f"{outcome.current} -> {outcome.wanted}{note}"
    return outcome.current + note


def as_dictionary(outcome):
    row = outcome.row
    about = {"class": row.kind, "profile": row.profile, "why": row.why} if row else {}
    return {"state": outcome.state, "path": outcome.path, "current": outcome.current,
            "wanted": outcome.wanted, "note": outcome.note, **about}


def print_json(verb, outcomes, **more):
    print(json.dumps({"verb": verb, **more, "outcomes": [as_dictionary(outcome) for outcome in outcomes]}))
