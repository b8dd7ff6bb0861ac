// The shapes of load, the same for every queue. Each prepares what is not measured and returns what is.

/// Jobs come in, `concurrency` calls at a time; nobody does them.
export async function enqueue (queue, { concurrency, jobs, payload }) {
  return () => inFlight(concurrency, jobs, id => queue.enqueue(id, payload))
}

/// Jobs come in and are done at the same time. Over when the last completion is stored.
export async function pipeline (queue, { concurrency, jobs, payload }) {
  return async () => {
    const completed = counted(jobs)
    queue.work(completed.one)
    await inFlight(concurrency, jobs, id => queue.enqueue(id, payload))
    await completed.all
  }
}

/// A backlog is done.
export async function drain (queue, { jobs, payload }) {
  await queue.fill(jobs, payload)
  return async () => {
    const completed = counted(jobs)
    queue.work(completed.one)
    await completed.all
  }
}

/// Callers wait for the output of each job, `concurrency` of them. Returns milliseconds.
export async function wait (queue, { concurrency, jobs, payload }) {
  queue.work(() => {})
  return async () => {
    const latencies = []
    await inFlight(concurrency, jobs, async id => {
      const began = performance.now()
      await queue.wait(id, payload)
      latencies.push(performance.now() - began)
    })
    return latencies
  }
}

/// Calls `call` with the ids of `jobs` jobs, so many at a time.
export async function inFlight (concurrency, jobs, call) {
  let next = 0
  const loop = async () => {
    while (next < jobs) await call(`job-${next++}`)
  }
  await Promise.all(Array.from({ length: concurrency }, loop))
}

function counted (jobs) {
  const { promise, resolve } = Promise.withResolvers()
  let left = jobs
  const one = () => { if (--left === 0) resolve() }
  return { one, all: promise }
}
