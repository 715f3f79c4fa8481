"""The phrases by which people correct, confirm and define; and those by which they ask, order, guess and retell.

All patterns are for plain text (see :func:`processors.verification.rules.prose.plain`) of one sentence, which is short.
"""

import re
from enum import IntEnum


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.VERBOSE)


# --- How a sentence begins -----------------------------------------------------------------------------------------

_FILLER = r"(?:(?:hmm+|well|sorry|hey|oh|ah|um+|uh|ok|okay|hold\ on|wait|so|but|look|hi|hello|thanks|thank\ you|great|cool)[\s,.!:;-]+){0,3}"
_STOP = r"(?:\s*[,;:!.]+|\s+-+|-+(?=\s)|\s*\.\.+)\s*(?:-+\s*)?|\s*$"
_RIGHT = r"(?:right|correct|true|accurate|the\ case|it|quite\ it|how\ (?:we|it|this|that)[^,.;:-]{0,60}|what\ we[^,.;:-]{0,60}|our\ [^,.;:-]{1,50})"
_ALMOST = r"(?:(?:quite|entirely|exactly|really|actually|fully|strictly|completely)\s+)?"

_NEGATION = (
    r"(?:no|nope|nah|no\ no|not\ quite|not\ exactly|not\ really|not\ true|not\ correct|not\ right|wrong|incorrect|false|negative"
    r"|almost|close|nearly|close,?\ but\ (?:no|not\ quite|not\ exactly)|(?:small|minor|one|quick|slight)\ (?:correction|fix)|correction"
    rf"|(?:that|this|it)(?:'?s|\ is|\ was)\ (?:(?:also|just|still|simply|completely|totally|actually|plain|a\ bit)\s+)?(?:not\ {_ALMOST}{_RIGHT}"
    r"|wrong|incorrect|inaccurate|false|a\ mistake|mistaken|backwards|outdated|off|a\ common\ mistake|a\ misconception)"
    rf"|(?:that|this|it)\ (?:isn'?t|is\ not|wasn'?t)\ {_ALMOST}{_RIGHT}|that'?s\ {_ALMOST}not\ {_RIGHT}"
    r"|you(?:'?re|\ are)\ (?:wrong|mistaken|incorrect|mixing\ [^,.;:]{1,60}|confusing\ [^,.;:]{1,60})"
    r"|you(?:'?ve|\ have)?\ (?:got|have|mixed|made)\ (?:that|it|this|the\ \w+|a\ mistake)(?:\ \w+)?\ ?(?:wrong|backwards|up|there|mixed\ up)?"
    r"|wrong\ (?:\w+\ ?){1,2}|not\ [\w-]+(?:\ [\w-]+)?(?=\s*[.,;])|no\ and\ no|(?:that|this|it)(?:'?s|\ has|\ was)?\ (?:changed|moved|been\ replaced|been\ changed|replaced)(?:\ (?:a\ while\ ago|last\ \w+|long\ ago|some\ time\ ago|in\ \w+))?|that\ used\ to\ be\ (?:so|true|the\ case|right)|not\ all(?:\ of\ them)?|not\ always|not\ everywhere|not\ any\ ?more|not\ since\ [\w\ ]{1,30}|no\ longer|(?:first|second|last|that|one)\ (?:part|bit|half|point)\ (?:yes|no|(?:is\ )?(?:right|wrong|not))"
    r"|(?:it|they|you|that|we|he|she|one)\ (?:can'?t|cannot|don'?t|doesn'?t|isn'?t|aren'?t|does\ not|do\ not|is\ not|are\ not|didn'?t|must\ not|mustn'?t)"
    r"|(?:that|this|it|those|these)(?:\ (?:is|are|would\ be|were)|'?s)\ (?:an?\ |the\ )?(?:very\ |really\ )?(?:old|wrong|outdated|stale|legacy|obsolete|deprecated)(?:\ \w+){0,2}"
    r"|i\ disagree|i\ have\ to\ correct\ you|let\ me\ correct\ (?:that|you|this)|careful"
    r"|nein|falsch|das\ stimmt\ (?:so\ )?nicht|das\ ist\ (?:so\ )?(?:falsch|nicht\ (?:richtig|korrekt|ganz\ richtig))|nicht\ ganz|stimmt\ nicht)"
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
    r"(?:yes|yep|yeah|yup|ya|aye|right|correct|exactly|precisely|true|indeed|absolutely|confirmed|agreed|affirmative|spot\ on|bingo|100%"
    r"|(?:yes|yep|yeah)\ (?:they|it|we|that|he|she)\ (?:do|does|is|are|did|has|have)|yes\ exactly|yes\ correct|exactly\ right|definitely|of\ course|you\ got\ (?:it|that)(?:\ right)?|you(?:'?re|\ are)\ (?:right|correct)(?:\ (?:about|on|with|there)(?:\ (?:it|that|this))?)?|that'?s\ (?:the\ one|how\ it\ is)|exactly\ that|jep|yessir|that'?s\ how\ (?:it|this|that)\ works|(?:they|it|we|he|she|that|this)\ (?:do|does|is|are|did|has|have)(?:,?\ (?:yes|indeed|exactly))|got\ it\ right"
    r"|(?:that|this|it)(?:'?s|\ is|\ sounds|\ looks)\ (?:(?:exactly|absolutely|all|quite|indeed)\ )?(?:right|correct|true|accurate|it)"
    r"|sounds\ right|i\ can\ confirm(?:\ that)?|confirming|your\ understanding\ is\ (?:right|correct)|that\ matches(?:\ (?:our|what)[^,.;:]{0,40})?"
    r"|ja|jawohl|genau|richtig|korrekt|stimmt|das\ stimmt|das\ ist\ (?:richtig|korrekt)|ja\ genau|exakt)"
)
AFFIRMATION = re.compile(
    rf"{_FILLER}(?:{_AFFIRMATION}(?:{_STOP})|(?:yes|yep|yeah)\s+(?=(?:we|our|the|it|that'?s|all|each|every|only)\b)|indeed\s+|(?:that|this)(?:'?s|\ is)\ (?:right|correct)\s+-?)",
    re.VERBOSE,
)
PRAISE = re.compile(
    rf"(?:perfect|great|thanks|thank\ you|nice|awesome|cool|excellent|good)\b[^.!?]{{0,30}}(?:{_STOP})", re.VERBOSE
)

_INFORMATION = (
    r"(?:fyi|for\ your\ information|for\ reference|for\ future\ reference|for\ context|for\ the\ record|for\ clarity|for\ background"
    r"|mind\ that|(?:just\ )?so\ (?:that\ )?(?:you|we)(?:'?re|\ are)?\ (?:know|aware|aligned|all\ aligned|on\ the\ same\ page)|just\ so\ you(?:'?re|\ are)\ aware|just\ fyi"
    r"|(?:please\ |pls\ |also\ |do\ )?(?:note|remember(?!\ to\b)|keep\ in\ mind|bear\ in\ mind|be\ aware|understand|know)(?:\ that)?"
    r"|heads[\ -]up|(?:quick|some|a\ bit\ of|a\ little|one)\ (?:note|context|background|heads[\ -]up|fact|definition)|background|context|important"
    r"|(?:a\ )?(?:quick\ |friendly\ )?reminder|as\ a\ reminder|to\ be\ clear|to\ clarify|just\ to\ (?:clarify|be\ clear)|definition|terminology|glossary"
    r"|worth\ (?:knowing|noting)(?:\ that)?|you\ should\ know(?:\ that)?|one\ thing\ (?:to\ (?:know|note)|you\ should\ know)|nb|n\.b\.|ps|p\.s\."
    r"|(?:a\ )?(?:few|couple\ of|some)\ (?:notes?|facts?|things?)(?:\ on\ [^:,]{1,40})?|(?:legal|finance|security|compliance|accounting|hr|sales|ops)\ (?:has\ )?told\ us(?:\ that)?"
    r"|before\ i\ forget(?:\ it)?|from\ (?:our|the)\ side|as\ (?:background|context)|in\ case\ you\ (?:wonder|are\ wondering)|small\ (?:note|fact)|(?:unrelated|also|one\ more)(?:\ but\ |,\ )?(?:important|useful)?"
    r"|zur\ info(?:rmation)?|zur\ kl(?:ä|ae)rung|hinweis|wichtig|zum\ verst(?:ä|ae)ndnis)"
)
INFORMATION = re.compile(rf"{_INFORMATION}(?:\s*[,:;.-]+\s*|\s+)", re.VERBOSE)
ANNOUNCED = re.compile(
    r"(?!our\b|[^:]{0,80}\b(?:is|are|says)\s*:)[^:?.!,;]{0,60}\b(?:rules?|reminder|vocabulary|wording|wrong|note|notes|important|thing|things|definitions?|terms?|terminology|background|context|by\ the\ way|facts?|conventions?|naming|glossary)\b"
    r"[^:?.!;]{0,50}:\s+(?=\S)",
    re.VERBOSE,
)
"""A head with a colon: "one thing about our vocabulary: …"."""
ASIDE = re.compile(
    r"(?:(?:sorry|hmm+|ah|oh|well|ok|okay|so|also|and|additionally|btw|by\ the\ way|oh\ and|one\ more\ thing|another\ thing|separately|plus|furthermore|moreover|anyway|first"
    r"|firstly|second|secondly|finally|lastly|before\ (?:we|you|i)\ (?:start|begin|continue|go\ on|dive\ in|get\ started|do\ that|go\ further)"
    r"|in\ case\ (?:it\ helps|you\ (?:didn'?t|don'?t)\ know)|except\ that|because|since(?=\ (?:our|we)\b)|as|from\ now\ on|besides|unrelated|then|now|yes|übrigens|außerdem|und|also)(?:\s*[,:;-]+\s*|\s+))",
    re.VERBOSE,
)
TOPIC = re.compile(
    r"(?:also|additionally|btw|by\ the\ way|oh\ and|one\ more\ thing|another\ thing|separately|fyi|secondly|übrigens|außerdem)\b",
    re.VERBOSE,
)

# --- What is no statement ------------------------------------------------------------------------------------------

_QUESTION = (
    r"(?:and\ |but\ |so\ |also\ |ok\ )?(?:what|why|how|where|who|whose|which|is|are|am|was|were|do|does|did|can|could|would|will|should|shall"
    r"|has|have\ (?:you|we|i|they)|isn'?t|aren'?t|don'?t\ (?:we|you|they)|doesn'?t|didn'?t|won'?t|wie|was\ ist|warum|wieso|wo|wer|kannst|k(?:ö|oe)nn\w+\ (?:sie|wir|du))\b"
)
QUESTION = re.compile(_QUESTION, re.VERBOSE)

_ORDERS = frozenset(
    """use rename fix add remove delete change make put move run try show give tell write create keep check look do don't dont stop revert
    undo update set let let's lets go start please pls just instead return call pass skip ignore leave wait pull push commit merge compare
    build implement refactor generate explain find list get send open read test compute calculate plot split filter group sort drop replace
    convert ensure think verify double-check rerun redo rewrite include exclude deploy install upgrade switch draw summarize summarise
    translate draft break export import join load save print log render format clean extract combine limit round count assume suppose imagine
    pretend consider analyze analyse investigate debug help proceed continue apply configure convert bump wrap extend take turn document
    describe provide prepare propose suggest recommend simplify separate store sum treat pick follow avoid exclude restart rebuild rebase
    simulate model forecast estimate query select search grep inspect review nutze benutze verwende zeig zeige schreib schreibe mach mache
    erstelle ändere füge lösche bitte say respond reply answer stick never always only not""".split()  # noqa: SIM905  # a list of words
)
_SUBJECT_FIRST = re.compile(
    r"\S+\s+(?:\S+\s+){0,3}?(?:is|are|was|means|=|needs?|must|has|have|refers?|counts?|excludes?|includes?|goes|lives?)\b"
)
_MAY_BE_NOUNS = frozenset(
    "test call list group set order return report log sort model forecast use start count document query format store round build".split()
)


_BARE_VERB = re.compile(
    r"(?!(?:for|in|on|at|of|to|by|with|from|and|or|but|nor|than|that|like|when|if|while|once|until|after|before|because|since|not|all|both|half|only|as|over|under|above|below|within|without|into|is|are|inside|outside|during|per|via|unlike|except"
    r"|the|a|an|our|indeed|internally|externally|here|today|what|between|across|against|toward|let|also|even|just|then|so)\b)[a-z]+(?<!s)(?<!ing)(?<!ly)\s(?:me|us|it|them|the|an?|this|that|these|those|my|your|every|each|all)\b"
)
"""A word that is no plural, and an object: what is no known verb is one here."""


def is_order(text: str, *, known_only: bool = False) -> bool:
    """Whether a plain sentence tells the assistant to do something.

    Args:
        text: the sentence, without what leads to it.
        known_only: whether the verb must be a known one; else a word with an object after it is enough.

    """
    first = re.match(r"[\w'-]+", text)
    if first is None or first[0] not in _ORDERS:
        if first is not None and not known_only and _BARE_VERB.match(text):
            return True
        return (
            re.match(
                r"(?:for|in|with|on|from|after|before)\s[^,]{2,40},\s(?:assume|suppose|imagine|pretend|use|treat|please|show|make|add)\b",
                text,
            )
            is not None
        )
    if first[0] == "only":
        return re.match(r"only\s+\w+\s+(?!\w*s\b)", text) is None or first[0] in _MAY_BE_NOUNS
    if re.match(r"\S+\s+(?:is|are|means|=)\s", text):
        return False
    return not (first[0] in _MAY_BE_NOUNS and _SUBJECT_FIRST.match(text))


GUESS = _any(
    r"^(?:suppose|supposing|imagine|hypothetical(?:ly)?|let'?s\ (?:say|assume|pretend|imagine)|what\ if|pretend|assum(?:e|ing)|say\ (?:we|our)|for\ example"
    r"|for\ instance|e\.g\.|as\ an\ example|maybe|perhaps|probably|possibly|angenommen|vielleicht|unless|whether)\b",
    r"\b(?:hypothetical(?:ly)?|maybe|perhaps|probably|presumably|i\ guess|i\ (?:don'?t\ |do\ not\ )?think|i\ believe|i\ assume[d]?|i\ suppose|i\ wonder"
    r"|i(?:'?m|\ am)\ (?:not\ (?:sure|certain|100%)|unsure|guessing|curious|assuming)|not\ sure|iirc|afaik|afair|as\ far\ as\ i\ (?:know|remember|can\ tell)"
    r"|if\ i\ (?:remember|recall)|no\ idea|no\ clue|might|could\ be|may\ be\ (?!\w+ed\b)|supposedly|apparently|seems?|seemed|looks\ like|i\ heard|rumou?r|(?<!we\ )assume\ (?:every|that|all|each|an?|the|any)|pretend|let'?s\ say"
    r"|would(?:n'?t)?|in\ my\ (?:opinion|view)|imho|imo|if\ you\ ask\ me|honestly|i\ suspect|i\ prefer|useless|a\ mess|stupid|awful|terrible|annoying|obviously|oh\ sure|yeah\ great|oh\ great|wow|sure,\ because|because\ nobody|good\ choice|bad\ choice|best|better|worse|worst|faster|slower|nicer|overengineered|overkill|i\ always|i\ never|i\ like|i\ love|i\ hate|i\ don'?t\ (?:know|remember)|don'?t\ quote\ me|gl?aube\ ich|ich\ glaube|vermutlich|wahrscheinlich|tbd|to\ be\ decided|haven'?t\ decided)\b",
)
RETOLD = _any(
    r"\b(?:according\ to|as\ per\ the\ (?:article|blog|docs?)|i\ read|i'?ve\ read)\b",
    r"\b(?:he|she|they|it|who|docs?|documentation|readme|article|post|blog|book|paper|wiki|page|website|site|tutorial|e?-?mail|client|customer|vendor|competitor|consultant"
    r"|log|message|comment|ticket|report|stackoverflow|chatgpt|gpt|copilot|linter|compiler|colleague|somebody|someone|intern|output|terminal|doc|slide|deck)\s+"
    r"(?:just\ |also\ )?(?:says?|said|wrote|writes|claims?|claimed|states?|stated|reads?|told|mentions?|mentioned|thinks?|thought|insists?|suggests?|complains?)\b",
    r"\bused\ to\b|\bin\ the\ (?:book|article|tutorial|example|docs|novel|story|game|paper)\b|\blol\b|/s$|\byeah,?\ right\b|\bhaha",
)
FOREIGN = _any(
    r"\b(?:their|his|her)\ (?:company|team|policy|convention|definition)\b", r"\bcompetitors?\b(?!.*\bwe\b)"
)

ERRAND = _any(
    r"^(?:i|i'?m|i'?d|i'?ll|i'?ve|my|me)\b(?!\ (?:mean|meant)\b)",
    r"\b(?:can|could|would|will)\ you\b|\bplease\b|\bpls\b|\byou\ (?:should|need|must|have\ to|can|could|forgot|missed|added|removed|used|wrote|did|didn'?t|broke|changed|keep|put|deleted|ran)\b",
    r"\bi\ (?:want|need|meant|asked|said|wanted|would\ like|told|expected|tried|see|saw|get|got)\b|\bi'd\ like\b|\blet(?:'?s|\ us|\ me)\b|\bwe\ get\ (?:a|an|the|no|errors?|timeouts?)\b|(?:,|but|and)\ (?:it|they|this|that)\ should\b(?!\ (?:never|always))",
    r"\bwe\ (?:should|could|might|may|would|want|wanted|tried|had|were|did|got|saw|lost|broke|fixed|found|will|just|are\ going|have\ to\ (?:fix|add|change|make|do|get|find|update|remove)"
    r"|have\ a|have\ an|have\ some|need\ (?:a|an|some|the|it|this|that|your|more|another))\b",
    r"\bwe(?:'?ll|'?d)\b|\bwe(?:'?re|\ are)\ (?:going|seeing|getting|trying|building|working|looking|planning|migrating|thinking|having|debugging|about|missing|stuck|not\ (?:sure|done))\b",
    r"\bwe\ (?:can|cannot|can'?t)\ (?:just|also|now|then|simply|fix|use|do|skip|add|try|move|start|go)\b",
    r"\bwe\ need\ to\ (?!(?:track|record|report|capture|measure|log|bill|invoice|retain|disclose|recogni[sz]e|count|reconcile|audit|archive)\b)",
)
"""What a person wants, has done, or is about to do: no fact of an organisation."""

PASSING = _any(
    r"\b(?:today(?!'s)|yesterday(?!'s)|tomorrow|yet|currently|(?:is|are)\ being|still\ (?:running|loading|open|waiting|in\ progress|pending)|but\ (?:it|they)\ (?:has|have|is|are|do|does|shows?|contains?|returns?)|right\ now|just\ now|at\ the\ moment|this\ (?:morning|afternoon|time|evening)|last\ night|tonight|for\ now|so\ far|this\ (?:week|month|sprint|quarter)|next\ (?:week|sprint)|until\ (?:monday|tuesday|wednesday|thursday|friday|tomorrow|next|further|\d)|out\ (?:of\ office|sick)|on\ (?:vacation|holiday|leave)|in\ progress|half\ done|not\ final|under\ maintenance|temporarily|since\ (?:monday|tuesday|wednesday|thursday|friday))\b",
    r"^when\ (?:you|i)\b|\bfor\ this\ \w+|\bin\ this\ (?!company|team|org|house|repo|codebase|business)\w+|\b(?:is|are)\ (?:\w+\ )?(?:shown|skipped|imported|displayed|sorted|rendered|listed|printed|duplicated|generated|shifted|swapped|cut\ off|truncated|selected|highlighted)\b|\btwice\b|\b(?:order|invoice|ticket|customer|account|issue|pr|case|client)\ \#?\d{3,}|\b(?:build|builds|tests?|suite|job|query|run|page|import|pipeline|deploy|script|ci|sync|install)\ (?:takes?|took)\b|\bin\ (?:this|that|the)\ (?:file|function|pr|branch|commit|script|query|chart|plot|test|diff|notebook|method|module|loop|spreadsheet|exercise|toy|demo|prototype)\b",
    r"\b(?:is|are|was|were|'s)\s+(?:still\ |all\ |also\ |now\ |completely\ )?(?:broken|failing|down|slow|wrong|missing|empty|off|unused|undefined|stale|misaligned|stuck|dead|flaky"
    r"|returning|throwing|showing|crashing|hanging|timing|getting|giving|not\ (?:working|showing|found|loading|defined|set|needed|there|passing)|ready|done|great|fine|good|bad|ugly"
    r"|confusing|huge|weird|too|very|so|pretty|really|looking)\b",
    r"\b(?:doesn'?t|does\ not|didn'?t|don'?t|isn'?t|won'?t)\ (?:work|compile|match|load|render|exist|make\ sense|look|build|pass|run|help|show)\b|\bstopped\b|\bkeeps?\ \w+ing\b",
    r"\b(?:there'?s|there\ is|there\ are|here'?s|here\ is)\s+(?:a|an|no|some|still|the)\b",
)
"""What passes: states of the work at hand."""

CODE = _any(
    r"\b(?:functions?|(?<!payment\ )(?<!shipping\ )(?<!delivery\ )methods?|loops?|variables?|parameters?|arguments?|regex|regexp|refactor\w*|typo|syntax|compil\w+|indent\w*|traceback|stack\ ?trace|exceptions?|null\ pointer"
    r"|line\ \d+|unit\ tests?|tests?(?!\ (?:orders?|accounts?|customers?|users?|data|drives?|stores?|bookings?))|(?:still\ |also\ |always\ )?fails|failing|crash\w*|bugs?|buggy|for\ loop|docstrings?|mock\w*|fixtures?|lambda|async|await|decorators?|boolean|constructor|subclass|interface"
    r"|callback|caller|element|hook|cli|flags?\ (?:that|to)|http\ \d+|immutable|mutable|tuples?|routers?|middleware|the\ (?:form|output|config|page|screen|dialog|menu|input|timeout)|props?|components?|css|div|buttons?|modal|navbar|sidebar|pixels?|px|font|tooltip|dropdown|checkbox|margin-\w+|padding|z-index|flexbox|hover|placeholder|header\ file|stdout|stderr"
    r"|stdin|segfault|pointer|struct|enum|array|dict|dictionary|tuple|hashmap|linked\ list|recursion|iterator|getter|setter|return\ (?:type|value)s?|returns?\ (?:none|null|a|an|the|true|false)"
    r"|signature|module|package\.json|requirements\.txt|dockerfile|makefile|gitignore|readme|rebase|merge\ conflict|stash|git\ checkout|cursor|keyboard|key\ ?binding"
    r"|import\ error|exit\ code|stack\ overflow|off-by-one|mutex|race\ condition|cache\ key|off\ by\ one|the\ (?:code|script|file|fix|build|output|page|spec|prompt|screenshot|ui|plan|design|version|approach)"
    r"|your\ \w+|colou?rs?|the\ first\ one|the\ second\ one|the\ other\ one|option\ [ab12]|lines?\ of\ code|the\ endpoint|404|50[0-4]|returns?\ \d{3}|null|nan|undefined)\b",
    r"\w\(\)|\w[?!]/\d|\b\d+\ ?m?s\b|</?(?:td|tr|th|div|span|ul|li|table|button|input|form|img)\b|\b[\w/.-]+\.(?:py|pyi|tsx?|jsx?|go|rs|java|cpp|hpp|html|css|scss|json|ya?ml|toml|md|sh|txt|ipynb|lock|cfg|ini|rb|php|sql|proto)\b|=>|->|::|==|!=|&&|\|\||[{}\\]|(?:^|\s)\.?/?[\w-]+/(?=[\s,.;:]|$)|\bself\.|\bthis\.",
)
"""What is talk about code."""


# --- What a statement is -------------------------------------------------------------------------------------------


class Strength(IntEnum):
    """How sure it is that a sentence states a fact of an organisation."""

    NONE = 0
    STATED = 1
    OURS = 2
    DEFINED = 3
    RULED = 4


_DEFINING = (
    r"(?:defined|calculated|computed|measured|determined|derived|counted|tracked|recogni[sz]ed|billed|invoiced|reported|recorded|booked|classified|treated|considered|based|expressed"
    r"|denominated|split|weighted|normali[sz]ed|reconciled|attributed|allocated|amorti[sz]ed|accrued|aggregated|capped|prorated|pro-rated|excluded|included)"
)
DEFINED_BY = _DEFINING
_ADVERB = (
    r"(?:(?:always|never|only|usually|generally|typically|strictly|also|actually|currently|explicitly|deliberately|officially|internally|still|do(?:n'?t|\ not)|all|both|normally|really|exclusively"
    r"|by\ convention|by\ default|by\ policy|as\ a\ rule|in\ fact|now|mostly)\s+){0,3}"
)
_DEFINES = (
    r"(?:define|call|refer\ to|consider|treat|count|classify|recogni[sz]e|calculate|compute|measure|categori[sz]e|report|track|record|denominate|book|bill|invoice|exclude|include|express|derive|split"
    r"|capitali[sz]e|amorti[sz]e|accrue|attribute|allocate|close|forecast|budget|reconcile|charge|segment|score|prorate|weigh|base|mean|understand|distinguish|differentiate)"
)
_PRACTISES = (
    r"(?:use|run|deploy|release|ship|store|keep|pay|round|convert|host|log|archive|retain|sell|accept|support|require|allow|offer|operate|review|rotate|back\ up|tag|name|version|sign|own|anonymi[sz]e|mask"
    r"|hash|encrypt|purge|delete|partition|snapshot|load|refresh|send|escalate|respond|resolve|assign|route|approve|refund|onboard|renew|cancel|quote|price|discount|expense|hedge|audit|freeze|page|follow"
    r"|document|write|publish|sync|replicate|restore|buy|order|reorder|stock|pick|pack|deliver|outsource|work|plan|estimate|migrate|branch|squash|cap|reserve|issue|grant|expire|start|end|begin|follow|ship|share|don'?t|do\ not"
    r"|put|prefix|suffix|adhere|rely|stick|standardi[sz]ed?|pin|take|apply|look|go|handle|provision|write\ off|sunset|have|need|must|aren'?t|prefer|schedule|sample|enforce|ban|forbid|avoid|carry|map)"
)
_SUBJECT = r"(?:we|our\ (?:team|company|org|organi[sz]ation|group|finance\ team|data\ team|business|department)|finance|the\ (?:finance|data|platform|ops|operations|product|sales|support|infra|infrastructure|engineering|security|legal)\ team)"
_PLACE = r"(?:in|at|within|across)\ (?:this|our|the)\ (?:\w+\ )?(?:company|team|org|organi[sz]ation|repo|repository|codebase|monorepo|business|department|project|shop|warehouse|data\ platform)|company-?\ ?wide|org-?\ ?wide|team-?\ ?wide|(?:around|over)\ here\b|here\ at\ \w+|\bat\ acme\b"

RULED = _any(
    r"\b(?:that'?s|that\ is|this\ is|it'?s|it\ is|which\ is)\ (?:a|our|the|just\ our)\ (?:(?:company|team|house|hard|strict|internal|org|group|general)[\ -](?:wide\ )?)?(?:rule|policy|convention|standard|definition|agreement)\b",
    r"\b(?:our|team|company|house|internal|org|group)\ (?:[\w-]+\ ){0,4}(?:conventions?|polic(?:y|ies)|standards?|rules?|definitions?|guidelines?|style|scheme|practice|sop|cadence|thresholds?|cutoff|cut-off|targets?|agreement|naming|glossary)\b"
    r"[^.]{0,60}?\b(?:is|are|says?|requires?|states?|means?|calls\ for|applies|forbids?|prohibits?|=)\b",
    r"\b(?:company|team|org|house|internal)\ (?:policy|convention|rule|standard|definition)\b\s*[:=-]",
    rf"\b{_SUBJECT}\ (?:always|never|only\ ever|strictly|exclusively|as\ a\ rule|by\ (?:policy|convention))\b",
    rf"(?:^|,\s)(?:always|never|no\ one|nobody|everyone|everybody|all|every)\b.{{1,150}}\b(?:{_PLACE})",
    rf"(?:{_PLACE}),?\s.{{0,40}}\b(?:we|all|every|everything|everyone|always|never|nobody|no)\b",
    r"\bby\ (?:convention|policy)\b,?\ (?:we|our|all|every)\b",
    r"\bper\ (?:our|company)\ (?:\w+\ )?(?:policy|convention|standard|rules?)\b",
    r"\b(?:wir|\w+en\ wir)\ (?:immer|nie|niemals|stets|nur|grunds(?:ä|ae)tzlich|ausschlie(?:ß|ss)lich)\b",
    r"\bunsere?\ (?:konvention|regel|richtlinie|vorgabe|definition)\ (?:ist|lautet)\b|\bbei\ uns\ (?:ist|sind|gilt|wird|werden|z(?:ä|ae)hlt|bedeutet|hei(?:ß|ss)t)\b",
)

DEFINED = _any(
    rf"\b{_SUBJECT}\ {_ADVERB}(?:define|call|refer\ to|consider|classify|recogni[sz]e|calculate|compute|measure|categori[sz]e|denominate|capitali[sz]e|amorti[sz]e|accrue)\b(?!\ (?:it|this|that|them)\b\s*$)",
    rf"\b{_SUBJECT}\ {_ADVERB}(?:treat|count|report|track|record|book|bill|invoice|exclude|include|attribute|allocate|forecast|express|close|mean|charge|bill)\b",
    rf"\b{_SUBJECT}\ (?:define|use)\ .{{1,80}}\ (?:as|to\ mean)\b",
    r"\bby\ ['\"]?[\w\ /&'-]{1,50}['\"]?,?\ (?:we|i)\ (?:always\ |actually\ )?mean\b|\bwhen\ (?:we|i|people\ here|anyone\ here|finance|someone\ here)\ (?:say|talk\ about|speak\ of|write)\b.{1,60},?\ (?:we|i|they|it)\ (?:always\ )?means?\b",
    rf"\b(?:is|are|gets?|being|be)\ {_ADVERB}(?:defined|calculated|computed|measured|recogni[sz]ed|denominated|determined|derived)\b\ ?(?:as|by|on|in|from|over|using|with|per|monthly|weekly|daily|quarterly|annually|at|when|net|gross|after|before|relative|against)?",
    rf"\bour\ [\w\ ()/&'-]{{2,70}}?\ (?:is|are)\ {_ADVERB}{_DEFINING}\b",
    r"\bour\ (?:fiscal|financial)\ (?:year|quarters?|calendar)\ (?:starts?|begins?|ends?|runs?|closes?|is)\b|\bfiscal\ (?:year|quarter|q[1-4])[\w\ ]{0,20}\ (?:starts?|begins?|ends?|runs?|closes?)\b",
    r"\b(?:stands\ for|is\ short\ for|is\ (?:our|the)\ (?:internal\ )?(?:name|term|word|abbreviation|code\ ?name|acronym)\ for|is\ what\ we\ call|for\ us,?\ .{1,60}\ (?:means|is))\b",
    r"\b(?:internally,?|here,?|for\ us,?)\ (?:['\"]?[\w\ -]{1,40}['\"]?)\ (?:means|refers\ to|is\ defined|counts\ as)\b",
    r"^['\"][\w\ &/-]{1,40}['\"]\ (?:here\ |always\ |only\ )?(?:means?|refers?\ to|stands\ for|is\ short\ for|denotes?)\b",
    r"\bour\ (?:[\w-]+\ )?(?:term|name|word|abbreviation|code\ ?name|nickname|label|shorthand|jargon)\ for\b",
    r"\bfor\ us\ (?:is|are|means|starts|ends|counts)\b|\bin\ our\ (?:company|team|org|world|terms|book|books|case|group)\ (?:\S+\ ){0,4}?(?:is|are|means?|=|counts?|stands)\b|\b(?:is|are)\ .{1,60}\bfor\ us\b",
    r"\bwe\ need\ to\ (?:track|record|report|capture|measure|bill|invoice|retain|recogni[sz]e|count|reconcile|archive)\b",
    r"\b(?:that|this|it)(?:'?s|\ is)\ (?:exactly\ |precisely\ )?(?:how|what|the\ way|where|when|why)\ (?:we|our|finance|everyone\ here)\b",
    r"\b(?:z(?:ä|ae)hlen|z(?:ä|ae)hlt|gelten|gilt|sind|ist|werden|wird|hei(?:ß|ss)t)\ bei\ uns\b",
    r"\bwir\ (?:definieren|berechnen|z(?:ä|ae)hlen|messen|verbuchen|erfassen|rechnen|nennen)\b|\b(?:ist|sind|wird|werden)\ (?:bei\ uns\ )?.{0,40}\b(?:definiert|berechnet|gemessen|gez(?:ä|ae)hlt|erfasst|verbucht|ermittelt)\b"
    r"|\b(?:wird|werden)\ (?:bei\ uns\ |immer\ |monatlich\ |netto\ |brutto\ )+\b|\bunser\ gesch(?:ä|ae)ftsjahr\ (?:beginnt|startet|endet|l(?:ä|ae)uft)\b|\bverstehen\ wir\b",
)

OURS = _any(
    rf"\b{_SUBJECT}\ {_ADVERB}(?:{_DEFINES}|{_PRACTISES})\b",
    r"\bwe(?:'?re|\ are)\ (?:using|on|running|billing|charging|reporting|counting|tracking|measuring|required|not\ allowed|obliged)\b",
    r"\bour\ (?:[\w()/&'-]+\ ){1,8}?(?:is|are|has|have|lives?|runs?|uses?|starts?|ends?|means?|includes?|excludes?|closes?|counts?|covers?|goes|go|follows?|works?|ships?|opens?|pays?|sells?|measures?|shares?|sends?|sits?|points?|belongs?|expires?|renews?|requires?|allows?|resets?"
    r"|refers?|isn'?t|aren'?t|doesn'?t|don'?t|does|consists?|comes?|equals?|contains?|must|applies|lasts?|takes?|stores?|=)(?=\W|$)",
    r"\bunsere?[rnm]?\ (?:[\w-]+\ ){1,6}?(?:ist|sind|hat|haben|beginnt|endet|l(?:ä|ae)uft|liegt|liegen|umfasst|z(?:ä|ae)hlt)\b|\bwir\ (?:verwenden|nutzen|haben|speichern|rechnen|stellen|liefern|deployen|setzen|arbeiten)\b",
)

_PREDICATE = (
    r"(?:is|are|'s|was|has|have|get|need|mean|count|listens?|turns?|pays?|serves?|cover|end|start|begin|close|run|live|come|belong|hold|own|handed|read|lapses?|rolls?|falls?|moves?|ages?|tags?|carry|carries|accepts?|bills?|sends?|keeps?|decides?|approves?|works?|writes?|lands?|feeds?|ships?|leaves?|comes|contains?|includes?|excludes?|lives?|means?|refers?|counts?|covers?|starts?|ends?|begins?|closes?|runs?|holds?|stores?|uses?|goes|go|=|needs?\ to\ be|should\ (?:be|never|only|always)|must(?:n'?t)?"
    r"|gets?|isn'?t|aren'?t|does(?:n'?t|\ not)|do(?:n'?t|\ not)|comes?|belongs?|maps?|equals?|resets?|renews?|expires?|happens?|applies|apply|sits?|requires?|tracks?|measures?|reports?|owns?|refreshes|updates|loads|only|never|always"
    r"|lasts?|takes?|consists?|depends?|reflects?|represents?|captures?|becomes?|stays?|remains?|can(?:not|'?t)|triggers?|handles?|pages|points?|tops|expects?|stops?|waits?|rotates?|wins?|drops?|accrues?|changes?|replaces?|exceeds?|l(?:ä|ae)uft|laufen|liegt|liegen|geh(?:ö|oe)rt|geh(?:ö|oe)ren|kommt|kommen|geht|gehen|hei(?:ß|ss)t|bedeutet|gilt|gelten|betr(?:ä|ae)gt|steht|stehen|macht|haben|wird|werden|ist|sind|hat|beginnt|endet|enth(?:ä|ae)lt|z(?:ä|ae)hlt|umfasst)"
)
PREDICATE = re.compile(rf"(?:^|(?<=\W)){_PREDICATE}(?=\W|$)", re.VERBOSE)
IT_IS = re.compile(
    r"(?:it|that|this|they|these|those|both)(?:'?s|'?re|\ is|\ are|\ isn'?t|\ aren'?t|\ \w+s)?\b", re.VERBOSE
)

CONTRAST = _any(
    r"(?:,\s*|\s-+\s*|\sand\s|\s\()not\s(?:the\s|on\s|in\s|by\s|a\s|an\s|at\s|from\s|to\s|just\s|per\s)?[\w\"'-]+",
    r"\b(?:rather\ than|instead\ of|as\ opposed\ to)\b",
    r"\b(?:isn'?t|aren'?t|is\ not|are\ not|don'?t|doesn'?t|do\ not|does\ not)\b[^.]{1,120}(?:[;,]|\s-+)\s*(?:but|it'?s|they'?re|it\ is|we|our|rather)\b",
)
ADDITION = re.compile(
    r"(?:and\ |so\ |then\ )?(?:we|it|it'?s|its|this|that|that'?s|they|these|those|both|each|one|the|our|an?|all|any|anything|everything|only|no|every|if|when|once|until|after|unless|so|in|for|by|internal\w*|note|exclu\w+|includ\w+|not"
    r"|wir|das|die|der|dies\w*|es)\b",
    re.VERBOSE,
)
VALUE = re.compile(
    r"\b(?:is|are|was|at)\ (?:now\ |currently\ |only\ |about\ |around\ |roughly\ |up\ |down\ |over\ |under\ )*[$€£]?\d[\d.,]*\ ?(?:%|k|m|bn|x)?(?=\W*$|\s(?:this|last|in|for|and)\b)",
    re.VERBOSE,
)
"""A figure of the day, which is no definition."""

CONDITION = re.compile(
    r"(?:if|when|whenever|once|for|unless|where|after|as\ soon\ as|wenn|falls)\b.{3,160}?(?:,|\bthen\b)?\s*(?:we|it|they|the|our|that|this|wir|only|always|never)\b"
)
"""A condition of a rule: "if a customer downgrades, we count it as contraction"."""

HABIT = re.compile(
    r"\b(?:all|every|each|only|per|monthly|weekly|quarterly|annually|yearly|daily|hourly|exclusively|everywhere|never|always|as\ (?:our|the)|(?:fiscal|financial)\ year|starts?|begins?|ends?|net\ of|gross|source\ of\ truth"
    r"|system\ of\ record|sla|policy|by\ default|at\ most|at\ least|within|except|excluding|including|based|immer|nur|jede[rsn]?|alle)\b",
    re.VERBOSE,
)
"""What makes a practice of something that is done."""

HEADING = re.compile(
    r"\b(?:definitions?|conventions?|terminology|glossary|standards?|rules|polic(?:y|ies)|metrics?|terms|how\ we)\b"
)
"""What a line with a colon announces."""

HABITUAL = _any(
    r"\b(?:always|never|only|every|each|nobody|no\ one|all|any|whatever|by\ design|no\ longer|any\ ?more|regardless|even\ if|for\ historical\ reasons|must\ (?:not|never)|may\ not|not\ allowed|offset\ by|expects?|excluding|including|ignored|includes?|excludes?|weighted|frozen|capped|rounded|converted|derived|mapped|populated|shared|unlimited|combined|(?:is|are)\ (?:in\ )?(?:eur|usd|chf|gbp|cet|net|gross|cents|kilos|grams|pieces|percent)|since\ (?:v?\d|last\ \w+|the\ \w+)|means?|refers?\ to|denotes?|bundles|and\ nowhere\ else|(?:january|february|april|june|july|august|september|october|november|december)(?=\W|$)|historically|since\ (?:19|20)\d\d|otherwise|immer|nie|nur|alle)\b",
    r"\b(?:owned\ by|owns|(?:they|we|who|team|squad|ops|it)\ own|belongs?\ to|responsible\ for|in\ charge\ of|accountable|goes\ to|go\ to|goes\ through|go\ through|handled\ by|made\ by|managed\ by|maintained\ by|run\ by|approved\ by|signed\ off|granted|done\ by|led\ by|decided\ by|written\ by|paid\ by|sits?\ with|reports?\ to|handed\ (?:over\ )?to|handed\ \w+\ over|is\ the\ only|are\ the\ only|reviewed\ by|looked\ after\ by|takes?\ care\ of|looks?\ after|falls?\ under|under\ the\ (?:remit|responsibility)|run\ by|operated\ by|supported\ by|built\ by|taken\ over\ by|took\ over|(?:the\ |^)(?:contact|owner|lead|point\ of\ contact|dri|maintainer|go-to)(?:\ person)?\ (?:for|of|is)|(?:team|squad|group|department|guild)\ (?:runs|maintains|operates|builds|handles|manages|approves|does))\b",
    r"\b(?:named|called|named\ after|tagged|prefixed|suffixed|built\ as|stands\ for|short\ for|code\ ?name|abbreviated|spelled|written\ as|denotes?|known\ as)\b",
    r"\b(?:lives?\ in|runs?\ (?:in|on|at|every|from)|sits?\ in|listens?\ on|hosted\ (?:in|on)|stored\ (?:in|as)|is\ in\ [\w-]*\d|kept\ (?:for|in)|retained|archived|replicated|append-only|backed\ up|restarted\ every|rebuilt|deduplicated|deleted\ after|purged|loaded\ (?:from|by|every)|refreshed|restored)\b",
    r"\b(?:starts?|begins?|ends?|closes?|opens?|happens?|due|resets?|renews?|expires?|lapses?|stops?|rolls?\ over|runs?)\ (?:at|on|in|after|only|every|from|within|while|when|as|by|with)\b|\bis\ (?:mon|tues|wednes|thurs|fri|satur|sun)day\b",
    r"\b(?:within|after|every|for|max|at\ least|at\ most|up\ to|over|under|above|below|than|of)\ (?:a\ |the\ )?(?:\d[\d.,]*|one|two|three|four|five|six|seven|ten|twelve|first|last|fifth|third|second)\b",
    r"\b(?:count(?:s|ed)?\ (?:as|towards|in|toward)|(?:don'?t|doesn'?t|do\ not|does\ not|never)\ count|booked|recogni[sz]ed|invoiced|billed|charged|treated\ as|considered|excluded|included|measured|calculated|computed|reported|based\ on|net\ of|adjusted)\b",
    r"\bour\ (?:[\w-]+\ ){1,6}(?:is|are)\ (?:the\ |at\ )?[\w-]*\d",
    r"\b(?:guarantees?|guaranteed|promised?|commit(?:ted)?\ to|uptime|availability|reachable|answered|acknowledged|slo|sla|source\ of\ truth|minor\ units|system\ of\ record|two\ kinds|policy)\b|\bwe\ have\ (?:two|three|four|five|no)\b|\b(?:comes?\ from|come\ in|go\ by|goes\ by|comes\ in|made\ up\ of|consists?\ of|split\ into)\b|\b(?:moved|migrated|switched|changed|renamed|replaced|retired|merged|consolidated)\ (?:over\ )?(?:to|by|from|into|with|in)\b|\b(?:the\ same\ (?:thing\ )?as|another\ (?:name|word|term)\ for|what\ we\ call|different\ (?:things|from)|in\ our\ (?:world|books?|terms|language|jargon|case))\b|\bon\ (?:the\ |a\ )?(?:\d+(?:st|nd|rd|th)|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|first|last|next)\b|\b(?:gets?|pays?|costs?|takes?|lasts?)\ (?:\d|half|double|twice|two|three|four)|\b(?:hourly|daily|weekly|nightly|monthly|quarterly|yearly|annually)\b|\bat\ (?:noon|midnight|\d)|\d{1,2}[:.]\d\d\b",
    r"^an?\ ['\"]?[\w-]+(?:\ [\w-]+)?['\"]?\ (?:is|counts\ as|becomes|turns\ into|means)\ .{2,80}\b(?:when|if|once|after|as\ soon\ as|with|until)\b",
    r"\b(?:has|have|is|are|do|does|there\ is)\ (?:no|not|n't)\b|\b(?:isn'?t|aren'?t|don'?t|doesn'?t)\b|\bis\ the\b|\bare\ the\b",
)
"""What is so each time: rules, owners, names, places, terms."""

MODAL = re.compile(
    r"\b(?:must|mustn'?t|have\ to|has\ to|needs?|mandatory|should|required|requires?|allowed|forbidden|may\ (?:not|only)|permitted|prohibited|can\ ?not|can'?t)\b",
    re.VERBOSE,
)
"""Rules; or what a program is to do."""

US = re.compile(
    r"\b(?:we|our|ours|us|in-house|internally|externally|here|company|wir|uns|unser\w*)\b(?!\ (?:tax|market|law|government|dollars?)\b)"
)

WORLD = re.compile(
    r"\b(?:git|python|pip|http|https|html|css|javascript|js|typescript|react|vue|node|java|rust|golang|sql|ansi\ sql|regex|linux|unix|bash|zsh|windows|macos|ascii|unicode|utf-8|ieee|iso\ \d+|rfc\ \d+|json|yaml|c\+\+|pandas|numpy"
    r"|tcp|udp|jwt|leap\ (?:year|second)|iso\ weeks?\ (?:start|begin|run)|kilobytes?|unix\ epoch|gregorian|earth|moon|planet|(?:vat|tax|taxes|law)\ in\ (?:germany|france|italy|spain|the\ uk|the\ us|europe|england|switzerland|austria|poland)|in\ (?:germany|france|italy|spain|the\ uk|the\ us|europe|switzerland|austria|poland)\b.{0,40}\b(?:vat|tax|law|kept|invoices)|\d{3}\ (?:is|means))\b"
)
"""What facts of the world are about; they are none of an organisation unless it says "our" or "we"."""

PLAN = _any(
    r"\b(?:should\ i(?!\ (?:take|assume|understand|read|treat\ it))|should\ (?:the|it|this|we|they|all|each)|shall\ i|shall\ we|should\ we|do\ you\ want|would\ you\ like|would\ you\ prefer|want\ me\ to|i\ would|i'?d|i'?ll|i\ will|i\ can|i\ could|can\ i|may\ i|i\ suggest|i\ propose|i\ plan|i'?m\ going\ to|let\ me\ (?:know|do|start)|next\ i"
    r"|go\ ahead|proceed|did\ you\ mean|sounds?\ good|does\ (?:this|that)\ (?:work|sound)|ready\ to|is\ that\ ok(?:ay)?)\b",
    r"\bok(?:ay)?\s*\?\s*$",
)
"""What an assistant is about to do."""

TAIL = re.compile(
    r"(?:so\ |and\ |then\ |but\ |or\ )*(?:(?:can|could|would|will)\ (?:you|u|we)|please|pls|plz|you\ (?:got|can|can'?t|cannot|may|are|have|should|need|must|'?re)|you'?re|that'?s\ why|maybe|perhaps|i\b|i'?m|i'?d|thanks|thx|thank\ you|let|lets|let'?s|what|how|why|who|ok\b|okay|now\b"
    r"|just\ \w+|it\ has\ to\ be|as\ discussed|remember\b|customers\ hate|otherwise\ (?:it|that|all|everything)|the\ rest\ is\ (?:fine|right|ok|correct)|right\b\s*\?)"
)
"""What goes on after a statement in the same sentence, and is none."""

_NO_TAILS = frozenset(
    "not never always only include exclude count sum treat store round test order set list report group build commit format turn start limit query separate model forecast import export load take follow avoid move save call open drop"
    " consider assume divide say think send log deploy".split()  # noqa: SIM905  # a list of words
)
CLAUSE = re.compile(
    r"[,;]\s+|\s-+\s+|\.{2,}\s*|\s+(?=(?:pls|please|thx|can\ (?:you|u)|could\ you|so\ (?:please|keep|use|make|look|fix|filter|drop|add|change|leave))\b)|\s(?=and\s)",
    re.VERBOSE,
)
_FEWEST_LEFT = 4


def end_of(statement: str) -> int:
    """Where a plain statement ends, and goes on with what the assistant is to do or with chat."""
    for boundary in CLAUSE.finditer(statement):
        tail = re.sub(r"^(?:so|and|then|but)\s+", "", statement[boundary.end() : boundary.end() + 80])
        first = re.match(r"[\w'-]+", tail)
        orders = (
            first is not None
            and first[0] not in _NO_TAILS
            and first[0] not in _MAY_BE_NOUNS
            and is_order(tail, known_only=True)
        )
        if boundary[0].isspace() and statement[boundary.end() :].startswith("and ") and not orders:
            continue
        if orders or TAIL.match(tail):
            head = statement[: boundary.start()]
            return len(head) if len(head.split()) >= _FEWEST_LEFT else len(statement)
    return len(statement)


FOR_ALL = re.compile(
    r"\b(?:above|over|below|under|up\ to)\ [$€£]?\d|\b(?:every|any|all|each|nobody|no\ one|no|only|everyone|within\ \d+|after\ \d+|owned\ by|responsible|approved|approval|signed\ off|the\ only|mandatory|must\ (?:not|never)|may\ not|ignored)\b",
    re.VERBOSE,
)
"""What makes a rule of what must be."""

OWNS = re.compile(
    r"\b(?:owned\ by|owns|(?:they|we|who|team|squad|ops)\ own|belongs?\ to\ (?:the\ )?[\w\ -]{1,30}(?:team|squad|group|guild|chapter|department)|responsible\ for|in\ charge\ of|accountable|handled\ by|managed\ by|maintained\ by|made\ by|approved\ by|sits?\ with|handed\ (?:over\ )?to"
    r"|handed\ \w+\ over|goes\ to|go\ to|looked\ after\ by|reports?\ to|lead:|takes?\ care\ of|looks?\ after|falls?\ under|under\ the\ (?:remit|responsibility)|run\ by|operated\ by|supported\ by|built\ by|taken\ over\ by|took\ over|the\ (?:contact|owner|lead|point\ of\ contact|dri|maintainer|go-to)(?:\ person)?\ (?:for|of|is)|(?:team|squad|group|department|guild)\ (?:runs|maintains|operates|builds|handles|manages|approves|does))\b",
    re.VERBOSE,
)
"""Who does what: operations, whatever it is that is done."""

IS_WHEN = re.compile(
    r"^an?\ ['\"]?[\w-]+(?:\ [\w-]+)?['\"]?\ (?:is|counts\ as|becomes|turns\ into|means)\ .{2,80}\b(?:when|if|once|after|as\ soon\ as|until)\b|\b(?:is|are)\ (?:called|named)\b",
    re.VERBOSE,
)
"""A definition by a condition or a name, of something that need not be known."""

FORBIDS = re.compile(r"(?:always|never|only|not|avoid|don'?t)\b")
"""Orders that may be rules: "never commit to main in this repo"."""

ACTED = re.compile(
    r"^(?:\W*(?:done|fixed|ok|okay|great|sure|got\ it|alright|understood)\W+)?(?:i'?ve|i\ have|i\ (?:just\ |also\ |now\ )?(?:put|set|added|made|changed|updated|moved|renamed|created|removed|fixed|used|wrote|implemented|refactored|replaced|named|deleted|sorted|grouped"
    r"|capitali[sz]ed|tagged|numbered|extracted|converted|switched)|the\ \w+\ (?:now|finished|should\ now))\b",
    re.VERBOSE,
)
"""An assistant that tells what it has done; corrections of that are mostly of the work at hand."""

PRODUCT = re.compile(
    r"^(?:the\ )?(?:kafka|redis|postgres\w*|docker|kubernetes|k8s|elasticsearch|mongo\w*|s3|snowflake|bigquery|airflow|nginx|terraform|dbt|spark|rabbitmq|aws|gcp|azure|lambda|graphql|grpc|utc|iso|gdpr|hipaa|pci|ifrs|gaap"
    r"|(?:us|uk|eu|german|french|european|american|federal)\ (?:tax|law|laws|government|fiscal|vat|gdpr|regulations?))\b"
)
"""Products and laws that are the same everywhere, as subjects."""
_OF_A_PLACE = re.compile(
    r"\b(?:prod\w*|staging|clusters?|eu-|us-|ap-|regions?|ports?|retention|on-call|owned|team|backups?|version|accounts?|project)\b|-\d|:\d"
)


_EARLY = 24
"""Characters, in which what a sentence is about is named."""


def is_of_the_world(statement: str) -> bool:
    """Whether a plain statement is of what is the same everywhere, and not of an organisation."""
    if US.search(statement):
        return False
    if PRODUCT.match(statement):
        return _OF_A_PLACE.search(statement) is None
    return WORLD.search(statement[:_EARLY]) is not None


ASKS = re.compile(r"\b(?:can|could|would|will)\ (?:you|we|u|i)\b|\b(?:why|how)\b", re.VERBOSE)
LASTING = re.compile(
    r"\b(?:always|never|only|by\ design|for\ historical\ reasons|each|all|nobody|no\ one|no\ longer|any\ ?more|sla|slo)\b",
    re.VERBOSE,
)
"""What stays so, whatever is asked about it."""

SOFT_CODE = re.compile(
    r"\b(?:imports?|class(?:es)?|objects?|instances?|attributes?|propert(?:y|ies)|commits?|push|index|offset|threads?|diff|patch|handlers?|parsers?|helpers?|requests?|responses?|lists|serializers?|caches?|streams?|bytes?|strings?|integers?|booleans?|floats?)\b"
)
"""Words of code that are words of business as well."""

KINDS = re.compile(
    r"^(?:all\ |any\ )?[\w-]+s\ (?:with|starting|beginning|ending|without|above|over|under|from|below|in|of|on|for|that|who|which|older|younger)\b.{1,80}\b(?:are|have\ to|must|never|always|count|don'?t|go|get|belong)\b"
)
"""What a kind of things is: "SKUs starting with 9 are bundles"."""
APPROVES = re.compile(r"\b(?:signed\ off|approved\ by|approval|sign-off|approvals)\b")

_NO_KINDS = (
    r"(?:rows?|errors?|users?|columns?|fields?|fixtures|values?|items?|results?|images?|pages?|charts?|numbers?|dates?|files?|lines?|colou?rs?|buttons?|entries|words?|messages?|options?|settings?|records?|labels?|titles?|names?|inputs?|lists?|cards?|tabs?|icons?|comments"
    r"|accountants|companies|people|most|others|things|it'?s|this|thanks|always|us|was|is|has|does|yes|as|plus|its|his|perhaps|unless|besides|reports)"
)
GENERIC = re.compile(
    rf"^(?!(?:[\w-]+\ ){{0,2}}{_NO_KINDS}\b)(?:(?!the\b|this\b|that\b|these\b|those\b|my\b|your\b|a\b|an\b|some\b|most\b)[\w-]+\ ){{0,2}}[\w-]+[a-rt-z]s\ (?:(?:with|from|in|above|over|under|below|for|at|of)\ (?:[\w-]+\ ){{1,3}})?"
    r"(?:are|get|go|have|pay|count|run|live|come|start|end|need|must|may|can|can'?t|don'?t|do|belong|expire|renew|close|approve|cost|take|follow|use|work|only|never|always|include|exclude|cannot)\b"
)
"""What is said of a kind of things, without an article: "trainees are billed at half the rate"."""

SARCASM = re.compile(
    r"^(?:right|sure|yeah|great|nice|brilliant|genius|fantastic|lovely|wonderful|oh|wow|of\ course|cool)\b.*\b(?:because|as\ if|obviously|apparently|of\ course|surely)\b|\bas\ if\b|\bwhat\ could\ (?:possibly\ )?go\ wrong|\b(?:genius|brilliant)\b",
    re.VERBOSE,
)

MONEY = re.compile(r"\b\d[\d.,]*\ ?(?:eur|euros?|usd|dollars?|chf|gbp|pounds?|k)\b|[$€£]\ ?\d", re.VERBOSE)

EACH_TIME = re.compile(r"\b(?:always|never|nobody|no\ one|by\ design|by\ policy)\b", re.VERBOSE)
