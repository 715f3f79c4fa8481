"""What is no statement of an organisation: guesses, errands, states of the work at hand, code, the world."""

import re

from processors.verification.rules.words import any_of

GUESS = any_of(
    r"^(?:suppose|supposing|imagine|hypothetical(?:ly)?|let'?s\ (?:say|assume|pretend|imagine)|what\ if"
    r"|pretend|assum(?:e|ing)|say\ (?:we|our)|for\ example"
    r"|for\ instance|e\.g\.|as\ an\ example|maybe|perhaps|probably|possibly|angenommen|vielleicht|unless|whether)\b",
    r"\b(?:hypothetical(?:ly)?|maybe|perhaps|probably|presumably|i\ guess|i\ (?:don'?t\ |do\ not\ )?think"
    r"|i\ believe|i\ assume[d]?|i\ suppose|i\ wonder"
    r"|i(?:'?m|\ am)\ (?:not\ (?:sure|certain|100%)|unsure|guessing|curious|assuming)|not\ sure|iirc|afaik"
    r"|afair|as\ far\ as\ i\ (?:know|remember|can\ tell)"
    r"|if\ i\ (?:remember|recall)|no\ idea|no\ clue|might|could\ be|may\ be\ (?!\w+ed\b)|supposedly"
    r"|apparently|seems?|seemed|looks\ like|i\ heard|rumou?r|(?<!we\ )assume\ (?:every|that|all|each|an?"
    r"|the|any)|pretend|let'?s\ say"
    r"|would(?:n'?t)?|in\ my\ (?:opinion|view)|imho|imo|if\ you\ ask\ me|honestly|i\ suspect|i\ prefer"
    r"|useless|a\ mess|stupid|awful|terrible|annoying|obviously|oh\ sure|yeah\ great|oh\ great|wow"
    r"|sure,\ because|because\ nobody|good\ choice|bad\ choice|best|better|worse|worst|faster|slower|nicer"
    r"|overengineered|overkill|i\ always|i\ never|i\ like|i\ love|i\ hate|i\ don'?t\ (?:know|remember)"
    r"|don'?t\ quote\ me|gl?aube\ ich|ich\ glaube|vermutlich|wahrscheinlich|tbd|to\ be\ decided"
    r"|haven'?t\ decided)\b",
)
RETOLD = any_of(
    r"\b(?:according\ to|as\ per\ the\ (?:article|blog|docs?)|i\ read|i'?ve\ read)\b",
    r"\b(?:he|she|they|it|who|docs?|documentation|readme|article|post|blog|book|paper|wiki|page|website"
    r"|site|tutorial|e?-?mail|client|customer|vendor|competitor|consultant"
    r"|log|message|comment|ticket|report|stackoverflow|chatgpt|gpt|copilot|linter|compiler|colleague"
    r"|somebody|someone|intern|output|terminal|doc|slide|deck)\s+"
    r"(?:just\ |also\ )?(?:says?|said|wrote|writes|claims?|claimed|states?|stated|reads?|told|mentions?"
    r"|mentioned|thinks?|thought|insists?|suggests?|complains?)\b",
    r"\bused\ to\b|\bin\ the\ (?:book|article|tutorial|example|docs|novel|story|game|paper)\b|\blol\b|/s$"
    r"|\byeah,?\ right\b|\bhaha",
)
FOREIGN = any_of(
    r"\b(?:their|his|her)\ (?:company|team|policy|convention|definition)\b", r"\bcompetitors?\b(?!.*\bwe\b)"
)
ERRAND = any_of(
    r"^(?:i|i'?m|i'?d|i'?ll|i'?ve|my|me)\b(?!\ (?:mean|meant)\b)",
    r"\b(?:can|could|would|will)\ you\b|\bplease\b|\bpls\b|\byou\ (?:should|need|must|have\ to|can|could"
    r"|forgot|missed|added|removed|used|wrote|did|didn'?t|broke|changed|keep|put|deleted|ran)\b",
    r"\bi\ (?:want|need|meant|asked|said|wanted|would\ like|told|expected|tried|see|saw|get|got)\b"
    r"|\bi'd\ like\b|\blet(?:'?s|\ us|\ me)\b|\bwe\ get\ (?:a|an|the|no|errors?|timeouts?)\b|(?:,|but"
    r"|and)\ (?:it|they|this|that)\ should\b(?!\ (?:never|always))",
    r"\bwe\ (?:should|could|might|may|would|want|wanted|tried|had|were|did|got|saw|lost|broke|fixed|found"
    r"|will|just|are\ going|have\ to\ (?:fix|add|change|make|do|get|find|update|remove)"
    r"|have\ a|have\ an|have\ some|need\ (?:a|an|some|the|it|this|that|your|more|another))\b",
    r"\bwe(?:'?ll|'?d)\b|\bwe(?:'?re|\ are)\ (?:going|seeing|getting|trying|building|working|looking"
    r"|planning|migrating|thinking|having|debugging|about|missing|stuck|not\ (?:sure|done))\b",
    r"\bwe\ (?:can|cannot|can'?t)\ (?:just|also|now|then|simply|fix|use|do|skip|add|try|move|start|go)\b",
    r"\bwe\ need\ to\ (?!(?:track|record|report|capture|measure|log|bill|invoice|retain|disclose"
    r"|recogni[sz]e|count|reconcile|audit|archive)\b)",
)
"""What a person wants, has done, or is about to do: no fact of an organisation."""
PASSING = any_of(
    r"\b(?:today(?!'s)|yesterday(?!'s)|tomorrow|yet|currently|(?:is|are)\ being|still\ (?:running|loading"
    r"|open|waiting|in\ progress|pending)|but\ (?:it|they)\ (?:has|have|is|are|do|does|shows?|contains?"
    r"|returns?)|right\ now|just\ now|at\ the\ moment|this\ (?:morning|afternoon|time|evening)|last\ night"
    r"|tonight|for\ now|so\ far|this\ (?:week|month|sprint|quarter)|next\ (?:week|sprint)|until\ (?:monday"
    r"|tuesday|wednesday|thursday|friday|tomorrow|next|further|\d)|out\ (?:of\ office|sick)"
    r"|on\ (?:vacation|holiday|leave)|in\ progress|half\ done|not\ final|under\ maintenance|temporarily"
    r"|since\ (?:monday|tuesday|wednesday|thursday|friday))\b",
    r"^when\ (?:you|i)\b|\bfor\ this\ \w+|\bin\ this\ (?!company|team|org|house|repo|codebase|business)\w+"
    r"|\b(?:is|are)\ (?:\w+\ )?(?:shown|skipped|imported|displayed|sorted|rendered|listed|printed"
    r"|duplicated|generated|shifted|swapped|cut\ off|truncated|selected|highlighted)\b|\btwice\b"
    r"|\b(?:order|invoice|ticket|customer|account|issue|pr|case|client)\ \#?\d{3,}|\b(?:build|builds"
    r"|tests?|suite|job|query|run|page|import|pipeline|deploy|script|ci|sync|install)\ (?:takes?|took)\b"
    r"|\bin\ (?:this|that|the)\ (?:file|function|pr|branch|commit|script|query|chart|plot|test|diff"
    r"|notebook|method|module|loop|spreadsheet|exercise|toy|demo|prototype)\b",
    r"\b(?:is|are|was|were|'s)\s+(?:still\ |all\ |also\ |now\ |completely\ )?(?:broken|failing|down|slow"
    r"|wrong|missing|empty|off|unused|undefined|stale|misaligned|stuck|dead|flaky"
    r"|returning|throwing|showing|crashing|hanging|timing|getting|giving|not\ (?:working|showing|found"
    r"|loading|defined|set|needed|there|passing)|ready|done|great|fine|good|bad|ugly"
    r"|confusing|huge|weird|too|very|so|pretty|really|looking)\b",
    r"\b(?:doesn'?t|does\ not|didn'?t|don'?t|isn'?t|won'?t)\ (?:work|compile|match|load|render|exist"
    r"|make\ sense|look|build|pass|run|help|show)\b|\bstopped\b|\bkeeps?\ \w+ing\b",
    r"\b(?:there'?s|there\ is|there\ are|here'?s|here\ is)\s+(?:a|an|no|some|still|the)\b",
)
"""What passes: states of the work at hand."""
CODE = any_of(
    r"\b(?:functions?|(?<!payment\ )(?<!shipping\ )(?<!delivery\ )methods?|loops?|variables?|parameters?"
    r"|arguments?|regex|regexp|refactor\w*|typo|syntax|compil\w+|indent\w*|traceback|stack\ ?trace"
    r"|exceptions?|null\ pointer"
    r"|line\ \d+|unit\ tests?|tests?(?!\ (?:orders?|accounts?|customers?|users?|data|drives?|stores?"
    r"|bookings?))|(?:still\ |also\ |always\ )?fails|failing|crash\w*|bugs?|buggy|for\ loop|docstrings?"
    r"|mock\w*|fixtures?|lambda|async|await|decorators?|boolean|constructor|subclass|interface"
    r"|callback|caller|element|hook|cli|flags?\ (?:that|to)|http\ \d+|immutable|mutable|tuples?|routers?"
    r"|middleware|the\ (?:form|output|config|page|screen|dialog|menu|input|timeout)|props?|components?|css"
    r"|div|buttons?|modal|navbar|sidebar|pixels?|px|font|tooltip|dropdown|checkbox|margin-\w+|padding"
    r"|z-index|flexbox|hover|placeholder|header\ file|stdout|stderr"
    r"|stdin|segfault|pointer|struct|enum|array|dict|dictionary|tuple|hashmap|linked\ list|recursion"
    r"|iterator|getter|setter|return\ (?:type|value)s?|returns?\ (?:none|null|a|an|the|true|false)"
    r"|signature|module|package\.json|requirements\.txt|dockerfile|makefile|gitignore|readme|rebase"
    r"|merge\ conflict|stash|git\ checkout|cursor|keyboard|key\ ?binding"
    r"|import\ error|exit\ code|stack\ overflow|off-by-one|mutex|race\ condition|cache\ key|off\ by\ one"
    r"|the\ (?:code|script|file|fix|build|output|page|spec|prompt|screenshot|ui|plan|design|version"
    r"|approach)"
    r"|your\ \w+|colou?rs?|the\ first\ one|the\ second\ one|the\ other\ one|option\ [ab12]"
    r"|lines?\ of\ code|the\ endpoint|404|50[0-4]|returns?\ \d{3}|null|nan|undefined)\b",
    r"\w\(\)|\w[?!]/\d|\b\d+\ ?m?s\b|</?(?:td|tr|th|div|span|ul|li|table|button|input|form|img)\b"
    r"|\b[\w/.-]+\.(?:py|pyi|tsx?|jsx?|go|rs|java|cpp|hpp|html|css|scss|json|ya?ml|toml|md|sh|txt|ipynb"
    r"|lock|cfg|ini|rb|php|sql|proto)\b|=>|->|::|==|!=|&&|\|\||[{}\\]|(?:^|\s)\.?/?[\w-]+/(?=[\s,.;:]|$)"
    r"|\bself\.|\bthis\.",
)
"""What is talk about code."""
VALUE = re.compile(
    r"\b(?:is|are|was|at)\ (?:now\ |currently\ |only\ |about\ |around\ |roughly\ |up\ |down\ |over\ "
    r"|under\ )*[$€£]?\d[\d.,]*\ ?(?:%|k|m|bn|x)?(?=\W*$|\s(?:this|last|in|for|and)\b)",
    re.VERBOSE,
)
"""A figure of the day, which is no definition."""
US = re.compile(
    r"\b(?:we|our|ours|us|in-house|internally|externally|here|company|wir|uns|unser\w*)\b(?!\ (?:tax"
    r"|market|law|government|dollars?)\b)"
)
WORLD = re.compile(
    r"\b(?:git|python|pip|http|https|html|css|javascript|js|typescript|react|vue|node|java|rust|golang|sql"
    r"|ansi\ sql|regex|linux|unix|bash|zsh|windows|macos|ascii|unicode|utf-8|ieee|iso\ \d+|rfc\ \d+|json"
    r"|yaml|c\+\+|pandas|numpy"
    r"|tcp|udp|jwt|leap\ (?:year|second)|iso\ weeks?\ (?:start|begin|run)|kilobytes?|unix\ epoch|gregorian"
    r"|earth|moon|planet|(?:vat|tax|taxes|law)\ in\ (?:germany|france|italy|spain|the\ uk|the\ us|europe"
    r"|england|switzerland|austria|poland)|in\ (?:germany|france|italy|spain|the\ uk|the\ us|europe"
    r"|switzerland|austria|poland)\b.{0,40}\b(?:vat|tax|law|kept|invoices)|\d{3}\ (?:is|means))\b"
)
"""What facts of the world are about; they are none of an organisation unless it says "our" or "we"."""
PLAN = any_of(
    r"\b(?:should\ i(?!\ (?:take|assume|understand|read|treat\ it))|should\ (?:the|it|this|we|they|all"
    r"|each)|shall\ i|shall\ we|should\ we|do\ you\ want|would\ you\ like|would\ you\ prefer|want\ me\ to"
    r"|i\ would|i'?d|i'?ll|i\ will|i\ can|i\ could|can\ i|may\ i|i\ suggest|i\ propose|i\ plan"
    r"|i'?m\ going\ to|let\ me\ (?:know|do|start)|next\ i"
    r"|go\ ahead|proceed|did\ you\ mean|sounds?\ good|does\ (?:this|that)\ (?:work|sound)|ready\ to"
    r"|is\ that\ ok(?:ay)?)\b",
    r"\bok(?:ay)?\s*\?\s*$",
)
"""What an assistant is about to do."""
ACTED = re.compile(
    r"^(?:\W*(?:done|fixed|ok|okay|great|sure|got\ it|alright|understood)\W+)?(?:i'?ve|i\ have"
    r"|i\ (?:just\ |also\ |now\ )?(?:put|set|added|made|changed|updated|moved|renamed|created|removed"
    r"|fixed|used|wrote|implemented|refactored|replaced|named|deleted|sorted|grouped"
    r"|capitali[sz]ed|tagged|numbered|extracted|converted|switched)|the\ \w+\ (?:now|finished|should\ now))\b",
    re.VERBOSE,
)
"""An assistant that tells what it has done; corrections of that are mostly of the work at hand."""
PRODUCT = re.compile(
    r"^(?:the\ )?(?:kafka|redis|postgres\w*|docker|kubernetes|k8s|elasticsearch|mongo\w*|s3|snowflake"
    r"|bigquery|airflow|nginx|terraform|dbt|spark|rabbitmq|aws|gcp|azure|lambda|graphql|grpc|utc|iso|gdpr"
    r"|hipaa|pci|ifrs|gaap"
    r"|(?:us|uk|eu|german|french|european|american|federal)\ (?:tax|law|laws|government|fiscal|vat|gdpr"
    r"|regulations?))\b"
)
"""Products and laws that are the same everywhere, as subjects."""
_OF_A_PLACE = re.compile(
    r"\b(?:prod\w*|staging|clusters?|eu-|us-|ap-|regions?|ports?|retention|on-call|owned|team|backups?"
    r"|version|accounts?|project)\b|-\d|:\d"
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


SOFT_CODE = re.compile(
    r"\b(?:imports?|class(?:es)?|objects?|instances?|attributes?|propert(?:y|ies)|commits?|push|index"
    r"|offset|threads?|diff|patch|handlers?|parsers?|helpers?|requests?|responses?|lists|serializers?"
    r"|caches?|streams?|bytes?|strings?|integers?|booleans?|floats?)\b"
)
"""Words of code that are words of business as well."""
SARCASM = re.compile(
    r"^(?:right|sure|yeah|great|nice|brilliant|genius|fantastic|lovely|wonderful|oh|wow|of\ course"
    r"|cool)\b.*\b(?:because|as\ if|obviously|apparently|of\ course|surely)\b|\bas\ if\b"
    r"|\bwhat\ could\ (?:possibly\ )?go\ wrong|\b(?:genius|brilliant)\b",
    re.VERBOSE,
)
