"""The nouns that organisations talk about: what a sentence is about, and in which domain that is.

The names are those of public glossaries: of subscription and sales metrics, of accounting, of data warehouses, of
operating software. A word that means too much in talk about code (value, report, test, class) is not among them.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from processors.verification.model import Domain
from processors.verification.rules.words import words

_NOUNS: dict[Domain, str] = {
    "finance": """
        churn, churn rate, MRR, ARR, CAC, LTV, CLV, ARPU, ARPA, ACV, TCV, GMV, NRR, GRR, EBITDA, COGS, OPEX,
        CAPEX, DSO, ROI, ROAS, VAT, IFRS, GAAP, P&L, revenue, net revenue, gross revenue, revenue recognition,
        recurring revenue, deferred revenue, invoices, billing, billing cycle, margin, gross margin,
        contribution margin, take rate, profit, budget, forecast, forecasted=forecast, quarters, fiscal year,
        financial year, fiscal quarter, fiscal calendar, month-end close, bookings, refunds, discounts, taxes,
        sales tax, payments, payment terms, pricing, subscriptions, cancellations, contraction, expansion,
        downgrades, cash flow, burn rate, runway, payroll, ledger, general ledger, journal entries, accruals,
        payables, receivables, depreciation, amortization, commissions, exchange rate, exchange rates, FX rate,
        FX rates, FX, currency, currencies, credit notes, cost center, cost centre, expenses, chargebacks,
        payback period, hurdle rate, discount rate, write-offs, late fees, fees, average order value, AOV,
        marketing spend, purchase orders, POs, annual contracts, money, amounts, amount, prices, price, list
        price, net price, gross price, cents, percentages, board pack, dunning, proration, deposit, deposits,
        down payment, refund rate, overage, vouchers, voucher, gift cards, coupons, credits, commission,
        royalties, royalty, premiums, premium, interest, loan, loans, rent, salaries, salary, bonus, bonuses,
        cost, costs, COGS, net retention, surcharge, surcharges, tariff, tariffs, per diem, nonprofits, book
        value, valuation, cash, bank, installments, instalments, seat price, free shipping, minimum order,
        turnover, utilisation, utilization, donations, Rabatt, Rabatte, Gutschrift, Gutschriften, Gewinn,
        Steuer, Preise, Preis, Kosten, Umsatz, Umsätze, Rechnung, Rechnungen, Marge, Deckungsbeitrag,
        Geschäftsjahr, Kündigungen, Abwanderung, Mehrwertsteuer, Bestellwert
        """,
    "product": """
        NPS, CSAT, CES, MAU, DAU, WAU, retention, retention rate, activation, activation rate, onboarding,
        licences, seats, seat count, trials, trial period, free trial, trial users, funnel, conversion,
        conversion rate, engagement, experiments, A/B tests, cohorts, cohort, roadmap, personas, signups,
        sign-ups, sessions, stickiness, power users, active users, active user, free tier, paid tier, pro plan,
        enterprise plan, starter plan, premium plan, users, user, beta program, early access, customer
        satisfaction, adoption, adoption rate, monthly active users, daily active users, north star, north star
        metric, paywall, workspace, bounce rate, Nutzer
        """,
    "operations": """
        CRM, orders, SLA, SLAs, support tickets, tickets, escalations, vendors, suppliers, shipments, inventory,
        fulfilment, fulfillment, returns, return rate, lead time, procurement, sales pipeline, leads, qualified
        lead, qualified leads, MQL, SQLs, opportunities, deals, account managers, account executives,
        Salesforce, HubSpot, Zendesk, compliance, headcount, internal reporting, contracts, renewals, customers,
        customer, clients, client, accounts, stock, safety stock, SKU, SKUs, delivery, deliveries, on-time
        delivery, warehouse stock, business days, business day, business hours, working days, first response
        time, response time, resolution time, office hours, backorders, hiring, vacation, PTO, approvals,
        approval, refund window, cancellation window, return window, stockouts, stockout, complaints, incidents
        report, priority, NDA, GDPR, tickets backlog, merchants, partners, resellers, squads, squad, suppliers,
        employees, employee, managers, overtime, shifts, timesheets, holidays, badge, P0, P1, P2, P3, P4,
        severity, hotline, support, phone support, gold customers, premium support, refunds desk, cost centre
        owner, controllers, procurement, QA, HR, legal, legal ops, ERP, pauses, shop visit, shop visits,
        location, locations, postmortem, postmortems, access requests, contract changes, peak season, high
        season, regions EMEA, EMEA, APAC, DACH, MEA, LATAM, week numbers, ISO weeks, handle time, appointments,
        patients, guests, members, drivers, carriers, carrier, couriers, freight, packages, parcels, pallets,
        deliveries, pickups, donors, donor, campaigns, campaign, volunteers, students, courses, applicants,
        candidates, interviews, claims, inspections, audits, audit, quality board, assembly, suppliers, call
        center, call centre, agents, agent, opt-in, double opt-in, marketing mail, on-time rate, complaints,
        warranty, warranties, repairs, bookings confirmed, check-in, check-out, reservations, customer master,
        site visits, offboarding, travel, work orders, franchisees, wholesale, retail, branch offices, dispatch,
        Kostenstelle, Lager, Lieferung, Bestellung, Reklamationen, Rückgaben, Mitarbeiter, Support-Team, Kunden,
        Kunde, Bestellungen, Aufträge, Lieferungen, Lieferanten, Lagerbestand, Werktage, Vertrag, Verträge
        """,
    "data": """
        table, tables, column, columns, primary key, foreign key, surrogate key, schema, data warehouse,
        warehouse, Snowflake, BigQuery, Redshift, Databricks, dbt, ETL, ELT, Airflow, dataset, datasets,
        dashboard, dashboards, Looker, Tableau, Power BI, partition, partitions, timestamps, timestamp, time
        zone, timezone, time zones, dimension, dimensions, fact table, snapshots, KPI, KPIs, metric, metrics,
        PII, personal data, card numbers, data lake, lakehouse, staging models, mart, marts, event stream,
        source of truth, system of record, golden record, soft deletes, soft-deleted, null values, row, rows,
        records, grain, granularity, UTC, data retention, exports, Snowpipe, minor units, catalog, field,
        fields, devices, fleets, categories, duplicates, data quality, CSV export, lookup, reference data,
        sensor, sensors, readings, coordinates, postcode, postcodes, status code, country code, country codes,
        EAN, GTIN, barcode, hierarchy, view, views, raw layer, gold table, gold tables, silver, customer id,
        order id, user id, backfills, Kennzahl, Kennzahlen, Tabelle, Spalte
        """,
    "infrastructure": """
        Kubernetes, k8s, cluster, clusters, AWS, GCP, Azure, S3, region, regions, staging, production, prod,
        deployments, deployment, deploys, servers, VPC, Terraform, load balancer, backups, backup, on-call,
        on-call rotation, incident, incidents, sev1, sev2, uptime, latency, database, databases, Postgres,
        PostgreSQL, MySQL, Redis, Kafka, RabbitMQ, queue, queues, VPN, DNS, CI, CD, Docker, namespace,
        namespaces, Vault, RPO, RTO, SLO, SLOs, error budget, maintenance window, change freeze, release freeze,
        deploy freeze, code freeze, Datadog, Grafana, Prometheus, PagerDuty, Cloudflare, Nginx, Helm, ArgoCD,
        EKS, GKE, ECS, Lambda, EC2, RDS, CDN, TLS, SSO, Okta, IAM, container images, container registry,
        bastion, data center, data centre, replicas, failover, TTL, log retention, secrets, hosts, hostnames,
        host, nodes, node, search nodes, bare metal, cron, nightly job, nightly jobs, jobs, batch job, batch
        jobs, batch workers, workers, Argo Workflows, buckets, bucket, firewall, port, ports, proxy, gateway,
        push gateway, availability, availability zone, runners, runner, SMTP, disks, VMs, VM, virtual machines,
        machines, broker, ingress, network, jump host, LDAP, Active Directory, Keycloak, Nomad, Consul,
        OpenShift, Ansible, Puppet, Hetzner, on-prem, on-premise, tape, cold storage, Glacier, standby, hot
        standby, file server, print server, mail server, monitoring, sandbox, sandboxes, environments,
        environment, preview environments, certificates, certificate, access keys, SSH, standing access,
        storage, disk, GPU, GPUs, mirror, artifact registry, Jenkins, GitLab, GitHub Actions, Elasticsearch,
        OpenSearch, MongoDB, SQL Server, Oracle, MinIO, edge, satellite, nightly, sev-1, sev-2, sev-3, primary,
        secondary, subnet, EU-West, us-east-1, eu-west-1, eu-central-1, Produktion, Datenbank, Datenbanken
        """,
    "engineering": """
        services, service, microservices, API, APIs, endpoints, endpoint, repo, repos, monorepo, branches,
        releases, release, release branch, release train, versions, code review, code reviews, pull requests,
        pull request, PR, PRs, linter, library, framework, gRPC, GraphQL, protobuf, JSON, migrations, migration,
        semver, SDK, feature branches, feature branch, commit messages, conventional commits, test coverage,
        coverage, pnpm, npm, yarn, poetry, uv, pytest, TypeScript, Kotlin, FastAPI, idempotency key, idempotency
        keys, public API, internal API, error codes, ADR, ADRs, RFC, RFCs, tech lead, definition of done, story
        points, sprint, sprints, sprint length, changelog, hotfixes, hotfix, deprecation, backwards
        compatibility, logging, dependencies, dependency, third-party dependencies, licenses, GPL, feature
        flags, topics, Kafka topics, ids, UUIDs, ULIDs, snake_case, camelCase
        """,
}


@dataclass(frozen=True, slots=True)
class Noun:
    """A name that was found.

    Attributes:
        name: as it is written in lists of entities.
        domain: None: of no one domain, such as ``order_id`` or an acronym that is not known.
        begin, end: where it stands.

    """

    name: str
    domain: Domain | None
    begin: int
    end: int


def _known() -> dict[tuple[str, ...], tuple[str, Domain]]:
    known: dict[tuple[str, ...], tuple[str, Domain]] = {}
    for domain, names in _NOUNS.items():
        for entry in names.replace("\n", " ").split(","):
            written, _, meant = " ".join(entry.split()).partition("=")
            parts = tuple(part.lower() for part in _WORD.findall(written))
            *before, last = parts
            for form in {last, _singular(last)}:
                known.setdefault((*before, form), (meant or written, domain))
    return known


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3 and word not in _NO_PLURALS:  # noqa: PLR2004  # sla, not sl
        return word[:-1]
    return word


_NO_PLURALS = {
    "kubernetes",
    "redis",
    "sales",
    "returns",
    "secrets",
    "records",
    "sessions",
    "rails",
    "accounts",
    "prices",
}
_WORD = re.compile(r"[^\W\d_][\w&]*(?:[-/][\w&]+)*")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9]{0,40}(?:_[a-z0-9]{1,40}){1,8}", re.IGNORECASE)
_ACRONYM = re.compile(r"[A-Z][A-Z0-9]{1,5}s?")
_NO_ACRONYMS = words(
    """
    OK FYI BTW TBD TODO ASAP IMO IMHO AND OR NOT NO YES USD EUR GBP CHF UTC ID IDS US UK EU AM PM EOD WE
    IT IS THE OUR ALL SQL HTML CSS HTTP HTTPS URL URLS JSON XML CSV YAML PDF UI UX IDE CLI NULL TRUE
    FALSE ONLY NEVER ALWAYS MUST DO AS TO OF IN ON AT BY FOR A AN Q1 Q2 Q3 Q4 H1 H2 N X Y Z WTF LOL PS
    NB README TLDR AI LLM MCP
    """
)

_LONGEST = 3
"""Words of a name."""


def nouns(text: str) -> list[Noun]:
    """The names in a text, in order; longer ones go before the shorter ones that they hold."""
    words = [(found[0], found.start(), found.end()) for found in _WORD.finditer(text)]
    lower = [word.lower() for word, _, _ in words]
    found: list[Noun] = []
    at = 0
    while at < len(words):
        step = 1
        for length in range(min(_LONGEST, len(words) - at), 0, -1):
            known = _KNOWN.get(tuple(lower[at : at + length]))
            if known is not None and _one_phrase(text, words[at : at + length]):
                found.append(Noun(known[0], known[1], words[at][1], words[at + length - 1][2]))
                step = length
                break
        else:
            word, begin, end = words[at]
            if _IDENTIFIER.fullmatch(word) or (_ACRONYM.fullmatch(word) and word not in _NO_ACRONYMS):
                found.append(Noun(word, None, begin, end))
        at += step
    return found


def _one_phrase(text: str, words: list[tuple[str, int, int]]) -> bool:
    return all(not text[before[2] : after[1]].strip(" -\n") for before, after in pairwise(words))


_MOST_ENTITIES = 8


def entities(found: Iterable[Noun], text: str) -> tuple[str, ...]:
    """What a statement is about, each once: its nouns, what it quotes, names, and its subject."""
    names: dict[str, str] = {}
    subject = subject_of(text)
    for name in [*(noun.name for noun in found), *(_QUOTED.findall(text)), *_PROPER.findall(text), *subject]:
        if name.lower() not in names and name.lower() not in _NO_NAMES:
            names[name.lower()] = name
    return tuple(names.values())[:_MOST_ENTITIES]


_QUOTED = re.compile(r"[\"“”‘`]([A-Za-z][\w -]{1,28}\w)[\"“”’`]")  # noqa: RUF001  # as people type them
_PROPER = re.compile(r"(?<=[a-z,)] )(?:[A-Z][a-z]+(?:[A-Z][a-z]+)?|[A-Z]{2,5}(?= [A-Z][a-z]))(?: [A-Z][A-Za-z]+)?\b")
_NO_NAMES = words(
    """
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july
    august september october november december i yes no we our the feb jan mar apr jun jul aug sep oct
    nov dec
    """
)
_SUBJECT = re.compile(
    r"(?:(?:our|the|an?|any|all|every|each|only|no|by|in|for)\s+){0,3}((?:[A-Za-z0-9_-]+\s+){1,3}?)(?:is"
    r"|are|has|have|means?|needs?|starts?|ends?|runs?|lives?|goes|go|comes?|belongs?|never|always|only"
    r"|must|gets?|counts?|uses?|excludes?|includes?|covers?|don't|doesn't|turns?|was|were|does|do|=)\b",
    re.IGNORECASE,
)
_NO_SUBJECT = words(
    """
    we it this that they these those there i you he she what which who when if once one and or not with
    for of in by as to us our
    """
)  # a list of words


def subject_of(text: str) -> list[str]:
    """What a sentence is about by its first words, if they are no pronoun."""
    found = _SUBJECT.match(text)
    if found is None:
        return []
    words = found[1].split()
    return [] if _NO_SUBJECT & {word.lower() for word in words} else [" ".join(words)]


_WEIGHTS: dict[str, float] = {
    "users": 0.5,
    "user": 0.5,
    "customers": 0.5,
    "customer": 0.5,
    "clients": 0.8,
    "accounts": 0.3,
    "metric": 0.3,
    "metrics": 0.3,
    "services": 0.6,
    "workers": 0.6,
    "us-east-1": 0.5,
    "amounts": 0.6,
    "status": 0.5,
}
_SPECIAL = {
    "crm": 2.0,
    "internal reporting": 2.0,
    "primary key": 2.0,
    "nps": 2.0,
    "retention": 2.0,
    "production": 1.5,
}


def domain_of(found: Iterable[Noun], otherwise: Iterable[Noun] = ()) -> Domain:
    """The domain that most of the nouns are of; that of the earlier one decides between equals.

    Args:
        found: nouns of the statement.
        otherwise: nouns of what was said before, where those of the statement are of no domain.

    """
    for each in (found, otherwise):
        votes: Counter[Domain] = Counter()
        for name, domain in {noun.name.lower(): noun.domain for noun in each}.items():
            if domain is None and "_" in name:
                votes["data"] += 1  # a name of a column or table
            if domain is not None:
                votes[domain] += _SPECIAL.get(name, _WEIGHTS.get(name, 1.0))  # type: ignore[assignment]
        if votes:
            return votes.most_common(1)[0][0]
    return "data" if any("_" in noun.name for noun in found) else "operations"


_KNOWN = _known()
