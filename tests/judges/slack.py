"""Judges what the bot says with Slack's own Python library (slack_sdk): reads JSON on stdin.

{"messages": [{"name", "message": {"text", "blocks"}}], "views": [{"name", "view"}],
 "signatures": [{"secret", "timestamp", "body", "signature"}]}

A block that the library does not know, refuses for its limits, or would write back differently is a fault.
"""

import json
import sys

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View
from slack_sdk.signature import SignatureVerifier

faults = []


def judge(name, given, read):
    try:
        back = read()
    except (SlackObjectFormationError, AttributeError, TypeError, KeyError) as error:
        faults.append(f"{name}: {type(error).__name__}: {error}")
        return
    if back != given:
        faults.append(f"{name}: comes back as {json.dumps(back)[:400]} and not {json.dumps(given)[:400]}")


asked = json.load(sys.stdin)
for item in asked["messages"]:
    blocks = item["message"]["blocks"]
    judge(item["name"], blocks, lambda: [block.to_dict() for block in Block.parse_all(blocks)])
for item in asked["views"]:
    judge(item["name"], item["view"], lambda: View(**item["view"]).to_dict())
for item in asked["signatures"]:
    made = SignatureVerifier(item["secret"]).generate_signature(timestamp=item["timestamp"], body=item["body"])
    judge(f"the signature at {item['timestamp']}", item["signature"], lambda: made)

judged = sum(len(asked[kind]) for kind in ("messages", "views", "signatures"))
for fault in faults[:20]:
    print(fault)
print(f"{judged} judged, {len(faults)} faults")
sys.exit(1 if faults or judged == 0 else 0)
