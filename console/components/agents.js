// The agents of the fleet: chips that filter, and a dense table.  Rows are replaced in place.
import { clock, parts, words } from "holdfast";

export default {
  components: parts,
  props: { rows: Array, chips: Array, chosen: String, capabilities: Array, capability: String, more: Number, query: Object, open: String },
  emits: ["filter"],
  methods: {
    ...words,
    share: (a) => (a.concurrency ? Math.min(1, a.busy / a.concurrency) : 0),
    link(a) {
      return "/agents?" + new URLSearchParams({ ...this.query, agent: a.id });
    },
    up: (a) => (a.here ? words.span(clock.now - a.started) : words.ago(a.seen)),
    percent: (cpu) => `${Math.round(cpu * 100)} %`,
  },
  template: `
    <div>
      <div class="chips" role="group" aria-label="Filter by presence">
        <button v-for="chip in chips" :key="chip.value" class="chip" type="button" :aria-pressed="String(chip.value === chosen)" @click="$emit('filter', { presence: chip.value })">{{ chip.label }} <span class="num">{{ count(chip.n) }}</span></button>
        <label v-if="capabilities.length" class="pickcap"><span class="sr">Capability</span>
          <select class="inp" :value="capability" @change="$emit('filter', { capability: $event.target.value })"><option value="">Any capability</option><option v-for="name in capabilities" :key="name" :value="name">{{ name }}</option></select></label>
      </div>
      <section class="card agents" aria-label="Agents">
        <div v-if="rows.length" class="tw"><table class="t">
          <thead><tr>
            <th scope="col">Agent</th><th scope="col">State</th><th scope="col">Load</th><th scope="col" class="nx wide">Runs now</th><th scope="col" class="r nx">Done</th>
            <th scope="col" class="r nx">Failed</th><th scope="col" class="r nx">Mean</th><th scope="col" class="r nx">CPU</th><th scope="col" class="r nx">Memory</th>
            <th scope="col" class="nx wide">Can do</th><th scope="col" class="r nx">Up / seen</th>
          </tr></thead>
          <tbody>
            <tr v-for="a in rows" :key="a.id" :class="{ picked: a.id === open, away: !a.here }">
              <td class="whois"><a class="n cut" :href="link(a)" :data-agent="a.id" :title="a.id">{{ a.name }}</a><span class="sub2 cut">{{ a.host }}<template v-if="a.me"> · this console</template><template v-else-if="a.console"> · console</template></span></td>
              <td><span class="pills"><hf-pill :state="a.presence" /><hf-pill v-if="a.paused && a.here" state="paused" /></span></td>
              <td><span class="cap" :title="a.busy + ' of ' + a.concurrency + ' slots'"><span class="bar"><i :class="{ hot: share(a) >= 1, off: a.paused }" :style="{ width: share(a) * 100 + '%' }"></i></span><span class="num muted">{{ a.busy }}/{{ a.concurrency }}</span></span></td>
              <td class="nx wide now"><template v-if="a.job"><a class="cut lk" :href="'/jobs/' + a.job.id" :title="a.job.id">{{ a.job.task }}</a><span v-if="a.others" class="muted"> +{{ a.others }}</span></template><span v-else class="muted">–</span></td>
              <td class="r nx">{{ count(a.done) }}</td>
              <td class="r nx" :class="{ dn: a.failed }">{{ count(a.failed) }}</td>
              <td class="r nx">{{ a.done ? took(a.mean) : "–" }}</td>
              <td class="r nx">{{ a.here ? percent(a.cpu) : "–" }}</td>
              <td class="r nx">{{ a.here ? bytes(a.memory) : "–" }}</td>
              <td class="nx wide"><span class="tags"><span v-for="name in a.capabilities" :key="name" class="tag cut">{{ name }}</span><span v-if="a.capabilitiesMore" class="muted">+{{ a.capabilitiesMore }}</span></span></td>
              <td class="r nx" :title="stamp(a.here ? a.started : a.seen)">{{ up(a) }}</td>
            </tr>
          </tbody>
        </table></div>
        <slot v-else></slot>
        <footer v-if="more" class="pager"><span>{{ count(more) }} more are not shown; narrow the filter.</span></footer>
      </section>
    </div>`,
};
