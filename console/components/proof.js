// What both sides counted at the end of a resync: for each lane the number of the last event and the chain up to it.
import { clock, parts, words } from "holdfast";

const SHOWN = 12;

export default {
  components: parts,
  props: { proof: Object, earlier: Array },
  data: () => ({ all: false, clock }),
  computed: {
    lanes() {
      const used = this.proof.lanes.filter((lane) => lane.here || lane.there || !lane.equal);
      const sorted = [...used].sort((a, b) => a.equal - b.equal);
      return this.all ? sorted : sorted.slice(0, SHOWN);
    },
    hidden() {
      return this.proof.lanes.length - this.lanes.length;
    },
    facts() {
      const p = this.proof;
      return [["Events given", words.count(p.events)], ["Volume", words.bytes(p.bytes)], ["Took", words.took(p.at - p.began)], ["Conflicts", words.count(p.conflicts)], ["Rewound", words.count(p.rewound)]];
    },
  },
  methods: { ...words, head: (chain) => (chain ? chain.slice(0, 12) : "–"), LANE: (kind) => ({ ends: "results", jobs: "jobs" })[kind] ?? kind },
  template: `
    <section class="card proof" aria-label="Last proof">
      <header><h2>Last proof</h2><span class="sp"></span><span v-if="proof" class="muted" :title="stamp(proof.at)">{{ ago(proof.at) }}</span></header>
      <template v-if="proof">
        <p class="verdict" :class="proof.equal ? 'good' : 'bad'"><hf-icon :name="proof.equal ? 'check' : 'alert'" /><span><b>{{ proof.equal ? "Both sides agree on every lane" : "The sides do not agree" }}</b> {{ proof.equal ? "Same number of events, same chain of hashes: nothing is missing, doubled or changed." : "The lanes that differ stand on top; the link does not count as whole." }}</span></p>
        <dl class="counts"><div v-for="[name, value] in facts" :key="name"><dt>{{ name }}</dt><dd class="num">{{ value }}</dd></div></dl>
        <div v-if="lanes.length" class="tw"><table class="t">
          <thead><tr><th scope="col">Lane</th><th scope="col" class="r">Last here</th><th scope="col" class="nx">Chain here</th><th scope="col"><span class="sr">Same</span></th><th scope="col" class="r">In Redis</th><th scope="col" class="nx">Chain in Redis</th></tr></thead>
          <tbody><tr v-for="lane in lanes" :key="lane.queue + lane.kind">
            <td><span class="who"><b class="cut">{{ lane.queue }}</b><span class="muted">{{ LANE(lane.kind) }}</span></span></td>
            <td class="r">{{ count(lane.here) }}</td><td class="nx mono" :title="lane.hereChain">{{ head(lane.hereChain) }}</td>
            <td class="same" :class="lane.equal ? 'up' : 'dn'"><hf-icon :name="lane.equal ? 'equal' : 'cross'" /><span class="sr">{{ lane.equal ? "equal" : "different" }}</span></td>
            <td class="r">{{ count(lane.there) }}</td><td class="nx mono" :title="lane.thereChain">{{ head(lane.thereChain) }}</td>
          </tr></tbody>
        </table></div>
        <p v-else class="none">There was nothing to count yet: Redis had nothing of this node, and this node nothing for Redis.</p>
        <footer v-if="!all && hidden > 0 && proof.lanes.length > lanes.length" class="pager"><span class="muted">{{ count(hidden) }} more {{ hidden === 1 ? "lane" : "lanes" }}, equal or empty on both sides</span></footer>
        <details v-if="earlier.length" class="earlier"><summary>Earlier proofs</summary><ul><li v-for="p in earlier" :key="p.at"><hf-icon :name="p.equal ? 'check' : 'alert'" :class="p.equal ? 'up' : 'dn'" /><span>{{ p.equal ? "Equal" : "Not equal" }}, {{ count(p.events) }} {{ p.events === 1 ? "event" : "events" }} in {{ took(p.at - p.began) }}<template v-if="p.conflicts">, {{ count(p.conflicts) }} {{ p.conflicts === 1 ? "conflict" : "conflicts" }}</template></span><span class="muted num" :title="stamp(p.at)">{{ ago(p.at) }}</span></li></ul></details>
      </template>
      <div v-else class="empty"><p>At the end of a resync both sides count their events and compare the chains of their hashes. There was no resync yet.</p></div>
    </section>`,
};
