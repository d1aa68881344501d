// One agent beside the list: how it is, what it runs, and what can be done with it.
import { LINKS, clock, parts, words } from "holdfast";

export default {
  components: parts,
  props: { agent: Object, may: Object },
  emits: ["act", "close"],
  mounted() {
    this.before = document.activeElement;
    this.$refs.title.focus({ preventScroll: true });
  },
  beforeUnmount() {
    document.querySelector(`[data-agent="${CSS.escape(this.agent.id)}"]`)?.focus({ preventScroll: true });
  },
  computed: {
    facts() {
      const a = this.agent;
      return [
        ["Fleet", a.fleet], ["Host", `${a.host}, process ${a.pid}`], ["Version", a.version], ["Link", LINKS[a.link] ?? a.link],
        [a.here ? "Up" : "Last seen", a.here ? words.span(clock.now - a.started) : words.ago(a.seen)], ["Started", words.stamp(a.started)],
        ["CPU", a.here ? `${Math.round(a.cpu * 100)} % of a core` : ""], ["Memory", a.here ? words.bytes(a.memory) : ""],
        ["Jobs done", words.count(a.done)], ["Failed", a.done ? `${words.count(a.failed)} (${((a.failed / a.done) * 100).toFixed(1)} %)` : words.count(a.failed)],
        ["Mean time", a.done ? words.took(a.mean) : ""], ["Tenants", a.tenants.join(", ")], ["Journal", a.node], ["ID", a.id],
      ].filter(([, value]) => value !== "" && value != null);
    },
    first() {
      return this.agent.paused ? ["resume", "Resume", "play"] : ["pause", "Pause", "pause"];
    },
  },
  methods: {
    ...words,
    act(name) {
      this.$emit("act", name);
    },
    jobs: (queue) => "/jobs?" + new URLSearchParams({ queue }),
    ran: (job) => words.span(clock.now - job.started),
  },
  template: `
    <aside class="drawer" role="dialog" :aria-label="'Agent ' + agent.name" @keydown.esc.stop="$emit('close')">
      <header><div class="cut"><h2 ref="title" tabindex="-1" class="cut">{{ agent.name }}</h2><span class="pills"><hf-pill :state="agent.presence" /><hf-pill v-if="agent.paused && agent.here" state="paused" /></span></div>
        <button class="btn ico" type="button" aria-label="Close" @click="$emit('close')"><hf-icon name="cross" /></button></header>
      <div class="acts" v-if="agent.here">
        <button class="btn mini" :disabled="!may[first[0]]" @click="act(first[0])"><hf-icon :name="first[2]" />{{ first[1] }}</button>
        <button v-if="agent.presence !== 'draining'" class="btn mini" :disabled="!may.drain" @click="act('drain')"><hf-icon name="drain" />Drain</button>
        <button class="btn mini" :disabled="!may.scale" @click="act('scale')"><hf-icon name="scale" />Scale…</button>
        <button class="btn mini" :disabled="!may.notify" @click="act('notify')"><hf-icon name="send" />Message…</button>
        <button class="btn mini" :disabled="!may.ping" @click="act('ping')"><hf-icon name="pulse" />Ping</button>
        <button class="btn mini bad" :disabled="!may.stop" @click="act('stop')"><hf-icon name="stop" />Stop…</button>
      </div>
      <div class="acts" v-else>
        <button v-if="agent.linked" class="btn mini" :disabled="!may.take_back" @click="act('take_back')"><hf-icon name="rescue" />Give its jobs to others…</button>
        <button class="btn mini bad" :disabled="!may.forget" @click="act('forget')"><hf-icon name="trash" />Forget</button>
      </div>
      <div class="body">
        <section><h3>Slots</h3>
          <div class="load"><span class="bar"><i :class="{ hot: agent.busy >= agent.concurrency, off: agent.paused }" :style="{ width: (agent.concurrency ? Math.min(100, (agent.busy / agent.concurrency) * 100) : 0) + '%' }"></i></span><span class="num">{{ agent.busy }} of {{ agent.concurrency }} in use</span></div>
          <ul v-if="agent.current.length" class="current"><li v-for="job in agent.current" :key="job.id"><a :href="'/jobs/' + job.id"><span class="cut"><b class="cut">{{ job.task }}</b><span class="muted cut">{{ job.queue }} · {{ job.id.slice(-12) }}</span></span><span class="num muted">{{ ran(job) }}</span></a></li></ul>
          <p v-else class="muted">It runs no job now.</p>
        </section>
        <section v-if="agent.capabilities.length"><h3>Capabilities</h3><p class="tags"><span v-for="name in agent.capabilities" :key="name" class="tag cut">{{ name }}</span></p></section>
        <section><h3>Queues</h3><p class="tags"><a v-for="name in agent.queues" :key="name" class="tag cut" :href="jobs(name)">{{ name }}</a><span v-if="agent.queuesMore" class="muted">and {{ agent.queuesMore }} more</span></p></section>
        <section><h3>Details</h3><dl class="kv"><template v-for="[name, value] in facts" :key="name"><dt>{{ name }}</dt><dd :class="{ mono: name === 'ID' || name === 'Journal' }">{{ value }}</dd></template></dl></section>
      </div>
    </aside>`,
};
