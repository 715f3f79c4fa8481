"""What is so each time: rules, owners, names, places, terms."""

import re

from processors.verification.rules.words import any_of

HABITUAL = any_of(
    r"\b(?:always|never|only|every|each|nobody|no\ one|all|any|whatever|by\ design|no\ longer|any\ ?more"
    r"|regardless|even\ if|for\ historical\ reasons|must\ (?:not|never)|may\ not|not\ allowed|offset\ by"
    r"|expects?|excluding|including|ignored|includes?|excludes?|weighted|frozen|capped|rounded|converted"
    r"|derived|mapped|populated|shared|unlimited|combined|(?:is|are)\ (?:in\ )?(?:eur|usd|chf|gbp|cet|net"
    r"|gross|cents|kilos|grams|pieces|percent)|since\ (?:v?\d|last\ \w+|the\ \w+)|means?|refers?\ to"
    r"|denotes?|bundles|and\ nowhere\ else|(?:january|february|april|june|july|august|september|october"
    r"|november|december)(?=\W|$)|historically|since\ (?:19|20)\d\d|otherwise|immer|nie|nur|alle)\b",
    r"\b(?:owned\ by|owns|(?:they|we|who|team|squad|ops|it)\ own|belongs?\ to|responsible\ for"
    r"|in\ charge\ of|accountable|goes\ to|go\ to|goes\ through|go\ through|handled\ by|made\ by"
    r"|managed\ by|maintained\ by|run\ by|approved\ by|signed\ off|granted|done\ by|led\ by|decided\ by"
    r"|written\ by|paid\ by|sits?\ with|reports?\ to|handed\ (?:over\ )?to|handed\ \w+\ over|is\ the\ only"
    r"|are\ the\ only|reviewed\ by|looked\ after\ by|takes?\ care\ of|looks?\ after|falls?\ under"
    r"|under\ the\ (?:remit|responsibility)|run\ by|operated\ by|supported\ by|built\ by|taken\ over\ by"
    r"|took\ over|(?:the\ |^)(?:contact|owner|lead|point\ of\ contact|dri|maintainer"
    r"|go-to)(?:\ person)?\ (?:for|of|is)|(?:team|squad|group|department|guild)\ (?:runs|maintains"
    r"|operates|builds|handles|manages|approves|does))\b",
    r"\b(?:named|called|named\ after|tagged|prefixed|suffixed|built\ as|stands\ for|short\ for|code\ ?name"
    r"|abbreviated|spelled|written\ as|denotes?|known\ as)\b",
    r"\b(?:lives?\ in|runs?\ (?:in|on|at|every|from)|sits?\ in|listens?\ on|hosted\ (?:in|on)"
    r"|stored\ (?:in|as)|is\ in\ [\w-]*\d|kept\ (?:for|in)|retained|archived|replicated|append-only"
    r"|backed\ up|restarted\ every|rebuilt|deduplicated|deleted\ after|purged|loaded\ (?:from|by|every)"
    r"|refreshed|restored)\b",
    r"\b(?:starts?|begins?|ends?|closes?|opens?|happens?|due|resets?|renews?|expires?|lapses?|stops?"
    r"|rolls?\ over|runs?)\ (?:at|on|in|after|only|every|from|within|while|when|as|by|with)\b|\bis\ (?:mon"
    r"|tues|wednes|thurs|fri|satur|sun)day\b",
    r"\b(?:within|after|every|for|max|at\ least|at\ most|up\ to|over|under|above|below|than|of)\ (?:a\ "
    r"|the\ )?(?:\d[\d.,]*|one|two|three|four|five|six|seven|ten|twelve|first|last|fifth|third|second)\b",
    r"\b(?:count(?:s|ed)?\ (?:as|towards|in|toward)|(?:don'?t|doesn'?t|do\ not|does\ not|never)\ count"
    r"|booked|recogni[sz]ed|invoiced|billed|charged|treated\ as|considered|excluded|included|measured"
    r"|calculated|computed|reported|based\ on|net\ of|adjusted)\b",
    r"\bour\ (?:[\w-]+\ ){1,6}(?:is|are)\ (?:the\ |at\ )?[\w-]*\d",
    r"\b(?:guarantees?|guaranteed|promised?|commit(?:ted)?\ to|uptime|availability|reachable|answered"
    r"|acknowledged|slo|sla|source\ of\ truth|minor\ units|system\ of\ record|two\ kinds|policy)\b"
    r"|\bwe\ have\ (?:two|three|four|five|no)\b|\b(?:comes?\ from|come\ in|go\ by|goes\ by|comes\ in"
    r"|made\ up\ of|consists?\ of|split\ into)\b|\b(?:moved|migrated|switched|changed|renamed|replaced"
    r"|retired|merged|consolidated)\ (?:over\ )?(?:to|by|from|into|with|in)\b"
    r"|\b(?:the\ same\ (?:thing\ )?as|another\ (?:name|word|term)\ for|what\ we\ call|different\ (?:things"
    r"|from)|in\ our\ (?:world|books?|terms|language|jargon|case))\b|\bon\ (?:the\ |a\ )?(?:\d+(?:st|nd|rd"
    r"|th)|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|first|last|next)\b|\b(?:gets?|pays?|costs?|takes?"
    r"|lasts?)\ (?:\d|half|double|twice|two|three|four)|\b(?:hourly|daily|weekly|nightly|monthly|quarterly"
    r"|yearly|annually)\b|\bat\ (?:noon|midnight|\d)|\d{1,2}[:.]\d\d\b",
    r"^an?\ ['\"]?[\w-]+(?:\ [\w-]+)?['\"]?\ (?:is|counts\ as|becomes|turns\ into|means)\ .{2,80}\b(?:when"
    r"|if|once|after|as\ soon\ as|with|until)\b",
    r"\b(?:has|have|is|are|do|does|there\ is)\ (?:no|not|n't)\b|\b(?:isn'?t|aren'?t|don'?t|doesn'?t)\b"
    r"|\bis\ the\b|\bare\ the\b",
)
"""What is so each time: rules, owners, names, places, terms."""
MODAL = re.compile(
    r"\b(?:must|mustn'?t|have\ to|has\ to|needs?|mandatory|should|required|requires?|allowed|forbidden"
    r"|may\ (?:not|only)|permitted|prohibited|can\ ?not|can'?t)\b",
    re.VERBOSE,
)
"""Rules; or what a program is to do."""
FOR_ALL = re.compile(
    r"\b(?:above|over|below|under|up\ to)\ [$€£]?\d|\b(?:every|any|all|each|nobody|no\ one|no|only"
    r"|everyone|within\ \d+|after\ \d+|owned\ by|responsible|approved|approval|signed\ off|the\ only"
    r"|mandatory|must\ (?:not|never)|may\ not|ignored)\b",
    re.VERBOSE,
)
"""What makes a rule of what must be."""
OWNS = re.compile(
    r"\b(?:owned\ by|owns|(?:they|we|who|team|squad|ops)\ own|belongs?\ to\ (?:the\ )?[\w\ -]{1,30}(?:team"
    r"|squad|group|guild|chapter|department)|responsible\ for|in\ charge\ of|accountable|handled\ by"
    r"|managed\ by|maintained\ by|made\ by|approved\ by|sits?\ with|handed\ (?:over\ )?to"
    r"|handed\ \w+\ over|goes\ to|go\ to|looked\ after\ by|reports?\ to|lead:|takes?\ care\ of"
    r"|looks?\ after|falls?\ under|under\ the\ (?:remit|responsibility)|run\ by|operated\ by|supported\ by"
    r"|built\ by|taken\ over\ by|took\ over|the\ (?:contact|owner|lead|point\ of\ contact|dri|maintainer"
    r"|go-to)(?:\ person)?\ (?:for|of|is)|(?:team|squad|group|department|guild)\ (?:runs|maintains"
    r"|operates|builds|handles|manages|approves|does))\b",
    re.VERBOSE,
)
"""Who does what: operations, whatever it is that is done."""
IS_WHEN = re.compile(
    r"^an?\ ['\"]?[\w-]+(?:\ [\w-]+)?['\"]?\ (?:is|counts\ as|becomes|turns\ into|means)\ .{2,80}\b(?:when"
    r"|if|once|after|as\ soon\ as|until)\b|\b(?:is|are)\ (?:called|named)\b",
    re.VERBOSE,
)
"""A definition by a condition or a name, of something that need not be known."""
LASTING = re.compile(
    r"\b(?:always|never|only|by\ design|for\ historical\ reasons|each|all|nobody|no\ one|no\ longer"
    r"|any\ ?more|sla|slo)\b",
    re.VERBOSE,
)
"""What stays so, whatever is asked about it."""
KINDS = re.compile(
    r"^(?:all\ |any\ )?[\w-]+s\ (?:with|starting|beginning|ending|without|above|over|under|from|below|in"
    r"|of|on|for|that|who|which|older|younger)\b.{1,80}\b(?:are|have\ to|must|never|always|count|don'?t|go"
    r"|get|belong)\b"
)
"""What a kind of things is: "SKUs starting with 9 are bundles"."""
APPROVES = re.compile(r"\b(?:signed\ off|approved\ by|approval|sign-off|approvals)\b")
_NO_KINDS = (
    r"(?:rows?|errors?|users?|columns?|fields?|fixtures|values?|items?|results?|images?|pages?|charts?"
    r"|numbers?|dates?|files?|lines?|colou?rs?|buttons?|entries|words?|messages?|options?|settings?"
    r"|records?|labels?|titles?|names?|inputs?|lists?|cards?|tabs?|icons?|comments"
    r"|accountants|companies|people|most|others|things|it'?s|this|thanks|always|us|was|is|has|does|yes|as"
    r"|plus|its|his|perhaps|unless|besides|reports)"
)
GENERIC = re.compile(
    rf"^(?!(?:[\w-]+\ ){{0,2}}{_NO_KINDS}\b)(?:(?!the\b|this\b|that\b|these\b|those\b|my\b|your\b|a\b|an\b"
    rf"|some\b|most\b)[\w-]+\ ){{0,2}}[\w-]+[a-rt-z]s\ (?:(?:with|from|in|above|over|under|below|for|at"
    rf"|of)\ (?:[\w-]+\ ){{1,3}})?"
    r"(?:are|get|go|have|pay|count|run|live|come|start|end|need|must|may|can|can'?t|don'?t|do|belong"
    r"|expire|renew|close|approve|cost|take|follow|use|work|only|never|always|include|exclude|cannot)\b"
)
"""What is said of a kind of things, without an article: "trainees are billed at half the rate"."""
MONEY = re.compile(r"\b\d[\d.,]*\ ?(?:eur|euros?|usd|dollars?|chf|gbp|pounds?|k)\b|[$€£]\ ?\d", re.VERBOSE)
EACH_TIME = re.compile(r"\b(?:always|never|nobody|no\ one|by\ design|by\ policy)\b", re.VERBOSE)
