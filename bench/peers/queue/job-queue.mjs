// @platformatic/job-queue on the storage that the contender's name says.
import { FileStorage, MemoryStorage, Queue, RedisStorage } from '@platformatic/job-queue'

import { inFlight } from './shapes.mjs'

const STORAGES = {
  'job-queue-memory': () => new MemoryStorage(),
  'job-queue-file': (at, name) => new FileStorage({ basePath: `${at}/${name}` }),
  // A prefix, because named queues of one storage block each other's connection.
  'job-queue-redis': (at, name) => new RedisStorage({ url: at, keyPrefix: `${name}:` })
}

export async function openJobQueue (contender, at, name, concurrency) {
  const queue = new Queue({ storage: STORAGES[contender](at, name), concurrency })
  queue.on('error', error => {
    console.error(error)
    process.exit(1)
  })
  await queue.start()
  const enqueue = (id, payload) => queue.enqueue(id, payload)
  return {
    enqueue,
    fill: (jobs, payload) => inFlight(100, jobs, id => enqueue(id, payload)),
    wait: (id, payload) => queue.enqueueAndWait(id, payload, { timeout: 120_000 }),
    // Emitted after the completion is stored.
    work (completed) {
      queue.on('completed', completed)
      // Not null: it does not wake who waits for a null.
      queue.execute(async () => true)
    },
    close: () => queue.stop()
  }
}
