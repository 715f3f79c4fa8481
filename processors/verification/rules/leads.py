"""How sentences begin that answer or announce: "no, that's wrong", "yes, exactly", "for reference"."""

import re

_FILLER = (
    r"(?:(?:hmm+|well|sorry|hey|oh|ah|um+|uh|ok|okay|hold\ on|wait|so|but|look|hi|hello|thanks|thank\ you"
    r"|great|cool)[\s,.!:;-]+){0,3}"
)
_STOP = r"(?:\s*[,;:!.]+|\s+-+|-+(?=\s)|\s*\.\.+)\s*(?:-+\s*)?|\s*$"
_RIGHT = (
    r"(?:right|correct|true|accurate|the\ case|it|quite\ it|how\ (?:we|it|this|that)[^,.;:-]{0,60}"
    r"|what\ we[^,.;:-]{0,60}|our\ [^,.;:-]{1,50})"
)
_ALMOST = r"(?:(?:quite|entirely|exactly|really|actually|fully|strictly|completely)\s+)?"
_NEGATION = (
    r"(?:no|nope|nah|no\ no|not\ quite|not\ exactly|not\ really|not\ true|not\ correct|not\ right|wrong"
    r"|incorrect|false|negative"
    r"|almost|close|nearly|close,?\ but\ (?:no|not\ quite|not\ exactly)|(?:small|minor|one|quick"
    r"|slight)\ (?:correction|fix)|correction"
    rf"|(?:that|this|it)(?:'?s|\ is|\ was)\ (?:(?:also|just|still|simply|completely|totally|actually|plain"
    rf"|a\ bit)\s+)?(?:not\ {_ALMOST}{_RIGHT}"
    r"|wrong|incorrect|inaccurate|false|a\ mistake|mistaken|backwards|outdated|off|a\ common\ mistake"
    r"|a\ misconception)"
    rf"|(?:that|this|it)\ (?:isn'?t|is\ not|wasn'?t)\ {_ALMOST}{_RIGHT}|that'?s\ {_ALMOST}not\ {_RIGHT}"
    r"|you(?:'?re|\ are)\ (?:wrong|mistaken|incorrect|mixing\ [^,.;:]{1,60}|confusing\ [^,.;:]{1,60})"
    r"|you(?:'?ve|\ have)?\ (?:got|have|mixed|made)\ (?:that|it|this|the\ \w+"
    r"|a\ mistake)(?:\ \w+)?\ ?(?:wrong|backwards|up|there|mixed\ up)?"
    r"|wrong\ (?:\w+\ ?){1,2}|not\ [\w-]+(?:\ [\w-]+)?(?=\s*[.,;])|no\ and\ no|(?:that|this|it)(?:'?s"
    r"|\ has|\ was)?\ (?:changed|moved|been\ replaced|been\ changed|replaced)(?:\ (?:a\ while\ ago"
    r"|last\ \w+|long\ ago|some\ time\ ago|in\ \w+))?|that\ used\ to\ be\ (?:so|true|the\ case|right)"
    r"|not\ all(?:\ of\ them)?|not\ always|not\ everywhere|not\ any\ ?more|not\ since\ [\w\ ]{1,30}"
    r"|no\ longer|(?:first|second|last|that|one)\ (?:part|bit|half|point)\ (?:yes|no|(?:is\ )?(?:right"
    r"|wrong|not))"
    r"|(?:it|they|you|that|we|he|she|one)\ (?:can'?t|cannot|don'?t|doesn'?t|isn'?t|aren'?t|does\ not"
    r"|do\ not|is\ not|are\ not|didn'?t|must\ not|mustn'?t)"
    r"|(?:that|this|it|those|these)(?:\ (?:is|are|would\ be|were)|'?s)\ (?:an?\ |the\ )?(?:very\ "
    r"|really\ )?(?:old|wrong|outdated|stale|legacy|obsolete|deprecated)(?:\ \w+){0,2}"
    r"|i\ disagree|i\ have\ to\ correct\ you|let\ me\ correct\ (?:that|you|this)|careful"
    r"|nein|falsch|das\ stimmt\ (?:so\ )?nicht|das\ ist\ (?:so\ )?(?:falsch|nicht\ (?:richtig|korrekt"
    r"|ganz\ richtig))|nicht\ ganz|stimmt\ nicht)"
)
NEGATION = re.compile(
    rf"{_FILLER}(?:{_NEGATION}(?:{_STOP})|no\s+(?=(?:we|our|the|it|it'?s|its|that'?s|they)\b))", re.VERBOSE
)
_DISAGREES_A_BIT = (
    r"(?:(?:yes|yeah|right|true|correct|ok|okay|sure)[\s,.;:-]+)?(?:but|except|however|though)[\s,:-]+(?:that\s+)?"
)
BUT = re.compile(rf"{_DISAGREES_A_BIT}", re.VERBOSE)
ACTUALLY = re.compile(
    rf"{_FILLER}(?:actually|in\ fact|in\ reality|eigentlich|tats(?:ä|ae)chlich)(?:\s*[,:-]+)?\s+", re.VERBOSE
)
_AFFIRMATION = (
    r"(?:yes|yep|yeah|yup|ya|aye|right|correct|exactly|precisely|true|indeed|absolutely|confirmed|agreed"
    r"|affirmative|spot\ on|bingo|100%"
    r"|(?:yes|yep|yeah)\ (?:they|it|we|that|he|she)\ (?:do|does|is|are|did|has|have)|yes\ exactly"
    r"|yes\ correct|exactly\ right|definitely|of\ course|you\ got\ (?:it|that)(?:\ right)?|you(?:'?re"
    r"|\ are)\ (?:right|correct)(?:\ (?:about|on|with|there)(?:\ (?:it|that|this))?)?|that'?s\ (?:the\ one"
    r"|how\ it\ is)|exactly\ that|jep|yessir|that'?s\ how\ (?:it|this|that)\ works|(?:they|it|we|he|she"
    r"|that|this)\ (?:do|does|is|are|did|has|have)(?:,?\ (?:yes|indeed|exactly))|got\ it\ right"
    r"|(?:that|this|it)(?:'?s|\ is|\ sounds|\ looks)\ (?:(?:exactly|absolutely|all|quite"
    r"|indeed)\ )?(?:right|correct|true|accurate|it)"
    r"|sounds\ right|i\ can\ confirm(?:\ that)?|confirming|your\ understanding\ is\ (?:right|correct)"
    r"|that\ matches(?:\ (?:our|what)[^,.;:]{0,40})?"
    r"|ja|jawohl|genau|richtig|korrekt|stimmt|das\ stimmt|das\ ist\ (?:richtig|korrekt)|ja\ genau|exakt)"
)
AFFIRMATION = re.compile(
    rf"{_FILLER}(?:{_AFFIRMATION}(?:{_STOP})|(?:yes|yep|yeah)\s+(?=(?:we|our|the|it|that'?s|all|each|every"
    rf"|only)\b)|indeed\s+|(?:that|this)(?:'?s|\ is)\ (?:right|correct)\s+-?)",
    re.VERBOSE,
)
PRAISE = re.compile(
    rf"(?:perfect|great|thanks|thank\ you|nice|awesome|cool|excellent|good)\b[^.!?]{{0,30}}(?:{_STOP})", re.VERBOSE
)
_INFORMATION = (
    r"(?:fyi|for\ your\ information|for\ reference|for\ future\ reference|for\ context|for\ the\ record"
    r"|for\ clarity|for\ background"
    r"|mind\ that|(?:just\ )?so\ (?:that\ )?(?:you|we)(?:'?re|\ are)?\ (?:know|aware|aligned|all\ aligned"
    r"|on\ the\ same\ page)|just\ so\ you(?:'?re|\ are)\ aware|just\ fyi"
    r"|(?:please\ |pls\ |also\ |do\ )?(?:note|remember(?!\ to\b)|keep\ in\ mind|bear\ in\ mind|be\ aware"
    r"|understand|know)(?:\ that)?"
    r"|heads[\ -]up|(?:quick|some|a\ bit\ of|a\ little|one)\ (?:note|context|background|heads[\ -]up|fact"
    r"|definition)|background|context|important"
    r"|(?:a\ )?(?:quick\ |friendly\ )?reminder|as\ a\ reminder|to\ be\ clear|to\ clarify"
    r"|just\ to\ (?:clarify|be\ clear)|definition|terminology|glossary"
    r"|worth\ (?:knowing|noting)(?:\ that)?|you\ should\ know(?:\ that)?|one\ thing\ (?:to\ (?:know|note)"
    r"|you\ should\ know)|nb|n\.b\.|ps|p\.s\."
    r"|(?:a\ )?(?:few|couple\ of|some)\ (?:notes?|facts?|things?)(?:\ on\ [^:,]{1,40})?|(?:legal|finance"
    r"|security|compliance|accounting|hr|sales|ops)\ (?:has\ )?told\ us(?:\ that)?"
    r"|before\ i\ forget(?:\ it)?|from\ (?:our|the)\ side|as\ (?:background|context)"
    r"|in\ case\ you\ (?:wonder|are\ wondering)|small\ (?:note|fact)|(?:unrelated|also"
    r"|one\ more)(?:\ but\ |,\ )?(?:important|useful)?"
    r"|zur\ info(?:rmation)?|zur\ kl(?:ä|ae)rung|hinweis|wichtig|zum\ verst(?:ä|ae)ndnis)"
)
INFORMATION = re.compile(rf"{_INFORMATION}(?:\s*[,:;.-]+\s*|\s+)", re.VERBOSE)
ANNOUNCED = re.compile(
    r"(?!our\b|[^:]{0,80}\b(?:is|are|says)\s*:)[^:?.!,;]{0,60}\b(?:rules?|reminder|vocabulary|wording"
    r"|wrong|note|notes|important|thing|things|definitions?|terms?|terminology|background|context"
    r"|by\ the\ way|facts?|conventions?|naming|glossary)\b"
    r"[^:?.!;]{0,50}:\s+(?=\S)",
    re.VERBOSE,
)
"""A head with a colon: "one thing about our vocabulary: …"."""
ASIDE = re.compile(
    r"(?:(?:sorry|hmm+|ah|oh|well|ok|okay|so|also|and|additionally|btw|by\ the\ way|oh\ and"
    r"|one\ more\ thing|another\ thing|separately|plus|furthermore|moreover|anyway|first"
    r"|firstly|second|secondly|finally|lastly|before\ (?:we|you|i)\ (?:start|begin|continue|go\ on"
    r"|dive\ in|get\ started|do\ that|go\ further)"
    r"|in\ case\ (?:it\ helps|you\ (?:didn'?t|don'?t)\ know)|except\ that|because|since(?=\ (?:our|we)\b)"
    r"|as|from\ now\ on|besides|unrelated|then|now|yes|übrigens|außerdem|und|also)(?:\s*[,:;-]+\s*|\s+))",
    re.VERBOSE,
)
TOPIC = re.compile(
    r"(?:also|additionally|btw|by\ the\ way|oh\ and|one\ more\ thing|another\ thing|separately|fyi"
    r"|secondly|übrigens|außerdem)\b",
    re.VERBOSE,
)
HEADING = re.compile(
    r"\b(?:definitions?|conventions?|terminology|glossary|standards?|rules|polic(?:y|ies)|metrics?|terms|how\ we)\b"
)
"""What a line with a colon announces."""
