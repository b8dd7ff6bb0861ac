// Runs one cell of the queue bench for a peer, as a process of its own. It says `ready` once it is
// connected and warm, begins at the next line on its standard input, prints one line of JSON, and
// ends when its standard input does.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

import { openBullmq } from './bullmq.mjs'
import { openJobQueue } from './job-queue.mjs'
import { enqueue, drain, pipeline, wait } from './shapes.mjs'

const SHAPES = { enqueue, pipeline, drain, wait }
const CONTENDERS = {
  'job-queue-memory': openJobQueue,
  'job-queue-file': openJobQueue,
  'job-queue-redis': openJobQueue,
  bullmq: openBullmq
}

const text = { type: 'string' }
const { values: options } = parseArgs({
  options: { contender: text, at: text, shape: text, concurrency: text, jobs: text, 'warm-up': text, payload: text }
})
const open = CONTENDERS[options.contender]
const shape = SHAPES[options.shape]
const payload = { data: 'x'.repeat(Number(options.payload)) }
const concurrency = Number(options.concurrency)

async function prepare (name, jobs) {
  const queue = await open(options.contender, options.at, name, concurrency)
  return { queue, run: await shape(queue, { concurrency, jobs, payload }) }
}

// As many jobs as it takes for the compiler to have seen the code, in a queue of their own.
const warm = await prepare('warm', Number(options['warm-up']))
await warm.run()
await warm.queue.close()

const lines = createInterface({ input: process.stdin })
const ended = once(lines, 'close')
const measured = await prepare('bench', Number(options.jobs))
console.log('ready')
await once(lines, 'line')
const began = performance.now()
const latencies = await measured.run()
const seconds = (performance.now() - began) / 1e3
console.log(JSON.stringify({ jobs: Number(options.jobs), seconds, ...percentiles(latencies) }))
await ended
process.exit(0)

function percentiles (latencies) {
  if (!latencies) return {}
  latencies.sort((a, b) => a - b)
  const at = share => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]
  return { p50_ms: at(0.5), p95_ms: at(0.95) }
}
