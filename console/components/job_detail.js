// Everything known of one job, error first; follows it through its states as the prop changes.
import { clock, parts, words } from "holdfast";
import { HfAttempts } from "holdfast/attempts.js";

const pretty = (value) => JSON.stringify(value, null, 2);
const LEVELS = { warning: "warn", error: "bad", critical: "bad" };

export default {
  components: { ...parts, HfAttempts },
  props: { job: Object, may: Boolean },
  data: () => ({ copied: "", whole: false }),
  computed: {
    failure() {
      return this.job.state === "completed" ? null : this.job.error;
    },
    where() {
      const last = this.job.attempts.at(-1);
      return last ? last.worker || last.agent : "";
    },
    raw() {
      return "/v1/jobs/" + encodeURIComponent(this.job.id);
    },
    outputs() {
      return Object.entries(this.job.outputs);
    },
    facts() {
      const j = this.job;
      return [
        ["Queue", j.queue, "/jobs?" + new URLSearchParams({ queue: j.queue })], ["Priority", j.priority], ["Attempt", `${j.attempt} of ${j.max_attempts}`],
        ["Tenant", j.tenant], ["Worker", this.where], ["Created", words.stamp(j.created_at)],
        ["Runs at", j.run_at && !j.started_at ? words.stamp(j.run_at) : ""], ["Started", j.started_at ? words.stamp(j.started_at) : ""],
        ["Finished", j.finished_at ? words.stamp(j.finished_at) : ""], ["Waited", j.started_at ? words.took(Math.max(0, this.waited)) : ""], ["Run time", this.ran],
        ["Time limit", j.timeout ? words.took(j.timeout) : ""], ["Expires", j.expires_at ? words.stamp(j.expires_at) : ""],
        ["CPU", this.last?.cpu != null && this.last.cpu >= 0 ? words.took(this.last.cpu) : ""], ["Memory", this.last?.memory ? words.bytes(this.last.memory) : ""],
        ["Idempotency key", j.idempotency_key], ["Correlation", j.correlation_id], ["Workflow", j.workflow],
      ].filter(([, value]) => value !== "" && value != null);
    },
    last() {
      return this.job.attempts.at(-1);
    },
    waited() {
      return (this.job.attempts[0]?.started_at || this.job.started_at) - Math.max(this.job.created_at, this.job.attempts[0]?.available_at || 0);
    },
    ran() {
      const j = this.job;
      if (j.state === "running" && j.started_at) return words.took(Math.max(0, clock.now - j.started_at));
      return j.finished_at && j.started_at ? words.took(j.finished_at - j.started_at) : "";
    },
    logs() {
      return this.whole ? this.job.logs : this.job.logs.slice(-200);
    },
  },
  methods: {
    ...words,
    pretty,
    tone: (level) => LEVELS[level.toLowerCase()] ?? "",
    async copy(what, value) {
      if (!navigator.clipboard) return; // only there on localhost and https
      await navigator.clipboard.writeText(typeof value === "string" ? value : pretty(value));
      this.copied = what;
      setTimeout(() => (this.copied = ""), 1500);
    },
  },
  template: `
    <div class="detail">
      <div v-if="failure" class="errbox" role="alert">
        <p><b>{{ failure.type }}</b> <span class="msg">{{ failure.message }}</span></p>
        <p class="muted">Attempt {{ job.attempt }} of {{ job.max_attempts }}<template v-if="where"> on {{ where }}</template><template v-if="job.state === 'retryable'"> · next attempt {{ ago(job.run_at) }}</template></p>
        <details v-if="failure.traceback"><summary>Traceback</summary><pre class="code">{{ failure.traceback }}</pre></details>
      </div>
      <div v-if="job.cancelling && job.state === 'running'" class="notice warn"><hf-icon name="stop" /><p><b>Asked to stop.</b> The task ends when it next looks whether it was cancelled.</p></div>
      <div v-if="job.why_waiting" class="notice"><hf-icon name="waiting" /><p><b>{{ job.why_waiting.text }}</b> {{ job.why_waiting.mend }}</p></div>
      <div v-if="job.progress && job.state === 'running'" class="card progress" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" :aria-valuenow="Math.round(job.progress.value * 100)">
        <span class="num"><b>{{ Math.round(job.progress.value * 100) }} %</b></span><span class="bar"><i :style="{ width: job.progress.value * 100 + '%' }"></i></span><span class="cut muted">{{ job.progress.message }}</span>
      </div>
      <div class="grid split">
        <div class="grid stack">
          <section class="card"><header><h2>Attempts</h2></header>
            <hf-attempts v-if="job.attempts.length" :job="job" />
            <p v-else class="none">It has not started yet.</p>
          </section>
          <section v-if="(job.result !== null || job.cut.result) && job.state === 'completed'" class="card"><header><h2>Result</h2><span class="sp"></span><a v-if="job.cut.result" :href="raw" target="_blank">Cut: all as JSON</a><button v-else class="act" @click="copy('result', job.result)">{{ copied === "result" ? "Copied" : "Copy" }}</button></header><pre class="code" tabindex="0">{{ job.cut.result || pretty(job.result) }}</pre></section>
          <section class="card"><header><h2>Arguments</h2><span class="sp"></span><a v-if="job.cut.args" :href="raw" target="_blank">Cut: all as JSON</a><button v-else class="act" @click="copy('args', job.args)">{{ copied === "args" ? "Copied" : "Copy" }}</button></header><pre class="code" tabindex="0">{{ job.cut.args || pretty(job.args) }}</pre></section>
          <section v-if="job.cut.outputs" class="card"><header><h2>Outputs</h2><span class="sp"></span><a :href="raw" target="_blank">Cut: all as JSON</a></header><pre class="code" tabindex="0">{{ job.cut.outputs }}</pre></section>
          <section v-if="outputs.length" class="card"><header><h2>Outputs</h2></header>
            <template v-for="[name, value] in outputs" :key="name"><h3 class="sub">{{ name }}</h3><pre class="code" tabindex="0">{{ pretty(value) }}</pre></template>
          </section>
          <section class="card"><header><h2>Log</h2><span class="sp"></span><button v-if="job.logs.length > logs.length" class="act" @click="whole = true">Show all {{ count(job.logs.length) }} lines</button></header>
            <ol v-if="logs.length" class="log" tabindex="0"><li v-for="(line, i) in logs" :key="i" :class="tone(line.level)"><time>{{ time(line.at) }}</time><span class="lv">{{ line.level.toLowerCase() }}</span><span class="tx">{{ line.text }}</span></li></ol>
            <p v-else class="none">It wrote no lines.</p>
          </section>
        </div>
        <aside class="grid stack">
          <section class="card"><header><h2>Details</h2></header>
            <dl class="kv"><dt>State</dt><dd><hf-pill :state="job.state" /></dd>
              <template v-for="[name, value, link] in facts" :key="name"><dt>{{ name }}</dt><dd><a v-if="link" class="lk" :href="link">{{ value }}</a><template v-else>{{ value }}</template></dd></template>
            </dl>
          </section>
          <section v-if="job.cut.metadata || Object.keys(job.metadata).length" class="card"><header><h2>Metadata</h2></header><pre class="code">{{ job.cut.metadata || pretty(job.metadata) }}</pre></section>
        </aside>
      </div>
    </div>`,
};
