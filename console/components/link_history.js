// States that the link came into: a band of the last day, and the changes below it, newest first.
import { LINKS, clock, parts, words } from "holdfast";

const DAY = 86400;

export default {
  components: parts,
  props: { changes: Array, more: Boolean },
  emits: ["more"],
  computed: {
    since() {
      const first = this.changes.at(-1)?.at ?? clock.now;
      return Math.max(clock.now - DAY, Math.min(first, clock.now - 600));
    },
    band() {
      const length = Math.max(1, clock.now - this.since);
      return this.changes
        .map((c) => ({ ...c, end: c.lasted ? c.at + c.lasted : clock.now }))
        .filter((c) => c.end > this.since)
        .map((c) => ({ state: c.state, forced: c.forced, left: (Math.max(0, c.at - this.since) / length) * 100, width: ((c.end - Math.max(c.at, this.since)) / length) * 100, title: `${LINKS[c.state] ?? c.state} ${words.took(c.end - c.at)}` }));
    },
  },
  methods: { ...words, word: (c) => (c.forced ? "Cut by hand" : (LINKS[c.state] ?? c.state)), about: (c) => [c.reason, c.by && `by ${c.by}`].filter(Boolean).join(", ") },
  template: `
    <section class="card linkhistory" aria-label="History of the link">
      <header><h2>History of the link</h2><span class="sp"></span><span class="muted" v-if="changes.length">last {{ span(clock.now - since) }}</span></header>
      <template v-if="changes.length">
        <div class="lifeline" aria-hidden="true"><i v-for="(c, i) in band" :key="i" :class="[c.state, { forced: c.forced }]" :style="{ left: c.left + '%', width: c.width + '%' }" :title="c.title"></i></div>
        <ol><li v-for="(c, i) in changes" :key="c.at + c.state + i"><span class="mark" :class="[c.state, { forced: c.forced }]"><hf-icon :name="c.state" /></span>
          <div><b>{{ word(c) }}</b><p v-if="about(c)" :title="about(c)">{{ about(c) }}</p></div>
          <span class="r num" :title="stamp(c.at)">{{ ago(c.at) }}<span class="muted" v-if="c.lasted">for {{ took(c.lasted) }}</span></span></li></ol>
        <footer v-if="more" class="pager"><span class="sp"></span><button class="btn mini" @click="$emit('more')">Older<hf-icon name="next" /></button></footer>
      </template>
      <div v-else class="empty"><p>The link has not changed yet.</p></div>
    </section>`,
  data: () => ({ clock }),
};
