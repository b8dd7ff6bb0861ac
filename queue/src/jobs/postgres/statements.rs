//! What is said to the server, with the name of the schema in place.

use super::schema::Schema;

/// The columns of a job, in any order: they are read by name.
const JOB: &str =
    "j.id, j.generation,
    CASE WHEN j.state = 1 AND j.ready_at <= {schema}.clock() THEN 0::smallint ELSE j.state END AS state, j.priority, j.delay, j.max_deliveries, j.retention, j.deliveries, j.created_at,
    j.ready_at, j.ended_at, j.expires_at, j.worker, j.lease_until, j.cancel, j.payload, j.output, j.error
    FROM {schema}.queues AS q JOIN {schema}.jobs AS j ON j.queue = q.number";

/// Counts, but for those that have expired and are not removed yet, and delayed ones whose time came.
const COUNTS: &str = "SELECT waiting + due AS waiting, delayed - due AS delayed, active, completed - expired_completed AS completed,
        dead - expired_dead AS dead
    FROM (SELECT coalesce(sum(waiting), 0)::bigint AS waiting, coalesce(sum(delayed), 0)::bigint AS delayed,
        coalesce(sum(active), 0)::bigint AS active, coalesce(sum(completed), 0)::bigint AS completed,
        coalesce(sum(dead), 0)::bigint AS dead
        FROM {schema}.counters WHERE queue = (SELECT number FROM {schema}.queues WHERE name = $1)) AS c,
    (SELECT count(*) FILTER (WHERE state = 3) AS expired_completed,
        count(*) FILTER (WHERE state = 4) AS expired_dead FROM {schema}.jobs
        WHERE queue = (SELECT number FROM {schema}.queues WHERE name = $1)
            AND expires_at IS NOT NULL AND expires_at <= (SELECT {schema}.clock())) AS e,
    (SELECT count(*) AS due FROM (SELECT 1 FROM {schema}.jobs
        WHERE queue = (SELECT number FROM {schema}.queues WHERE name = $1)
            AND state = 1 AND ready_at <= (SELECT {schema}.clock()) LIMIT 10000) AS due) AS d";

const QUEUES: &str = "SELECT name FROM {schema}.queues AS q
    WHERE paused OR concurrency IS NOT NULL OR max_jobs IS NOT NULL
        OR (SELECT sum(waiting + delayed + active + completed + dead) FROM {schema}.counters
            WHERE queue = q.number)
        > (SELECT count(*) FROM {schema}.jobs WHERE queue = q.number
            AND expires_at IS NOT NULL AND expires_at <= (SELECT {schema}.clock()))
    ORDER BY name";

const KEEP: &str = "UPDATE {schema}.jobs SET retention = $3, expires_at = {schema}.clock() + $3
    WHERE queue = (SELECT number FROM {schema}.queues WHERE name = $1) AND id = $2 AND state IN (3, 4)
        AND (expires_at IS NULL OR expires_at > {schema}.clock())";

const LEAD: &str = "INSERT INTO {schema}.roles AS r VALUES ($1, $2, {schema}.clock() + $3)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE r.holder = excluded.holder OR r.until <= {schema}.clock()";

/// All statements; each is prepared once for each connection.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) enqueue: String,
    pub(super) finish: String,
    pub(super) extend: String,
    pub(super) due_in: String,
    pub(super) get: String,
    pub(super) list: String,
    pub(super) cancel: String,
    pub(super) retry: String,
    pub(super) remove: String,
    pub(super) keep: String,
    pub(super) counts: String,
    pub(super) queues: String,
    pub(super) configure: String,
    pub(super) settings: String,
    pub(super) reap: String,
    pub(super) lead: String,
    pub(super) resign: String,
}

impl Statements {
    pub(super) fn new(schema: &Schema) -> Self {
        let sql = |template: &str| schema.sql(template);
        Self {
            enqueue: sql("SELECT {schema}.enqueue($1, $2, $3, $4, $5, $6, $7, $8)"),
            finish: sql("SELECT * FROM {schema}.finish($1, $2, $3, $4, $5, $6, $7, $8, $9)"),
            extend: sql("SELECT * FROM {schema}.extend($1, $2, $3, $4)"),
            due_in: sql("SELECT {schema}.due_in($1)"),
            get: sql(&format!(
                "SELECT {JOB} WHERE q.name = $1 AND j.id = $2
                AND (j.expires_at IS NULL OR j.expires_at > {{schema}}.clock())"
            )),
            list: sql(&format!(
                "(SELECT {JOB} WHERE q.name = $1 AND j.state = $2 AND j.generation > $3
                AND (j.expires_at IS NULL OR j.expires_at > (SELECT {{schema}}.clock()))
                AND NOT (j.state = 1 AND j.ready_at <= (SELECT {{schema}}.clock()))
                ORDER BY j.generation LIMIT $4)
                UNION ALL (SELECT {JOB} WHERE $2 = 0 AND q.name = $1 AND j.state = 1 AND j.generation > $3
                AND j.ready_at <= (SELECT {{schema}}.clock()) LIMIT 10000)
                ORDER BY generation LIMIT $4"
            )),
            cancel: sql("SELECT {schema}.cancel($1, $2)"),
            retry: sql("SELECT {schema}.retry($1, $2)"),
            remove: sql("SELECT {schema}.remove($1, $2)"),
            keep: sql(KEEP),
            counts: sql(COUNTS),
            queues: sql(QUEUES),
            configure: sql("SELECT {schema}.configure($1, $2, $3, $4)"),
            settings: sql("SELECT paused, concurrency, max_jobs FROM {schema}.queues WHERE name = $1"),
            reap: sql("SELECT * FROM {schema}.reap($1, $2, $3)"),
            lead: sql(LEAD),
            resign: sql("DELETE FROM {schema}.roles WHERE name = $1 AND holder = $2"),
        }
    }
}
