import { parts, words } from "holdfast";

export default {
  components: parts,
  props: { queues: Array, may: Boolean },
  emits: ["flip"],
  data: () => ({ all: false }),
  computed: {
    shown() {
      return this.all ? this.queues : this.queues.filter((q) => !q.idle);
    },
  },
  methods: {
    ...words,
    share: (q) => (q.limit ? Math.min(1, q.running / q.limit) : q.running ? 1 : 0),
    jobs: (q) => "/jobs?" + new URLSearchParams({ queue: q.name }),
  },
  template: `
    <section class="card queues">
      <header><h2>Queues</h2><span class="sp"></span><button v-if="all || shown.length < queues.length" class="act" @click="all = !all">{{ all ? "Only those with jobs" : "All " + queues.length }}</button></header>
      <div v-if="shown.length" class="tw"><table class="t">
        <thead><tr>
          <th scope="col">Queue</th><th scope="col" class="r">Waiting</th><th scope="col">Running</th><th scope="col" class="r nx">Per min</th>
          <th scope="col" class="nx wide">Last 24 min</th><th scope="col" class="r nx">Wait p95</th><th scope="col"><span class="sr">Action</span></th>
        </tr></thead>
        <tbody>
          <tr v-for="q in shown" :key="q.name">
            <td><span class="who"><a class="n cut" :href="jobs(q)">{{ q.name }}</a><hf-pill v-if="q.paused" state="paused" /></span></td>
            <td class="r">{{ count(q.waiting) }}</td>
            <td><span class="cap"><span class="bar"><i :class="{ hot: share(q) >= 1 && q.waiting, off: q.paused }" :style="{ width: share(q) * 100 + '%' }"></i></span><span class="num muted">{{ q.running }}<template v-if="q.limit">/{{ q.limit }}</template></span></span></td>
            <td class="r nx">{{ count(q.perMinute) }}</td>
            <td class="nx wide"><hf-spark :values="q.series" :tone="q.paused ? 'c4' : 'c1'" bare /></td>
            <td class="r nx" :class="{ wr: q.slow }">{{ took(q.wait) }}</td>
            <td class="r"><button class="btn mini" :disabled="!may" :aria-label="(q.paused ? 'Resume ' : 'Pause ') + q.name" @click="$emit('flip', { queue: q.name, pause: !q.paused })">{{ q.paused ? "Resume" : "Pause" }}</button></td>
          </tr>
        </tbody>
      </table></div>
      <div v-else class="empty"><p>No queue has jobs.</p></div>
    </section>`,
};
