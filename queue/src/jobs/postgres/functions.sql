-- The steps of version 1, each one call and one transaction, at the isolation READ COMMITTED: each statement sees
-- what was committed before it. Locks are taken in one order, so that steps don't block each other for ever:
-- the advisory lock of the queue, its row, jobs by id, the slot of the counters.

-- The clock of the server; there is one, so it need not be guarded against being behind another.
CREATE FUNCTION {schema}.clock() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT trunc(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- Held shared by a claim and alone by a change of settings: no claim is under way any more when it returns.
CREATE FUNCTION {schema}.settings_lock(_queue bytea) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT hashtextextended('{schema}' || encode(_queue, 'hex'), 0)
$$;

CREATE FUNCTION {schema}.queue_or_new(_queue bytea) RETURNS {schema}.queues LANGUAGE plpgsql AS $$
DECLARE
    _row {schema}.queues;
BEGIN
    SELECT * INTO _row FROM {schema}.queues WHERE name = _queue;
    IF NOT FOUND THEN
        INSERT INTO {schema}.queues (name) VALUES (_queue) ON CONFLICT (name) DO NOTHING;
        SELECT * INTO _row FROM {schema}.queues WHERE name = _queue;
    END IF;
    RETURN _row;
END $$;

CREATE FUNCTION {schema}.shift(
    _queue bigint, _waiting bigint, _delayed bigint, _active bigint, _completed bigint, _dead bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF _waiting = 0 AND _delayed = 0 AND _active = 0 AND _completed = 0 AND _dead = 0 THEN
        RETURN;
    END IF;
    INSERT INTO {schema}.counters AS c
    VALUES (_queue, pg_backend_pid() % 64, _waiting, _delayed, _active, _completed, _dead)
    ON CONFLICT (queue, slot) DO UPDATE SET
        waiting = c.waiting + excluded.waiting,
        delayed = c.delayed + excluded.delayed,
        active = c.active + excluded.active,
        completed = c.completed + excluded.completed,
        dead = c.dead + excluded.dead;
END $$;

-- One job fewer in a state.
CREATE FUNCTION {schema}.shift_out(_queue bigint, _state smallint) RETURNS void LANGUAGE sql AS $$
    SELECT {schema}.shift(_queue, -(_state = 0)::int, -(_state = 1)::int, -(_state = 2)::int,
        -(_state = 3)::int, -(_state = 4)::int)
$$;

-- For each id its generation if it is new, else -1 less the state of the job that has it. Ids must differ and be
-- in order; `_order` is the place of each among all of the call.
CREATE FUNCTION {schema}.enqueue(
    _queue bytea, _ids bytea[], _order bigint[], _payloads bytea[], _priorities integer[], _delays bigint[],
    _max_deliveries bigint[], _retentions bigint[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    _now bigint := {schema}.clock();
    _generation bigint;
    _row {schema}.queues := {schema}.queue_or_new(_queue);
    _answers bigint[] := array_fill(NULL::bigint, ARRAY[cardinality(_ids)]);
    _left bigint := cardinality(_ids);
    _at integer;
    _shift bigint[] := '{0,0,0,0}';
    _open bigint;
    _found record;
BEGIN
    IF _row.max_jobs IS NOT NULL THEN
        SELECT * INTO _row FROM {schema}.queues WHERE number = _row.number FOR UPDATE;
    END IF;
    LOOP
        _at := 0;
        -- Behind all given before, with room for the jobs of one call.
        _generation := nextval('{schema}.generations') << 20;
        FOR _found IN
            INSERT INTO {schema}.jobs (queue, id, generation, state, priority, ready_at, delay, max_deliveries,
                retention, created_at, payload)
            SELECT _row.number, id, _generation + place, (delay > 0)::int, priority, _now + delay, delay,
                max_deliveries, retention, _now, payload
            FROM unnest(_ids, _order, _payloads, _priorities, _delays, _max_deliveries, _retentions, _answers)
                AS job (id, place, payload, priority, delay, max_deliveries, retention, answer)
            WHERE answer IS NULL
            ORDER BY id
            ON CONFLICT (queue, id) DO NOTHING
            RETURNING id, state, generation
        LOOP
            -- They come in the order of the ids.
            LOOP
                _at := _at + 1;
                EXIT WHEN _ids[_at] = _found.id OR _at > cardinality(_ids);
            END LOOP;
            _answers[_at] := _found.generation;
            _left := _left - 1;
            _shift[1 + _found.state] := _shift[1 + _found.state] + 1;
        END LOOP;
        EXIT WHEN _left = 0;
        FOR _found IN
            DELETE FROM {schema}.jobs AS j
            USING (SELECT id FROM unnest(_ids, _answers) AS e (id, answer) WHERE answer IS NULL ORDER BY id) AS e
            WHERE j.queue = _row.number AND j.id = e.id AND j.expires_at <= _now
            RETURNING j.state
        LOOP
            _shift[_found.state] := _shift[_found.state] - 1;
        END LOOP;
        FOR _found IN
            SELECT n, CASE WHEN j.state = 1 AND j.ready_at <= _now THEN 0 ELSE j.state END AS state
            FROM unnest(_ids, _answers) WITH ORDINALITY AS e (id, answer, n)
            JOIN {schema}.jobs AS j ON j.queue = _row.number AND j.id = e.id
            WHERE e.answer IS NULL
        LOOP
            _answers[_found.n] := -1 - _found.state;
            _left := _left - 1;
        END LOOP;
        -- Left is what an expired job, or one that went meanwhile, was in the way of.
        EXIT WHEN _left = 0;
    END LOOP;
    IF _row.max_jobs IS NOT NULL AND _shift[1] + _shift[2] > 0 THEN
        SELECT coalesce(sum(waiting + delayed + active), 0) INTO _open
        FROM {schema}.counters WHERE queue = _row.number;
        IF _open + _shift[1] + _shift[2] > _row.max_jobs THEN
            RAISE EXCEPTION USING errcode = 'LQ001', message = _row.max_jobs::text;
        END IF;
    END IF;
    PERFORM {schema}.shift(_row.number, _shift[1], _shift[2], 0, _shift[3], _shift[4]);
    RETURN _answers;
END $$;

-- Makes delayed jobs ready whose time came; how many. The caller moves the counters.
CREATE FUNCTION {schema}.make_ready(_queue bigint, _now bigint, _most bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    _ready bigint;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT id FROM {schema}.jobs WHERE queue = _queue AND state = 1 AND ready_at <= _now
        ORDER BY ready_at LIMIT _most FOR UPDATE SKIP LOCKED
    )
    UPDATE {schema}.jobs AS j SET state = 0 FROM due WHERE j.queue = _queue AND j.id = due.id;
    GET DIAGNOSTICS _ready = ROW_COUNT;
    RETURN _ready;
END $$;

-- Ends deliveries: 0 completed, 1 to be retried, 2 dead, 3 handed back, 4 cancelled. `_waits` has the retention of
-- a completed job and the delay of a retried one, `_bodies` the output or the error. The pairs of id and token
-- must differ. A job whose end is wanted is not retried, buried or handed back: it is gone. Then claims at most `_most` jobs. Answers with a row for each claimed job, and one without a job at
-- last. A released job keeps its time and place, so that it stands where it stood.
CREATE FUNCTION {schema}.finish(
    _queue bytea, _ids bytea[], _tokens bigint[], _ends smallint[], _waits bigint[], _bodies bytea[],
    _worker bytea, _most bigint, _lease bigint
) RETURNS SETOF {schema}.finished LANGUAGE plpgsql AS $$
DECLARE
    _now bigint;
    _row {schema}.queues;
    _answer {schema}.finished;
    _gone bigint[] := '{}';
    _to bigint[] := '{0,0,0,0}';
    _room bigint;
    _claimed bigint := 0;
BEGIN
    IF _most > 0 THEN
        PERFORM pg_advisory_xact_lock_shared({schema}.settings_lock(_queue));
    END IF;
    SELECT * INTO _row FROM {schema}.queues WHERE name = _queue;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF _most > 0 AND _row.concurrency IS NOT NULL THEN
        PERFORM 1 FROM {schema}.queues WHERE number = _row.number FOR UPDATE;
    END IF;
    _now := {schema}.clock();
    _answer.done := '{}';
    _answer.cancelled := '{}';
    _answer.ready := 0;
    _answer.limited := _row.concurrency IS NOT NULL;

    IF 0 <> ANY (_ends) THEN
        PERFORM 1 FROM unnest(_ids) AS e (id) JOIN {schema}.jobs AS j ON j.queue = _row.number AND j.id = e.id
        ORDER BY j.id FOR UPDATE OF j;
        WITH gone AS (
            DELETE FROM {schema}.jobs AS j
            USING unnest(_ids, _tokens, _ends) WITH ORDINALITY AS e (id, token, kind, n)
            WHERE j.queue = _row.number AND j.id = e.id AND j.state = 2 AND j.token = e.token
                AND (e.kind = 4 OR e.kind <> 0 AND j.cancel)
            RETURNING e.n, e.kind
        )
        SELECT coalesce(array_agg(n) FILTER (WHERE kind = 4), '{}'),
            coalesce(array_agg(n) FILTER (WHERE kind <> 4), '{}')
        INTO _gone, _answer.cancelled FROM gone;
    END IF;
    IF cardinality(_ids) > cardinality(_gone) + cardinality(_answer.cancelled) THEN
        WITH done AS (
            UPDATE {schema}.jobs AS j SET
                state = CASE e.kind WHEN 0 THEN 3 WHEN 1 THEN (e.wait > 0)::int WHEN 2 THEN 4 ELSE 0 END,
                retention = CASE e.kind WHEN 0 THEN e.wait ELSE j.retention END,
                ended_at = CASE WHEN e.kind IN (0, 2) THEN _now END,
                expires_at = CASE e.kind WHEN 0 THEN _now + e.wait END,
                ready_at = CASE e.kind WHEN 1 THEN _now + e.wait ELSE j.ready_at END,
                deliveries = greatest(j.deliveries - (e.kind = 3)::int, 0),
                output = CASE e.kind WHEN 0 THEN e.body END,
                error = CASE WHEN e.kind IN (1, 2) THEN e.body ELSE j.error END,
                token = NULL, worker = NULL, lease_until = NULL
            FROM (
                SELECT * FROM unnest(_ids, _tokens, _ends, _waits, _bodies) WITH ORDINALITY
                    AS e (id, token, kind, wait, body, n)
                ORDER BY id
            ) AS e
            WHERE j.queue = _row.number AND j.id = e.id AND j.state = 2 AND j.token = e.token
            RETURNING e.n, j.state
        )
        SELECT coalesce(array_agg(n), '{}'), ARRAY[
            count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1),
            count(*) FILTER (WHERE state = 3), count(*) FILTER (WHERE state = 4)
        ] INTO _answer.done, _to FROM done;
    END IF;
    _answer.done := _answer.done || _gone;

    IF _most > 0 THEN
        _answer.ready := {schema}.make_ready(_row.number, _now, 1000);
    END IF;
    IF _most > 0 AND NOT _row.paused THEN
        _room := _most;
        IF _row.concurrency IS NOT NULL THEN
            SELECT _row.concurrency - coalesce(sum(active), 0) + cardinality(_answer.done)
                + cardinality(_answer.cancelled) INTO _room
            FROM {schema}.counters WHERE queue = _row.number;
            _room := greatest(least(_room, _most), 0);
        END IF;
        RETURN QUERY
        WITH first AS MATERIALIZED (
            SELECT id FROM {schema}.jobs WHERE queue = _row.number AND state = 0
            ORDER BY priority DESC, ready_at, generation LIMIT _room FOR UPDATE SKIP LOCKED
        )
        UPDATE {schema}.jobs AS j SET
            state = 2, token = nextval('{schema}.tokens'), worker = _worker, lease_until = _now + _lease,
            deliveries = j.deliveries + 1
        FROM first WHERE j.queue = _row.number AND j.id = first.id
        RETURNING NULL::bigint[], NULL::bigint[], NULL::bigint, NULL::boolean, NULL::bigint, j.id, j.token,
            j.payload, j.priority, j.delay, j.max_deliveries, j.retention, j.deliveries, j.created_at,
            j.ready_at, j.generation;
        GET DIAGNOSTICS _claimed = ROW_COUNT;
    END IF;
    IF _claimed < _most THEN
        -- greatest() would make 0 of NULL.
        SELECT greatest(at - _now, 0) INTO _answer.next_in FROM (SELECT least(
            (SELECT min(ready_at) FROM {schema}.jobs WHERE queue = _row.number AND state = 1),
            (SELECT min(lease_until) FROM {schema}.jobs WHERE queue = _row.number AND state = 2)
        ) AS at) AS next WHERE at IS NOT NULL;
    END IF;
    PERFORM {schema}.shift(
        _row.number, _to[1] + _answer.ready - _claimed, _to[2] - _answer.ready,
        _claimed - cardinality(_answer.done) - cardinality(_answer.cancelled), _to[3], _to[4]
    );
    RETURN NEXT _answer;
END $$;

-- For each lease: 0 lost, 1 held, 2 held and the end of the job is wanted.
CREATE FUNCTION {schema}.extend(_queue bytea, _ids bytea[], _tokens bigint[], _lease bigint)
RETURNS SETOF smallint LANGUAGE sql AS $$
    WITH held AS (
        UPDATE {schema}.jobs AS j SET lease_until = {schema}.clock() + _lease
        FROM (
            SELECT * FROM unnest(_ids, _tokens) WITH ORDINALITY AS e (id, token, n) ORDER BY id
        ) AS e
        WHERE j.queue = (SELECT number FROM {schema}.queues WHERE name = _queue)
            AND j.id = e.id AND j.state = 2 AND j.token = e.token
        RETURNING e.n, 1 + j.cancel::int AS outcome
    )
    SELECT coalesce(outcome, 0)::smallint
    FROM generate_series(1, cardinality(_ids)) AS n LEFT JOIN held USING (n) ORDER BY n
$$;

-- The state that the job had, -1 if there is none.
CREATE FUNCTION {schema}.cancel(_queue bytea, _id bytea) RETURNS smallint LANGUAGE plpgsql AS $$
DECLARE
    _job record;
BEGIN
    SELECT j.queue, j.state INTO _job
    FROM {schema}.queues AS q JOIN {schema}.jobs AS j ON j.queue = q.number
    WHERE q.name = _queue AND j.id = _id AND (j.expires_at IS NULL OR j.expires_at > {schema}.clock())
    FOR UPDATE OF j;
    IF NOT FOUND THEN
        RETURN -1;
    END IF;
    IF _job.state = 2 THEN
        UPDATE {schema}.jobs SET cancel = true WHERE queue = _job.queue AND id = _id;
    ELSIF _job.state <> 3 THEN
        DELETE FROM {schema}.jobs WHERE queue = _job.queue AND id = _id;
        PERFORM {schema}.shift_out(_job.queue, _job.state);
    END IF;
    RETURN _job.state;
END $$;

CREATE FUNCTION {schema}.retry(_queue bytea, _id bytea) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _now bigint := {schema}.clock();
    _number bigint;
BEGIN
    UPDATE {schema}.jobs SET
        state = 0, deliveries = 0, ready_at = _now, ended_at = NULL, expires_at = NULL, cancel = false
    WHERE queue = (SELECT number FROM {schema}.queues WHERE name = _queue) AND id = _id AND state = 4
        AND (expires_at IS NULL OR expires_at > _now)
    RETURNING queue INTO _number;
    IF _number IS NULL THEN
        RETURN false;
    END IF;
    PERFORM {schema}.shift(_number, 1, 0, 0, 0, -1);
    RETURN true;
END $$;

CREATE FUNCTION {schema}.remove(_queue bytea, _id bytea) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _job record;
BEGIN
    DELETE FROM {schema}.jobs
    WHERE queue = (SELECT number FROM {schema}.queues WHERE name = _queue) AND id = _id AND state IN (3, 4)
        AND (expires_at IS NULL OR expires_at > {schema}.clock())
    RETURNING queue, state INTO _job;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM {schema}.shift_out(_job.queue, _job.state);
    RETURN true;
END $$;

-- Whether the queue was paused before.
CREATE FUNCTION {schema}.configure(_queue bytea, _paused boolean, _concurrency bigint, _max_jobs bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _row {schema}.queues;
BEGIN
    PERFORM pg_advisory_xact_lock({schema}.settings_lock(_queue));
    _row := {schema}.queue_or_new(_queue);
    UPDATE {schema}.queues SET paused = _paused, concurrency = _concurrency, max_jobs = _max_jobs
    WHERE number = _row.number;
    RETURN _row.paused;
END $$;

-- Takes back what has an expired lease, makes delayed jobs ready, forgets what expired: at most `_most` in all.
-- Answers with the jobs taken back and their state now, -1 for gone, and a row without a job at last.
CREATE FUNCTION {schema}.reap(_queue bytea, _most bigint, _error bytea)
RETURNS SETOF {schema}.reaped LANGUAGE plpgsql AS $$
DECLARE
    _now bigint := {schema}.clock();
    _number bigint;
    _stalled bytea[];
    _job {schema}.reaped;
    _answer {schema}.reaped;
    _waiting bigint := 0;
    _dead bigint := 0;
    _completed_out bigint := 0;
    _dead_out bigint := 0;
BEGIN
    SELECT number INTO _number FROM {schema}.queues WHERE name = _queue;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(id ORDER BY id), '{}') INTO _stalled FROM (
        SELECT id FROM {schema}.jobs WHERE queue = _number AND state = 2 AND lease_until <= _now
        ORDER BY lease_until LIMIT _most FOR UPDATE SKIP LOCKED
    ) AS stalled;
    FOR _job IN
        DELETE FROM {schema}.jobs AS j USING unnest(_stalled) AS e (id)
        WHERE j.queue = _number AND j.id = e.id AND j.cancel
        RETURNING j.id, -1, NULL, NULL
    LOOP
        RETURN NEXT _job;
    END LOOP;
    FOR _job IN
        UPDATE {schema}.jobs AS j SET
            state = CASE WHEN j.deliveries >= j.max_deliveries THEN 4 ELSE 0 END,
            error = CASE WHEN j.deliveries >= j.max_deliveries THEN _error ELSE j.error END,
            ended_at = CASE WHEN j.deliveries >= j.max_deliveries THEN _now END,
            ready_at = CASE WHEN j.deliveries >= j.max_deliveries THEN j.ready_at ELSE _now END,
            token = NULL, worker = NULL, lease_until = NULL
        FROM unnest(_stalled) AS e (id) WHERE j.queue = _number AND j.id = e.id
        RETURNING j.id, j.state, NULL, NULL
    LOOP
        _waiting := _waiting + (_job.state = 0)::int;
        _dead := _dead + (_job.state = 4)::int;
        RETURN NEXT _job;
    END LOOP;
    _most := _most - cardinality(_stalled);
    _answer.ready := {schema}.make_ready(_number, _now, _most);
    _most := _most - _answer.ready;
    WITH expired AS MATERIALIZED (
        SELECT id FROM {schema}.jobs WHERE queue = _number AND expires_at IS NOT NULL AND expires_at <= _now
        ORDER BY expires_at LIMIT _most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM {schema}.jobs AS j USING expired WHERE j.queue = _number AND j.id = expired.id
        RETURNING j.state
    )
    SELECT count(*) FILTER (WHERE state = 3), count(*) FILTER (WHERE state = 4)
    INTO _completed_out, _dead_out FROM gone;
    _answer.forgotten := _completed_out + _dead_out;
    PERFORM {schema}.shift(
        _number, _waiting + _answer.ready, -_answer.ready, -cardinality(_stalled)::bigint,
        -_completed_out, _dead - _dead_out
    );
    RETURN NEXT _answer;
END $$;

-- In how long there will be something to claim; NULL if that is not known.
CREATE FUNCTION {schema}.due_in(_queue bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    _row {schema}.queues;
BEGIN
    SELECT * INTO _row FROM {schema}.queues WHERE name = _queue;
    IF NOT FOUND OR _row.paused THEN
        RETURN NULL;
    END IF;
    IF _row.concurrency IS NOT NULL THEN
        IF _row.concurrency <= (SELECT sum(active) FROM {schema}.counters WHERE queue = _row.number) THEN
            RETURN NULL;
        END IF;
    END IF;
    PERFORM 1 FROM {schema}.jobs WHERE queue = _row.number AND state = 0 LIMIT 1;
    IF FOUND THEN
        RETURN 0;
    END IF;
    -- greatest() would make 0 of NULL.
    RETURN (
        SELECT greatest(at - {schema}.clock(), 0) FROM (
            SELECT min(ready_at) AS at FROM {schema}.jobs WHERE queue = _row.number AND state = 1
        ) AS next WHERE at IS NOT NULL
    );
END $$;
