"""What can be asked of history, on both databases."""

from __future__ import annotations

import pytest

from data import Database, filters, queries
from engine.kernel import events as ev
from engine.kernel.errors import ValidationError
from engine.kernel.job import new_id
from tests.integration.data.conftest import Shop, Story
from tests.support.histories import START, claimed, completed, dead, ended, enqueued

NOW = START + 3_600


def found(shop: Shop, text: str, tenant: str | None = None) -> set[str]:
    """Names of the jobs that a filter finds; counts and bulk actions must agree with the list."""
    names = {id: name for name, id in shop.ids.items()}
    filter = filters.parse(text)
    rows = queries.list_jobs(shop.db, filter, now=NOW, tenant=tenant).rows
    listed = [names[row.id] for row in rows]
    assert len(listed) == len(set(listed)) == queries.count_jobs(shop.db, filter, now=NOW, tenant=tenant).n
    batches = list(queries.jobs_matching(shop.db, filter, now=NOW, tenant=tenant, batch=2))
    assert [id for batch in batches for id in batch] == [row.id for row in reversed(rows)]
    return set(listed)


EVERYTHING = {"mail", "mail_acme", "dead_a", "dead_b", "retry", "later", "waiting", "rescued"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", EVERYTHING),
        ("state:dead", {"dead_a", "dead_b"}),
        ("-state:dead", EVERYTHING - {"dead_a", "dead_b"}),
        ("state:dead,retryable", {"dead_a", "dead_b", "retry"}),
        ("state:dead -state:dead", set()),
        ("queue:emails", {"mail", "mail_acme", "waiting"}),
        ("queue:emails state:completed", {"mail", "mail_acme"}),
        ("task:mail*", {"mail", "mail_acme", "waiting"}),
        ('task:"mail*"', set()),
        ("-task:mail*", EVERYTHING - {"mail", "mail_acme", "waiting"}),
        ("task:mail.send,web.hook -queue:webhooks", {"mail", "waiting"}),
        ("tenant:acme", {"mail_acme", "dead_b"}),
        ("tenant:a*", {"mail_acme", "dead_b"}),
        ("-tenant:acme state:dead", {"dead_a"}),
        ("error:TIMEOUT", {"dead_a", "dead_b"}),
        ("error:100%", {"dead_a"}),
        ("error:timed_out", {"dead_a"}),
        ("error:oserror,timeouterror", {"dead_a", "dead_b", "retry"}),
        ("-error:timeout", EVERYTHING - {"dead_a", "dead_b"}),
        ("since:2023-11-14T22:13:26Z", {"waiting", "rescued"}),
        ("until:2023-11-14T22:13:22Z", {"mail", "mail_acme"}),
        ("since:1h until:3597s", {"mail", "mail_acme", "dead_a"}),
        ("agent:host-bbbbbb", {"rescued"}),
        ("agent:host-*", EVERYTHING - {"later", "waiting"}),
        ("is:rescued", {"rescued"}),
        ("-is:rescued queue:webhooks", {"retry", "later"}),
        ("priority:critical", {"mail_acme"}),
        ("priority:1,10", {"mail_acme"}),
        ("key:k-1", {"mail"}),
        ('correlation:"c 1"', {"mail"}),
        ("fingerprint:f1", {"dead_a", "dead_b"}),
        ("fingerprint:f1 state:dead tenant:acme", {"dead_b"}),
        ("digest", {"mail_acme"}),
        ("MAIL", {"mail", "mail_acme", "waiting"}),
        ("timed report", {"dead_a", "dead_b"}),
        ('"timed out"', {"dead_b"}),
        ("-mail -report", {"retry", "later", "rescued"}),
        ("nothing-like-it", set()),
    ],
)
def test_a_filter_finds_exactly(shop: Shop, text: str, expected: set[str]) -> None:
    assert found(shop, text) == expected


def test_ids_are_found_whole_and_by_their_beginning(shop: Shop) -> None:
    id = shop.ids["retry"]
    assert found(shop, f"id:{id}") == found(shop, id) == {"retry"}
    assert found(shop, f"id:{id[:30]}*") == found(shop, id[:30]) == {"retry"}
    assert found(shop, f"id:{id} state:dead") == set()


def test_a_tenant_sees_its_own_jobs_only(shop: Shop) -> None:
    assert found(shop, "", "acme") == {"mail_acme", "dead_b"}
    assert found(shop, "state:dead", "acme") == {"dead_b"}
    assert found(shop, "tenant:acme", "") == set()
    assert queries.job(shop.db, shop.ids["mail"], tenant="acme") is None
    assert queries.jobs(shop.db, list(shop.ids.values()), tenant="acme").keys() == {
        shop.ids["mail_acme"],
        shop.ids["dead_b"],
    }
    assert [group.n for group in queries.dead_groups(shop.db, tenant="acme")] == [1]
    assert sum(b.completed for b in queries.throughput(shop.db, START, NOW, tenant="acme")) == 1
    assert queries.names(shop.db, "queue", tenant="acme") == ["emails", "reports"]
    assert queries.overview(shop.db, NOW, tenant="other").dead == 0


def test_pages_can_be_turned_both_ways_and_miss_nothing(story: Story) -> None:
    ids = [new_id() for _ in range(23)]
    story.tell(*(enqueued(id, START + n // 5, queue=("a", "b")[n % 2]) for n, id in enumerate(ids)))
    for sort, order in (("-id", ids[::-1]), ("id", ids)):
        pages = [queries.list_jobs(story.db, now=NOW, limit=5, sort=sort)]
        while pages[-1].next_cursor:
            pages.append(queries.list_jobs(story.db, now=NOW, limit=5, sort=sort, cursor=pages[-1].next_cursor))
        assert [row.id for page in pages for row in page.rows] == order
        back = pages[-1]
        for page in reversed(pages[:-1]):
            assert back.previous_cursor
            back = queries.list_jobs(story.db, now=NOW, limit=5, sort=sort, cursor=back.previous_cursor)
            assert back.rows == page.rows and back.next_cursor == page.next_cursor
        assert back.previous_cursor is None


def test_a_page_stays_put_while_new_jobs_come(story: Story) -> None:
    ids = [new_id() for _ in range(6)]
    story.tell(*(enqueued(id, START + n) for n, id in enumerate(ids)))
    first = queries.list_jobs(story.db, now=NOW, limit=3)
    story.tell(enqueued(at=START + 99))
    second = queries.list_jobs(story.db, now=NOW, limit=3, cursor=first.next_cursor)
    assert [row.id for row in second.rows] == ids[2::-1]


def test_queues_may_keep_their_jobs_longer_or_shorter_than_others(story: Story) -> None:
    ids = {queue: new_id() for queue in ("short", "long", "other")}
    for n, (queue, id) in enumerate(ids.items()):
        story.tell(enqueued(id, queue=queue), *completed(id, token=n + 1))
    spans = {"short": 60.0, "long": 30 * 86_400.0}
    assert queries.prune(story.db, START + 120, 7, queues=spans) == 1
    assert queries.prune(story.db, START + 8 * 86_400, 7, queues=spans) == 1
    assert [row.queue for row in queries.list_jobs(story.db, now=NOW).rows] == ["long"]


@pytest.mark.parametrize("cursor", ["x", "bnon", "é", "biBuYW4gMQ", "A" * 500])
def test_a_wrong_cursor_is_refused_with_the_mend(db: Database, cursor: str) -> None:
    with pytest.raises(ValidationError, match="cursor: expected"):
        queries.list_jobs(db, now=NOW, cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_a_wrong_limit_is_refused(db: Database, limit: int) -> None:
    with pytest.raises(ValidationError, match="limit"):
        queries.list_jobs(db, now=NOW, limit=limit)


def test_counts_stop_at_their_cap_and_say_so(shop: Shop) -> None:
    assert queries.count_jobs(shop.db, now=NOW, cap=3) == queries.count_jobs(shop.db, None, now=NOW, cap=3)
    few = queries.count_jobs(shop.db, now=NOW, cap=3)
    assert (few.n, few.more) == (3, True)
    exact = queries.count_jobs(shop.db, now=NOW, cap=8)
    assert (exact.n, exact.more) == (8, False)


def test_counts_by_state_leave_the_chosen_state_out(shop: Shop) -> None:
    counts = queries.count_by_state(shop.db, filters.parse("state:dead queue:emails"), now=NOW)
    assert {state: count.n for state, count in counts.items() if count.n} == {"completed": 2, "available": 1}


def test_dead_jobs_are_grouped_by_cause(shop: Shop) -> None:
    (group,) = queries.dead_groups(shop.db)
    assert (group.fingerprint, group.type, group.n, group.tasks) == ("f1", "TimeoutError", 2, ("report.make",))
    assert (group.first_at, group.last_at, group.message) == (START + 20, START + 30, "connection timed out again")
    assert group.sample_ids == (shop.ids["dead_b"], shop.ids["dead_a"])


def test_throughput_has_a_bucket_for_every_minute_by_outcome(shop: Shop) -> None:
    buckets = queries.throughput(shop.db, START - 60, START + 240)
    assert [bucket.at % 60 for bucket in buckets] == [0] * len(buckets) and len(buckets) == 6
    total = {name: sum(getattr(b, name) for b in buckets) for name in ("completed", "retried", "failed", "enqueued")}
    assert total == {"completed": 2, "retried": 1, "failed": 2, "enqueued": 8}
    wide = queries.throughput(shop.db, START - 60, START + 240, step=300)
    assert sum(b.completed for b in wide) == 2 and len(wide) <= 2
    assert sum(b.failed for b in queries.throughput(shop.db, START, NOW, queue="reports", task="report.make")) == 2


def test_latency_is_within_a_tenth_of_the_truth(story: Story) -> None:
    for n in range(1, 101):
        job = enqueued(at=START)
        begin = START + n / 10
        story.tell(job, claimed(job.id, token=n), ended(ev.JobCompleted, job.id, n, at=begin + n, started_at=begin))
    found = queries.latency(story.db, START)
    assert found.n == 100
    for value, truth in ((found.run_p50, 50), (found.run_p95, 95), (found.wait_p50, 5), (found.wait_p95, 9.5)):
        assert value == pytest.approx(truth, rel=0.1)


def test_queues_tell_their_rate_waits_and_last_24_minutes(shop: Shop) -> None:
    stats = {one.queue: one for one in queries.queue_stats(shop.db, START, START + 120)}
    assert set(stats) == {"emails", "reports", "webhooks"}
    emails = stats["emails"]
    assert emails.per_minute == 1.0 and sum(emails.series) == 2 and len(emails.series) == 24
    assert stats["reports"].failed == 2 and emails.wait_p95 == pytest.approx(68.5, rel=0.2)


def test_the_overview_sets_the_last_hour_against_the_hour_before(shop: Shop) -> None:
    now = START + 120
    overview = queries.overview(shop.db, now)
    assert overview.jobs_per_minute.now == pytest.approx(4 / 60) and overview.jobs_per_minute.before == 0
    assert overview.failure_rate.now == pytest.approx(3 / 5) and overview.failure_rate.before is None
    assert overview.oldest_wait == pytest.approx(114) and overview.dead == 2
    assert overview.recorded_at == START + 15
    later = queries.overview(shop.db, now + 3_600)
    assert later.jobs_per_minute.now == 0 and later.jobs_per_minute.before == pytest.approx(4 / 60)


def test_an_empty_history_has_empty_answers(db: Database) -> None:
    assert queries.list_jobs(db, now=NOW).rows == () and queries.dead_groups(db) == [] and queries.agents(db) == []
    assert queries.overview(db, NOW).oldest_wait is None and queries.latency(db, START).run_p95 is None
    assert queries.job(db, "x") is None and queries.recorded(db) == (0, 0.0) and queries.names(db, "task") == []


def test_pruning_takes_old_ended_jobs_in_small_batches_and_leaves_the_rest(story: Story) -> None:
    old = [new_id() for _ in range(5)]
    kept = {"dead": new_id(), "waiting": new_id(), "young": new_id()}
    story.tell(*(enqueued(id) for id in (*old, *kept.values())))
    for n, id in enumerate(old):
        story.tell(*completed(id, token=n + 1), ev.JobLogged(START, id, 1, [(START, "info", "x")]))
    story.tell(*dead(kept["dead"], token=50), *completed(kept["young"], START + 6 * 86_400, token=51))
    now = START + 8 * 86_400
    assert [queries.prune(story.db, now, 7, batch=3) for _ in range(3)] == [3, 2, 0]
    assert {row.id for row in queries.list_jobs(story.db, now=now).rows} == set(kept.values())
    with story.db.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM logs").scalar() == 0
        assert connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar() == 2
        assert connection.exec_driver_sql(f"SELECT count(*) FROM minutes WHERE minute <= {START // 60}").scalar() == 0
