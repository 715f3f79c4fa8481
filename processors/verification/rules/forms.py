"""The forms of statements, and how sure they make it that an organisation is spoken of."""

import re
from enum import IntEnum

from processors.verification.rules.words import any_of


class Strength(IntEnum):
    """How sure it is that a sentence states a fact of an organisation."""

    NONE = 0
    STATED = 1
    OURS = 2
    DEFINED = 3
    RULED = 4


_DEFINING = (
    r"(?:defined|calculated|computed|measured|determined|derived|counted|tracked|recogni[sz]ed|billed"
    r"|invoiced|reported|recorded|booked|classified|treated|considered|based|expressed"
    r"|denominated|split|weighted|normali[sz]ed|reconciled|attributed|allocated|amorti[sz]ed|accrued"
    r"|aggregated|capped|prorated|pro-rated|excluded|included)"
)
DEFINED_BY = _DEFINING
_ADVERB = (
    r"(?:(?:always|never|only|usually|generally|typically|strictly|also|actually|currently|explicitly"
    r"|deliberately|officially|internally|still|do(?:n'?t|\ not)|all|both|normally|really|exclusively"
    r"|by\ convention|by\ default|by\ policy|as\ a\ rule|in\ fact|now|mostly)\s+){0,3}"
)
_DEFINES = (
    r"(?:define|call|refer\ to|consider|treat|count|classify|recogni[sz]e|calculate|compute|measure"
    r"|categori[sz]e|report|track|record|denominate|book|bill|invoice|exclude|include|express|derive|split"
    r"|capitali[sz]e|amorti[sz]e|accrue|attribute|allocate|close|forecast|budget|reconcile|charge|segment"
    r"|score|prorate|weigh|base|mean|understand|distinguish|differentiate)"
)
_PRACTISES = (
    r"(?:use|run|deploy|release|ship|store|keep|pay|round|convert|host|log|archive|retain|sell|accept"
    r"|support|require|allow|offer|operate|review|rotate|back\ up|tag|name|version|sign|own|anonymi[sz]e"
    r"|mask"
    r"|hash|encrypt|purge|delete|partition|snapshot|load|refresh|send|escalate|respond|resolve|assign"
    r"|route|approve|refund|onboard|renew|cancel|quote|price|discount|expense|hedge|audit|freeze|page"
    r"|follow"
    r"|document|write|publish|sync|replicate|restore|buy|order|reorder|stock|pick|pack|deliver|outsource"
    r"|work|plan|estimate|migrate|branch|squash|cap|reserve|issue|grant|expire|start|end|begin|follow|ship"
    r"|share|don'?t|do\ not"
    r"|put|prefix|suffix|adhere|rely|stick|standardi[sz]ed?|pin|take|apply|look|go|handle|provision"
    r"|write\ off|sunset|have|need|must|aren'?t|prefer|schedule|sample|enforce|ban|forbid|avoid|carry|map)"
)
_SUBJECT = (
    r"(?:we|our\ (?:team|company|org|organi[sz]ation|group|finance\ team|data\ team|business|department)"
    r"|finance|the\ (?:finance|data|platform|ops|operations|product|sales|support|infra|infrastructure"
    r"|engineering|security|legal)\ team)"
)
_PLACE = (
    r"(?:in|at|within|across)\ (?:this|our|the)\ (?:\w+\ )?(?:company|team|org|organi[sz]ation|repo|repository"
    r"|codebase|monorepo|business|department|project|shop|warehouse|data\ platform)|company-?\ ?wide"
    r"|org-?\ ?wide|team-?\ ?wide|(?:around|over)\ here\b|here\ at\ \w+|\bat\ acme\b"
)
RULED = any_of(
    r"\b(?:that'?s|that\ is|this\ is|it'?s|it\ is|which\ is)\ (?:a|our|the|just\ our)\ (?:(?:company|team"
    r"|house|hard|strict|internal|org|group|general)[\ -](?:wide\ )?)?(?:rule|policy|convention|standard"
    r"|definition|agreement)\b",
    r"\b(?:our|team|company|house|internal|org|group)\ (?:[\w-]+\ ){0,4}(?:conventions?|polic(?:y|ies)"
    r"|standards?|rules?|definitions?|guidelines?|style|scheme|practice|sop|cadence|thresholds?|cutoff"
    r"|cut-off|targets?|agreement|naming|glossary)\b"
    r"[^.]{0,60}?\b(?:is|are|says?|requires?|states?|means?|calls\ for|applies|forbids?|prohibits?|=)\b",
    r"\b(?:company|team|org|house|internal)\ (?:policy|convention|rule|standard|definition)\b\s*[:=-]",
    rf"\b{_SUBJECT}\ (?:always|never|only\ ever|strictly|exclusively|as\ a\ rule|by\ (?:policy|convention))\b",
    rf"(?:^|,\s)(?:always|never|no\ one|nobody|everyone|everybody|all|every)\b.{{1,150}}\b(?:{_PLACE})",
    rf"(?:{_PLACE}),?\s.{{0,40}}\b(?:we|all|every|everything|everyone|always|never|nobody|no)\b",
    r"\bby\ (?:convention|policy)\b,?\ (?:we|our|all|every)\b",
    r"\bper\ (?:our|company)\ (?:\w+\ )?(?:policy|convention|standard|rules?)\b",
    r"\b(?:wir|\w+en\ wir)\ (?:immer|nie|niemals|stets|nur|grunds(?:ä|ae)tzlich|ausschlie(?:ß|ss)lich)\b",
    r"\bunsere?\ (?:konvention|regel|richtlinie|vorgabe|definition)\ (?:ist|lautet)\b|\bbei\ uns\ (?:ist"
    r"|sind|gilt|wird|werden|z(?:ä|ae)hlt|bedeutet|hei(?:ß|ss)t)\b",
)
DEFINED = any_of(
    rf"\b{_SUBJECT}\ {_ADVERB}(?:define|call|refer\ to|consider|classify|recogni[sz]e|calculate|compute"
    rf"|measure|categori[sz]e|denominate|capitali[sz]e|amorti[sz]e|accrue)\b(?!\ (?:it|this|that"
    rf"|them)\b\s*$)",
    rf"\b{_SUBJECT}\ {_ADVERB}(?:treat|count|report|track|record|book|bill|invoice|exclude|include"
    rf"|attribute|allocate|forecast|express|close|mean|charge|bill)\b",
    rf"\b{_SUBJECT}\ (?:define|use)\ .{{1,80}}\ (?:as|to\ mean)\b",
    r"\bby\ ['\"]?[\w\ /&'-]{1,50}['\"]?,?\ (?:we|i)\ (?:always\ |actually\ )?mean\b|\bwhen\ (?:we|i"
    r"|people\ here|anyone\ here|finance|someone\ here)\ (?:say|talk\ about|speak\ of"
    r"|write)\b.{1,60},?\ (?:we|i|they|it)\ (?:always\ )?means?\b",
    rf"\b(?:is|are|gets?|being|be)\ {_ADVERB}(?:defined|calculated|computed|measured|recogni[sz]ed"
    rf"|denominated|determined|derived)\b\ ?(?:as|by|on|in|from|over|using|with|per|monthly|weekly|daily"
    rf"|quarterly|annually|at|when|net|gross|after|before|relative|against)?",
    rf"\bour\ [\w\ ()/&'-]{{2,70}}?\ (?:is|are)\ {_ADVERB}{_DEFINING}\b",
    r"\bour\ (?:fiscal|financial)\ (?:year|quarters?|calendar)\ (?:starts?|begins?|ends?|runs?|closes?"
    r"|is)\b|\bfiscal\ (?:year|quarter|q[1-4])[\w\ ]{0,20}\ (?:starts?|begins?|ends?|runs?|closes?)\b",
    r"\b(?:stands\ for|is\ short\ for|is\ (?:our|the)\ (?:internal\ )?(?:name|term|word|abbreviation"
    r"|code\ ?name|acronym)\ for|is\ what\ we\ call|for\ us,?\ .{1,60}\ (?:means|is))\b",
    r"\b(?:internally,?|here,?|for\ us,?)\ (?:['\"]?[\w\ -]{1,40}['\"]?)\ (?:means|refers\ to|is\ defined"
    r"|counts\ as)\b",
    r"^['\"][\w\ &/-]{1,40}['\"]\ (?:here\ |always\ |only\ )?(?:means?|refers?\ to|stands\ for"
    r"|is\ short\ for|denotes?)\b",
    r"\bour\ (?:[\w-]+\ )?(?:term|name|word|abbreviation|code\ ?name|nickname|label|shorthand|jargon)\ for\b",
    r"\bfor\ us\ (?:is|are|means|starts|ends|counts)\b|\bin\ our\ (?:company|team|org|world|terms|book"
    r"|books|case|group)\ (?:\S+\ ){0,4}?(?:is|are|means?|=|counts?|stands)\b|\b(?:is"
    r"|are)\ .{1,60}\bfor\ us\b",
    r"\bwe\ need\ to\ (?:track|record|report|capture|measure|bill|invoice|retain|recogni[sz]e|count"
    r"|reconcile|archive)\b",
    r"\b(?:that|this|it)(?:'?s|\ is)\ (?:exactly\ |precisely\ )?(?:how|what|the\ way|where|when"
    r"|why)\ (?:we|our|finance|everyone\ here)\b",
    r"\b(?:z(?:ä|ae)hlen|z(?:ä|ae)hlt|gelten|gilt|sind|ist|werden|wird|hei(?:ß|ss)t)\ bei\ uns\b",
    r"\bwir\ (?:definieren|berechnen|z(?:ä|ae)hlen|messen|verbuchen|erfassen|rechnen|nennen)\b|\b(?:ist"
    r"|sind|wird|werden)\ (?:bei\ uns\ )?.{0,40}\b(?:definiert|berechnet|gemessen|gez(?:ä|ae)hlt|erfasst"
    r"|verbucht|ermittelt)\b"
    r"|\b(?:wird|werden)\ (?:bei\ uns\ |immer\ |monatlich\ |netto\ |brutto\ )+\b|\bunser\ gesch(?:ä"
    r"|ae)ftsjahr\ (?:beginnt|startet|endet|l(?:ä|ae)uft)\b|\bverstehen\ wir\b",
)
OURS = any_of(
    rf"\b{_SUBJECT}\ {_ADVERB}(?:{_DEFINES}|{_PRACTISES})\b",
    r"\bwe(?:'?re|\ are)\ (?:using|on|running|billing|charging|reporting|counting|tracking|measuring"
    r"|required|not\ allowed|obliged)\b",
    r"\bour\ (?:[\w()/&'-]+\ ){1,8}?(?:is|are|has|have|lives?|runs?|uses?|starts?|ends?|means?|includes?"
    r"|excludes?|closes?|counts?|covers?|goes|go|follows?|works?|ships?|opens?|pays?|sells?|measures?"
    r"|shares?|sends?|sits?|points?|belongs?|expires?|renews?|requires?|allows?|resets?"
    r"|refers?|isn'?t|aren'?t|doesn'?t|don'?t|does|consists?|comes?|equals?|contains?|must|applies|lasts?"
    r"|takes?|stores?|=)(?=\W|$)",
    r"\bunsere?[rnm]?\ (?:[\w-]+\ ){1,6}?(?:ist|sind|hat|haben|beginnt|endet|l(?:ä|ae)uft|liegt|liegen"
    r"|umfasst|z(?:ä|ae)hlt)\b|\bwir\ (?:verwenden|nutzen|haben|speichern|rechnen|stellen|liefern|deployen"
    r"|setzen|arbeiten)\b",
)
_PREDICATE = (
    r"(?:is|are|'s|was|has|have|get|need|mean|count|listens?|turns?|pays?|serves?|cover|end|start|begin"
    r"|close|run|live|come|belong|hold|own|handed|read|lapses?|rolls?|falls?|moves?|ages?|tags?|carry"
    r"|carries|accepts?|bills?|sends?|keeps?|decides?|approves?|works?|writes?|lands?|feeds?|ships?"
    r"|leaves?|comes|contains?|includes?|excludes?|lives?|means?|refers?|counts?|covers?|starts?|ends?"
    r"|begins?|closes?|runs?|holds?|stores?|uses?|goes|go|=|needs?\ to\ be|should\ (?:be|never|only"
    r"|always)|must(?:n'?t)?"
    r"|gets?|isn'?t|aren'?t|does(?:n'?t|\ not)|do(?:n'?t|\ not)|comes?|belongs?|maps?|equals?|resets?"
    r"|renews?|expires?|happens?|applies|apply|sits?|requires?|tracks?|measures?|reports?|owns?|refreshes"
    r"|updates|loads|only|never|always"
    r"|lasts?|takes?|consists?|depends?|reflects?|represents?|captures?|becomes?|stays?|remains?|can(?:not"
    r"|'?t)|triggers?|handles?|pages|points?|tops|expects?|stops?|waits?|rotates?|wins?|drops?|accrues?"
    r"|changes?|replaces?|exceeds?|l(?:ä|ae)uft|laufen|liegt|liegen|geh(?:ö|oe)rt|geh(?:ö|oe)ren|kommt"
    r"|kommen|geht|gehen|hei(?:ß|ss)t|bedeutet|gilt|gelten|betr(?:ä|ae)gt|steht|stehen|macht|haben|wird"
    r"|werden|ist|sind|hat|beginnt|endet|enth(?:ä|ae)lt|z(?:ä|ae)hlt|umfasst)"
)
PREDICATE = re.compile(rf"(?:^|(?<=\W)){_PREDICATE}(?=\W|$)", re.VERBOSE)
CONTRAST = any_of(
    r"(?:,\s*|\s-+\s*|\sand\s|\s\()not\s(?:the\s|on\s|in\s|by\s|a\s|an\s|at\s|from\s|to\s|just\s|per\s)?[\w\"'-]+",
    r"\b(?:rather\ than|instead\ of|as\ opposed\ to)\b",
    r"\b(?:isn'?t|aren'?t|is\ not|are\ not|don'?t|doesn'?t|do\ not|does\ not)\b[^.]{1,120}(?:[;,]"
    r"|\s-+)\s*(?:but|it'?s|they'?re|it\ is|we|our|rather)\b",
)
CONDITION = re.compile(
    r"(?:if|when|whenever|once|for|unless|where|after|as\ soon\ as|wenn|falls)\b.{3,160}?(?:,"
    r"|\bthen\b)?\s*(?:we|it|they|the|our|that|this|wir|only|always|never)\b"
)
"""A condition of a rule: "if a customer downgrades, we count it as contraction"."""
