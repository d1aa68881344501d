// The link at a glance: a large word with what it means, and this node, Redis and the others with what is between them.
import { LINKS, clock, parts, words } from "holdfast";

const MEANING = {
  standalone: "No Redis is configured. Jobs run from this node's own sealed store; nothing is shared and nothing is missing.",
  connected: "Redis has what this node has. Jobs are shared with the others of the fleet.",
  airgapped: "Jobs go on from this node's own sealed store. All that happens here is kept, and is given to Redis when it is back.",
  recovering: "Redis is being given what happened here, in order, each event once. Then both sides count, and the link is whole again.",
};
const MODES = { automatic: "Goes and comes back by itself", manual: "Comes back only when released", "airgap-safe": "Sends nothing before it is released" };

export default {
  components: parts,
  props: { air: Object, node: String, host: String, others: Object },
  data: () => ({ clock }),
  computed: {
    place() {
      return this.air.address.replace(/^rediss?:\/\//, "") || "–";
    },
    word() {
      return this.air.forced ? "Cut by hand" : (LINKS[this.air.state] ?? this.air.state);
    },
    // a few words go beside the time, a whole message below
    short() {
      return this.air.reason.length > 0 && this.air.reason.length <= 48;
    },
    meaning() {
      return MEANING[this.air.state] ?? "";
    },
    mode() {
      return this.air.state === "standalone" ? "" : `Mode ${this.air.mode}: ${(MODES[this.air.mode] ?? "").toLowerCase()}`;
    },
    share() {
      return this.air.total ? Math.min(1, this.air.done / this.air.total) : null;
    },
    wire() {
      const a = this.air;
      if (a.state === "connected") return a.latency == null ? "" : words.took(a.latency);
      if (a.state === "recovering") return this.share == null ? "begins" : `${Math.floor(this.share * 100)} %`;
      if (a.state === "airgapped") return a.forced ? "cut" : words.span(clock.now - a.since);
      return "";
    },
    held() {
      const a = this.air;
      return a.state === "connected" && !a.unsynced ? "nothing waits" : `${words.count(a.unsynced)} ${a.unsynced === 1 ? "event waits" : "events wait"}`;
    },
    redis() {
      const a = this.air;
      if (a.state === "standalone") return "not configured";
      if (a.state === "airgapped") return a.forced ? "not asked" : a.probed ? `last heard ${words.ago(a.probed)}` : "never heard";
      return a.probed ? "answers" : "not heard yet";
    },
    crowd() {
      const n = this.others.here;
      return this.air.state === "standalone" ? "nobody" : `${words.count(n)} ${n === 1 ? "agent" : "agents"}`;
    },
    seen() {
      if (this.air.state === "standalone") return "share jobs through Redis";
      if (this.air.state === "airgapped") return "as last heard";
      return this.others.consoles ? `${this.others.consoles} with a console` : "online";
    },
    told() {
      return `${this.word}: this node ${this.air.state === "connected" || this.air.state === "recovering" ? "reaches" : "does not reach"} Redis`;
    },
  },
  methods: words,
  template: `
    <section class="card air" :class="[air.state, { forced: air.forced }]" aria-label="State of the link">
      <div class="state">
        <span class="sign"><hf-icon :name="air.state" /></span>
        <div><h2>{{ word }}</h2><p class="since" v-if="air.state !== 'standalone'" :title="stamp(air.since)">for {{ span(clock.now - air.since) }}<template v-if="short">: {{ air.reason }}</template></p><p>{{ meaning }}</p><p v-if="air.reason && !short" class="why" :title="air.reason">{{ air.reason }}</p></div>
      </div>
      <div class="map" role="img" :aria-label="told">
        <div class="end"><hf-icon name="standalone" /><b class="cut">This node</b><span class="cut">{{ node }}</span><span class="cut num">{{ air.state === "standalone" ? count(air.local) + " jobs" : held }}</span></div>
        <div class="wire one"><span class="line"><i></i></span><span class="tag num" v-if="wire">{{ wire }}</span><span class="cutmark" v-if="air.state === 'airgapped'"><hf-icon :name="air.forced ? 'pause' : 'cross'" /></span></div>
        <div class="end mid"><hf-icon name="redis" /><b class="cut">Redis</b><span class="cut" :title="air.address">{{ place }}</span><span class="cut num">{{ redis }}</span></div>
        <div class="wire two"><span class="line"><i></i></span></div>
        <div class="end"><hf-icon name="agents" /><b class="cut">Others</b><span class="cut num">{{ crowd }}</span><span class="cut">{{ seen }}</span></div>
      </div>
      <div v-if="air.state === 'recovering'" class="going" role="progressbar" aria-label="Given to Redis" aria-valuemin="0" aria-valuemax="100" :aria-valuenow="Math.floor((share ?? 0) * 100)">
        <span class="bar"><i :style="{ width: (share ?? 0) * 100 + '%' }"></i></span>
        <span class="num">{{ count(air.done) }} of {{ count(air.total) }} events<template v-if="air.bytes"> · {{ bytes(air.bytes) }}</template><template v-if="air.eta != null"> · about {{ span(Math.max(1, air.eta)) }} to go</template></span>
      </div>
      <p v-if="air.stopped" class="halt" role="alert"><hf-icon name="alert" /><span><b>The resync stands still.</b> {{ air.stopped }}. Look at the cause first; Release goes on.</span></p>
      <p v-if="mode" class="mode muted">{{ mode }}</p>
    </section>`,
};
