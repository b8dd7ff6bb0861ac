-- Version 1 of the schema. `{schema}` is the quoted name of the schema. Indexes are partial, so that each holds
-- only the jobs in one state, and a step costs the same in front of a long backlog. Names and ids are bytea,
-- since text takes no NUL. Times and durations are milliseconds. States: 0 waiting, 1 delayed, 2 active,
-- 3 completed, 4 dead.

CREATE TABLE {schema}.queues (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name bytea NOT NULL UNIQUE,
    paused boolean NOT NULL DEFAULT false,
    concurrency bigint,
    max_jobs bigint
);

-- How many jobs are in each state: the sum over slots. Each connection changes its own slot, so that they don't
-- wait for each other's commits.
CREATE TABLE {schema}.counters (
    queue bigint NOT NULL,
    slot integer NOT NULL,
    waiting bigint NOT NULL DEFAULT 0,
    delayed bigint NOT NULL DEFAULT 0,
    active bigint NOT NULL DEFAULT 0,
    completed bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, slot)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE {schema}.jobs (
    queue bigint NOT NULL,
    id bytea NOT NULL,
    generation bigint NOT NULL,
    state smallint NOT NULL,
    priority integer NOT NULL,
    ready_at bigint NOT NULL,
    delay bigint NOT NULL,
    max_deliveries bigint NOT NULL,
    retention bigint NOT NULL,
    deliveries bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    ended_at bigint,
    expires_at bigint,
    token bigint,
    worker bytea,
    lease_until bigint,
    cancel boolean NOT NULL DEFAULT false,
    payload bytea NOT NULL,
    output bytea,
    error bytea,
    PRIMARY KEY (queue, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
CREATE INDEX job_states ON {schema}.jobs (queue, state, generation);
CREATE INDEX waiting_jobs ON {schema}.jobs (queue, priority DESC, ready_at, generation) WHERE state = 0;
CREATE INDEX delayed_jobs ON {schema}.jobs (queue, ready_at) WHERE state = 1;
CREATE INDEX leases ON {schema}.jobs (queue, lease_until) WHERE state = 2;
CREATE INDEX expiries ON {schema}.jobs (queue, expires_at) WHERE expires_at IS NOT NULL;

-- Not written to the log, so that keeping a role costs no sync; after a crash of the server all roles are free.
CREATE UNLOGGED TABLE {schema}.roles (
    name bytea PRIMARY KEY,
    holder bytea NOT NULL,
    until bigint NOT NULL
);

CREATE SEQUENCE {schema}.tokens;
CREATE SEQUENCE {schema}.generations;

CREATE TYPE {schema}.finished AS (
    done bigint[],
    cancelled bigint[],
    ready bigint,
    limited boolean,
    next_in bigint,
    id bytea,
    token bigint,
    payload bytea,
    priority integer,
    delay bigint,
    max_deliveries bigint,
    retention bigint,
    deliveries bigint,
    created_at bigint,
    ready_at bigint,
    generation bigint
);
CREATE TYPE {schema}.reaped AS (
    id bytea,
    state smallint,
    ready bigint,
    forgotten bigint
);
