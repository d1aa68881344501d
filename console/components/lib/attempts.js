// The life of a job on one time axis: each attempt waits, runs, and backs off until the next.
import { clock, parts, words } from "./index.js";

const SHOWN = 40;
const BAD = new Set(["failed", "dead", "rescued"]);

// [from, to] of each part of an attempt, in seconds since the epoch
function pieces(job, attempt, index, all, now) {
  const began = attempt.started_at || attempt.ended_at;
  const ended = attempt.ended_at || (attempt.state === "running" ? now : began);
  const waited = attempt.available_at || (index ? all[index - 1].ended_at : job.created_at);
  const next = all[index + 1]?.available_at || all[index + 1]?.started_at || (job.state === "retryable" ? job.run_at : 0);
  return { wait: [waited, began], run: [began, ended], back: next > ended ? [ended, next] : null };
}

export const HfAttempts = {
  components: parts,
  props: { job: Object },
  computed: {
    rows() {
      const now = clock.now;
      const all = this.job.attempts;
      const rows = all.map((attempt, index) => ({ attempt, ...pieces(this.job, attempt, index, all, now) }));
      return rows.slice(-SHOWN);
    },
    hidden() {
      return Math.max(0, this.job.attempts.length - SHOWN);
    },
    bounds() {
      const edges = this.rows.flatMap((row) => [...row.wait, ...row.run, ...(row.back ?? [])]).filter(Boolean);
      const from = Math.min(...edges), to = Math.max(...edges);
      return { from, length: Math.max(to - from, 0.001) };
    },
  },
  methods: {
    ...words,
    place([from, to]) {
      const { from: start, length } = this.bounds;
      const left = Math.max(0, ((from - start) / length) * 100);
      return { left: `${Math.min(left, 99.4)}%`, width: `${Math.max(0, Math.min(((to - from) / length) * 100, 100 - left))}%` };
    },
    tone: (state) => (BAD.has(state) ? "fail" : state === "running" ? "run live" : state === "completed" ? "good" : "run"),
    told(row) {
      const a = row.attempt;
      const parts = [`Attempt ${a.number}: ${a.state}`, `waited ${words.took(row.wait[1] - row.wait[0])}`];
      if (a.started_at) parts.push(`ran ${words.took(row.run[1] - row.run[0])}`);
      if (row.back) parts.push(`next after ${words.took(row.back[1] - row.back[0])}`);
      if (a.worker || a.agent) parts.push(`on ${a.worker || a.agent}`);
      if (a.reason) parts.push(a.reason);
      return parts.join(" · ");
    },
    length: (row) => (row.attempt.started_at ? words.took(row.run[1] - row.run[0]) : "–"),
  },
  template: `
    <div class="wf" role="list">
      <p v-if="hidden" class="muted">{{ count(hidden) }} earlier attempts are not shown.</p>
      <div v-for="(row, i) in rows" :key="i" class="ln" role="listitem" :title="told(row)" :aria-label="told(row)">
        <span class="num">Attempt {{ row.attempt.number }}</span>
        <span class="tr" aria-hidden="true">
          <span class="sg wait" :style="place(row.wait)"></span><span class="sg" :class="tone(row.attempt.state)" :style="place(row.run)"></span>
          <span v-if="row.back" class="sg back" :style="place(row.back)"></span>
        </span>
        <span class="num r">{{ length(row) }}</span><hf-pill :state="row.attempt.state" />
      </div>
      <p class="key" aria-hidden="true"><i class="sg wait"></i>waiting <i class="sg good"></i>run <i class="sg fail"></i>failed run <i class="sg back"></i>back-off</p>
    </div>`,
};
