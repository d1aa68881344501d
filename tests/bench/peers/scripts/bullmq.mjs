// BullMQ on Redis: one worker of one Node process, a hundred jobs at a time.
import { writeFileSync } from "node:fs";
import { Queue, Worker } from "bullmq";

const [folder, count, port] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };
const text = "an address, a subject, a few words: arguments as they are in practice";
const options = { removeOnComplete: true };
const seconds = (since) => Number(process.hrtime.bigint() - since) / 1e9;

const queue = new Queue("bench", { connection });
let began = process.hrtime.bigint();
for (let n = 0; n < count; n++) await queue.add("noop", { n, text }, options);
const enqueued = seconds(began);

const ran = new Set();
let done;
const all = new Promise((resolve) => (done = resolve));
const noop = async (job) => void ran.add(job.data.n);
const cpu = process.cpuUsage();
began = process.hrtime.bigint();
const worker = new Worker("bench", noop, { connection, concurrency: 100, autorun: false });
let completed = 0;
worker.on("completed", () => ++completed === count && done());
worker.run();
await all;
const drained = seconds(began);
const used = process.cpuUsage(cpu);
if (ran.size !== count) throw new Error(`${ran.size} of ${count} jobs ran`);
const answer = { rate: count / drained, enqueue: count / enqueued, cpu: (used.user + used.system) / count };
writeFileSync(`${folder}/answer.json`, JSON.stringify(answer));
process.exit(0);
