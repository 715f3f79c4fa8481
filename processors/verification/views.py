"""The views: evidence, items with their confidence and status.

Which item a fact counts to is as of the last step (``knowledge_canonical``); everything else is worked out at each
query, so that confidence really decays.
"""

from processors.contract import View
from processors.verification.redaction import MARK

CORRECTION, DEFINITION, CONFIRMATION = 0.90, 0.90, 0.60
PER_VERIFIER = 0.05
HALF_LIFE_YEARS = 1.0
FLOOR = 0.40
"""How sure an item is: its best evidence, and a little more for each further user; half of it is gone after twelve
months without new evidence, down to the floor."""

_SECONDS_PER_YEAR = 365.25 * 86_400

_BASE = f"""CASE detection_type WHEN 'correction' THEN {CORRECTION}
    WHEN 'unprompted_definition' THEN {DEFINITION} ELSE {CONFIRMATION} END::DOUBLE"""

_STATED_AT = "least(occurred_at, extracted_at)"
"""Nobody states anything after it was read: a time to come, which would never decay, counts as that."""

EVIDENCE = f"""
SELECT
    coalesce(canonical_id, facts.item_id) AS item_id,
    session_file,
    turn_uuid,
    username AS source_user,
    session_file || '#' || turn_uuid AS source_ref,
    detection_type,
    user_quote,
    {_STATED_AT} AS created_at,
    facts.item_id AS stated_as,
    project,
    {_BASE} AS base_confidence
FROM verification_facts AS facts LEFT JOIN knowledge_canonical AS canonical ON canonical.item_id = facts.item_id
-- A turn may state an item in several ways, and a file may hold a turn twice.
QUALIFY row_number() OVER (
    PARTITION BY coalesce(canonical_id, facts.item_id), session_file, turn_uuid
    ORDER BY base_confidence DESC, stated_as
) = 1"""

_DECISIONS = """
SELECT
    item_id,
    arg_max(action, reviewed_at) FILTER (action IN ('approve', 'reject', 'reopen')) AS action,
    max(reviewed_at) FILTER (action IN ('approve', 'reject', 'reopen')) AS reviewed_at,
    arg_max(reviewer, reviewed_at) FILTER (action IN ('approve', 'reject', 'reopen')) AS reviewer,
    arg_max(row(title, content, category, domain, entities, base_confidence, source_user, source_ref,
        first_stated_at, last_stated_at), reviewed_at) FILTER (content IS NOT NULL) AS was
FROM knowledge_reviews GROUP BY item_id"""

STATEMENTS = f"""
WITH stated AS (
    SELECT
        item_id AS id,
        arg_min(row(title, content, domain, entities), ({_STATED_AT}, session_file, turn_uuid)) AS first,
        bool_or(detection_type = 'correction') AS corrects,
        min({_STATED_AT}) AS created_at
    FROM verification_facts GROUP BY item_id
),
decided AS ({_DECISIONS})
SELECT
    coalesce(stated.id, decided.item_id) AS id,
    -- Two texts can be made that have one id; what people decided on stays what they saw.
    coalesce(was[1], first[1]) AS title,
    coalesce(was[2], first[2]) AS content,
    coalesce(first[3], was[4]) AS domain,
    coalesce(first[4], was[5]) AS entities,
    coalesce(stated.corrects, was[3] = 'correction') AS corrects,
    coalesce(action = 'approve', false) AS approved,
    coalesce(action = 'reject', false) AS rejected,
    least(stated.created_at, was[9]) AS created_at
FROM stated FULL JOIN decided ON decided.item_id = stated.id
-- What is found no more stays if it is approved or rejected, and goes if it is pending.
WHERE stated.id IS NOT NULL OR (was[1] IS NOT NULL AND action <> 'reopen')"""

ITEMS = f"""
WITH evidence AS (
    SELECT
        item_id,
        count(*) AS evidence,
        count(DISTINCT source_user) AS verifiers,
        max(base_confidence) AS base_confidence,
        arg_max(detection_type, (base_confidence, -epoch_us(created_at))) AS category,
        arg_min(source_user, (created_at, source_ref)) AS source_user,
        arg_min(source_ref, (created_at, source_ref)) AS source_ref,
        bool_or(contains(user_quote, '{MARK}')) AS redacted,
        min(created_at) AS first_stated_at,
        max(created_at) AS last_stated_at
    FROM verification_evidence GROUP BY item_id
),
decided AS ({_DECISIONS}),
items AS (
    SELECT
        statements.id,
        statements.title,
        statements.content,
        coalesce(evidence.category, was[3]) AS category,
        statements.domain,
        statements.entities,
        CASE action WHEN 'approve' THEN 'approved' WHEN 'reject' THEN 'rejected' ELSE 'pending' END AS status,
        coalesce(evidence.source_user, was[7]) AS source_user,
        coalesce(evidence.source_ref, was[8]) AS source_ref,
        coalesce(evidence.redacted, false) AS redacted,
        coalesce(evidence.base_confidence, was[6]) AS base_confidence,
        coalesce(evidence.evidence, 0) AS evidence,
        coalesce(evidence.verifiers, 0) AS verifiers,
        coalesce(evidence.first_stated_at, was[9]) AS first_stated_at,
        coalesce(evidence.last_stated_at, was[10]) AS last_stated_at,
        reviewer,
        reviewed_at
    FROM knowledge_statements AS statements
    LEFT JOIN evidence ON evidence.item_id = statements.id
    LEFT JOIN decided ON decided.item_id = statements.id
    ANTI JOIN knowledge_canonical AS canonical ON canonical.item_id = statements.id
)
SELECT
    id,
    title,
    content,
    category,
    list_transform(entities, lambda entity: lower(entity)) AS tags,
    status,
    source_user,
    greatest(
        {FLOOR},
        least(1.0, base_confidence + {PER_VERIFIER} * greatest(verifiers - 1, 0))
            * pow(0.5, greatest(date_diff('second', last_stated_at, current_localtimestamp()), 0)
                / {_SECONDS_PER_YEAR * HALF_LIFE_YEARS})
    )::DOUBLE AS confidence,
    domain,
    entities,
    'verification' AS source_type,
    source_ref,
    CASE WHEN redacted THEN 'restricted' ELSE 'internal' END AS sensitivity,
    first_stated_at AS created_at,
    greatest(last_stated_at, reviewed_at) AS updated_at,
    evidence,
    verifiers,
    last_stated_at,
    reviewer,
    reviewed_at
FROM items"""

VIEWS = (
    View("verification_evidence", EVIDENCE),
    View("knowledge_statements", STATEMENTS),
    View("knowledge_items", ITEMS),
)
