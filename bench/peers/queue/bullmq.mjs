// BullMQ with its defaults, which keep completed jobs as the others do.
import { Queue, QueueEvents, Worker } from 'bullmq'

/// Jobs of one bulk call when a backlog is made.
const BULK = 500

export async function openBullmq (_contender, at, name, concurrency) {
  const { hostname: host, port } = new URL(at)
  const connection = { host, port: Number(port), maxRetriesPerRequest: null }
  const queue = new Queue(name, { connection })
  const events = new QueueEvents(name, { connection })
  const open = [queue, events]
  // Each waiter listens to both; warnings of that would cost time.
  open.forEach(part => part.setMaxListeners(0))
  await Promise.all(open.map(part => part.waitUntilReady()))
  const enqueue = (jobId, payload) => queue.add('bench', payload, { jobId })
  return {
    enqueue,
    fill: (jobs, payload) => fill(queue, jobs, payload),
    async wait (id, payload) {
      const job = await enqueue(id, payload)
      return job.waitUntilFinished(events, 120_000)
    },
    // Emitted after the completion is stored.
    work (completed) {
      const worker = new Worker(name, async () => true, { connection, concurrency })
      worker.on('completed', completed)
      worker.on('error', fail)
      open.push(worker)
    },
    async close () {
      for (const part of open.reverse()) await part.close()
    }
  }
}

async function fill (queue, jobs, payload) {
  for (let first = 0; first < jobs; first += BULK) {
    const length = Math.min(BULK, jobs - first)
    await queue.addBulk(Array.from({ length }, (_, index) => (
      { name: 'bench', data: payload, opts: { jobId: `job-${first + index}` } }
    )))
  }
}

function fail (error) {
  console.error(error)
  process.exit(1)
}
