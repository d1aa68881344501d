// What two sides of a cut did that cannot both stand, side by side; a person decides which result stays.
import { parts, words } from "holdfast";

const KINDS = {
  result: ["Two results", "The job was run twice, on both sides of a cut, and both ended."],
  late: ["A late result", "A result came from a worker whose claim was over; the job had been given to another."],
  request: ["The same request twice", "Two jobs were enqueued for one request, on both sides of a cut."],
  unique: ["A unique key held twice", "Two jobs with one unique key were enqueued on both sides of a cut."],
};

const ENDED = new Set(["completed", "dead", "cancelled"]);

export default {
  components: parts,
  props: { rows: Array, all: Boolean, may: Boolean, more: Boolean, open: Number },
  emits: ["decide", "keepall", "turn", "more"],
  data: () => ({ ENDED }),
  methods: { ...words, kind: (c) => KINDS[c.kind] ?? [c.kind, ""] },
  template: `
    <section class="card conflicts" aria-label="Conflicts">
      <header><h2>Conflicts</h2><span v-if="open" class="cnt bad num">{{ count(open) }}</span><span class="sp"></span><button v-if="open > 1" class="act" :disabled="!may" @click="$emit('keepall')">Keep what stands in all {{ count(open) }}</button><button class="act" :aria-pressed="String(all)" @click="$emit('turn')">{{ all ? "Only open ones" : "Also decided ones" }}</button></header>
      <ul v-if="rows.length"><li v-for="c in rows" :key="c.id" class="conflict">
        <div class="about"><p><b>{{ kind(c)[0] }}</b> <span class="muted">{{ kind(c)[1] }}</span><span v-if="c.same" class="up">Both results are the same.</span></p>
          <p class="muted"><a class="lk" :href="'/jobs/' + c.job">{{ c.task || c.job }}</a> in {{ c.queue }} · found <span :title="stamp(c.at)">{{ ago(c.at) }}</span></p></div>
        <div class="sides">
          <div class="side1"><h3><hf-icon name="check" />Stands now<hf-pill v-if="c.state" :state="c.state" /></h3><p class="mono cut" :title="c.first">{{ c.first || (ENDED.has(c.state) ? "its hash was not told" : "still to come") }}</p><pre v-if="c.result" class="code" tabindex="0">{{ c.result }}</pre></div>
          <div class="side2"><h3><hf-icon name="clock" />Came later, from <span class="cut">{{ c.node }}</span></h3><p class="mono cut" :title="c.later">{{ c.later }}</p><pre v-if="c.body" class="code" tabindex="0">{{ c.body }}</pre></div>
        </div>
        <div class="acts" v-if="!c.resolved"><span class="muted">{{ c.refusal ? c.refusal + "." : "Which result is to stand?" }}</span><span class="sp"></span>
          <button class="btn mini" :disabled="!may" @click="$emit('decide', { id: c.id, choice: 'keep' })">Keep what stands</button>
          <button v-if="c.takeable" class="btn mini" :disabled="!may" @click="$emit('decide', { id: c.id, choice: 'take' })">Take the later one</button></div>
        <p v-else class="acts muted"><hf-icon name="check" />{{ c.choice === "take" ? "The later one was taken" : "What stood was kept" }} by {{ c.by }}, {{ ago(c.resolved) }}</p>
      </li></ul>
      <div v-else class="calm"><hf-icon name="check" /><b>{{ all ? "No conflict was ever found" : "Nothing to decide" }}</b><p>Where both sides of a cut did something that cannot both stand, it is shown here with both results.</p></div>
      <footer v-if="more" class="pager"><span class="sp"></span><button class="btn mini" @click="$emit('more')">Older<hf-icon name="next" /></button></footer>
    </section>`,
};
